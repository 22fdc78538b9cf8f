"""Distributions: near the exact ones, whatever the order, in bounded memory."""

import numpy as np
import pytest

from farm.report.histogram import DurationHistogram, EventCounts


def _of(*parts: object) -> DurationHistogram:
    histogram = DurationHistogram()
    for part in parts:
        histogram.add(np.asarray(part, np.float64))
    return histogram


@pytest.mark.parametrize("fraction", [0.05, 0.25, 0.5, 0.9, 0.95, 0.99])
def test_quantiles_are_known_to_little_more_than_a_percent(fraction: float) -> None:
    values = np.random.default_rng(1).lognormal(3, 2, 20_001).clip(0.02, 1e7)
    exact = np.quantile(values, fraction)
    found = _of(values[:7], values[7:]).quantile(fraction)
    assert found == pytest.approx(exact, rel=0.013)


def test_few_values_stay_within_their_bounds() -> None:
    one = _of([37.5])
    assert [one.quantile(share) for share in (0.0, 0.5, 1.0)] == [37.5, 37.5, 37.5]
    assert (one.count, one.sum_ms) == (1, 37.5)
    assert _of().quantile(0.5) == 0
    assert _of([0.0, 0.0]).quantile(0.5) == 0


def test_what_is_no_duration_is_left_out() -> None:
    histogram = _of([np.nan, np.inf, -1.0, 5.0], [np.nan], [])
    assert (histogram.count, histogram.sum_ms) == (1, 5.0)
    # More than a day is made up, and a sum must bear it.
    assert _of([1e300, 1e300]).sum_ms == 2e8
    assert _of([1e300]).quantile(0.5) == 1e8


def _counted(times: object, failed: object = None, *, parts: int = 1) -> EventCounts:
    counts = EventCounts()
    times = np.asarray(times, np.float64)
    is_failed = np.zeros(times.size, np.bool_) if failed is None else np.asarray(failed, np.bool_)
    for some, ends in zip(
        np.array_split(times, parts), np.array_split(is_failed, parts), strict=True
    ):
        counts.add(some, ends)
    return counts


def test_rates_are_entries_by_time() -> None:
    begin = 1_000_000.0
    times = begin + np.array([0.1, 0.2, 0.3, 5.0, 9.9])
    rates = _counted(times, [True, False, False, False, True]).rates(10)
    assert rates is not None
    assert (rates.start, rates.step_seconds, rates.seconds) == (begin, 1.0, 10.0)
    assert rates.all == (3.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
    assert rates.failed == (1.0, 0, 0, 0, 0, 0, 0, 0, 0, 1.0)


def test_the_last_step_may_be_shorter() -> None:
    rates = _counted(1e6 + np.arange(0, 10.5, 0.5)).rates(4)
    assert rates is not None
    assert (rates.seconds, rates.step_seconds) == (10.5, 3.0)
    assert rates.all == (2.0, 2.0, 2.0, 2.0)


def test_nothing_is_lost_when_buckets_grow() -> None:
    times = 1_780_000_000 + np.random.default_rng(2).uniform(0, 200_000, 30_000)
    counts = _counted(times, times > 1_780_100_000, parts=40)
    assert len(counts._counts) <= 1200
    assert counts.count == 30_000
    rates = counts.rates(120)
    assert rates is not None
    assert len(rates.all) <= 120
    lengths = np.full(len(rates.all), rates.step_seconds)
    lengths[-1] = rates.seconds - lengths[:-1].sum()
    assert lengths @ rates.all == pytest.approx(30_000)
    assert lengths @ rates.failed == pytest.approx(int((times > 1_780_100_000).sum()))


def test_a_night_between_two_commands_is_no_work() -> None:
    day = np.arange(0, 1000.0, 0.5)
    counts = _counted(1e9 + np.concatenate([day, day + 50_000]))
    assert counts.busy_seconds == pytest.approx(2000)
    # A pause that is shorter may be one long entry.
    assert _counted([1e9, 1e9 + 300]).busy_seconds == pytest.approx(300.5)


def test_unknown_times_do_not_count() -> None:
    assert _counted([0.0, np.nan]).rates(10) is None
    assert _counted([0.0]).busy_seconds == 0
