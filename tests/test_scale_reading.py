"""The simulated reading of results: what bounds it, and that it asks as the ledger does."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.scale.reading import reading_seconds
from benchmarks.scale.scenario import Store
from farm.read_ahead import DEPTH, read_ahead


@pytest.mark.parametrize(
    ("latency", "cpu", "each"),
    [
        (0.032, 0.0, 0.002),  # sixteen requests under way
        (0.032, 0.004, 0.004),  # parsing is one thread's
        (0.0, 0.004, 0.004),
        (0.060, 0.004, 0.004),  # fifteen others are parsed meanwhile
    ],
)
def test_reading_costs_parsing_or_a_share_of_the_latency(
    latency: float, cpu: float, each: float
) -> None:
    store = Store(latency_seconds=latency, spread=0.0)
    assert reading_seconds(8000, cpu, store, seed=1) / 8000 == pytest.approx(each, rel=0.01)
    assert reading_seconds(1, cpu, store, seed=1) == pytest.approx(latency + cpu)
    assert reading_seconds(0, cpu, store, seed=1) == 0.0


def test_late_answers_hold_the_reading_up() -> None:
    uneven, even = Store(spread=0.5), Store(spread=0.0)
    mean = replace(even, latency_seconds=uneven.mean_seconds)
    least = reading_seconds(16_000, 0.0, mean, seed=1)
    for seed in (1, 2):
        assert 1.3 * least < reading_seconds(16_000, 0.0, uneven, seed) < DEPTH * least
    few, many = (reading_seconds(count, 0.001, uneven, seed=1) for count in (20_000, 200_000))
    assert many == pytest.approx(10 * few)


def test_results_are_asked_for_as_the_ledger_does() -> None:
    parsed_before: list[int] = []
    parsed = 0

    def items() -> Iterator[int]:
        for number in range(100):
            parsed_before.append(parsed)
            yield number

    for _ in read_ahead(lambda number: number, items()):
        parsed += 1
    assert parsed_before == [max(0, number - DEPTH + 1) for number in range(100)]
