import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.engines.pyav_group import GroupPlan, Moment, Timing, moment_of, plan_group
from farm.sampling import Target
from farm.spec import Accuracy

# Two groups as x264 writes them: decoding order I P b b P b b, the second one open.
PTS = (0, 3, 1, 2, 6, 4, 5, 10, 8, 9, 13, 11, 12)
KEYS = (0, 7)


def timings(pts=PTS, keys=KEYS, discard=()):
    return [
        Timing(time, order - 2, order in keys, order in discard) for order, time in enumerate(pts)
    ]


def plan(times, *ticks, leaps=lambda dts, ticks: False):
    moments = [Moment(tick, index) for index, tick in enumerate(ticks)]
    return plan_group(times, moments, leaps=leaps)


def test_the_frame_shown_and_no_packet_behind_it():
    assert plan(timings(), 2) == GroupPlan({2: (0,)}, 0, 4, 1)
    assert plan(timings(), 4) == GroupPlan({4: (0,)}, 0, 6, 1)
    assert plan(timings(), 0) == GroupPlan({0: (0,)}, 0, 1, 1)


def test_moments_of_one_group_share_it():
    assert plan(timings(), 1, 2, 2, 5) == GroupPlan({1: (0,), 2: (1, 2), 5: (3,)}, 0, 7, 4)


def test_a_later_keyframe_takes_its_moments():
    assert plan(timings(), 1, 10, 12) == GroupPlan({1: (0,)}, 0, 3, 1)
    # Shown before the second keyframe, decoded behind it.
    assert plan(timings(), 9) == GroupPlan({9: (0,)}, 0, 10, 1)


def test_begins_at_the_last_keyframe_that_serves():
    assert plan(timings(), 10) == GroupPlan({10: (0,)}, 7, 8, 1)


def test_before_the_start_and_past_the_end():
    assert plan(timings(), -5) == GroupPlan({0: (0,)}, 0, 1, 1)
    assert plan(timings()[7:], 99) == GroupPlan({13: (0,)}, 0, 4, 1)


def test_discarded_pictures_answer_nothing():
    hidden = timings(discard=(0, 2))
    assert plan(hidden, -5, 0, 1, 2) == GroupPlan({2: (0, 1, 2, 3)}, 0, 4, 4)


def test_leading_pictures_answer_nothing():
    second = timings()[7:]
    assert plan(second, 8) == GroupPlan({10: (0,)}, 0, 1, 1)


def test_stops_where_a_leap_pays():
    asked = []

    def leaps(dts, ticks):
        asked.append((dts, ticks))
        return True

    read = iter(timings())
    assert plan(read, 1, 5, leaps=leaps) == GroupPlan({1: (0,)}, 0, 3, 1)
    assert asked == [(2, 5)]
    assert next(read).pts == 4  # what lies behind was not read


@pytest.mark.parametrize(
    "odd",
    [
        Timing(None, 3, False, False),
        Timing(6, None, False, False),
        Timing(6, 0, False, False),
        Timing(1, 2, False, False),
        Timing(3, 3, False, False),
    ],
    ids=["no pts", "no dts", "dts goes back", "shown before decoded", "two at one time"],
)
def test_odd_times_are_no_plan(odd):
    assert plan([*timings()[:4], odd, Timing(9, 9, False, False)], 5) is None


@st.composite
def streams(draw):
    """Groups of pictures in decoding order whose pts are a permutation within the group."""
    times, keys, at = [], [], 0
    for _ in range(draw(st.integers(1, 4))):
        size = draw(st.integers(1, 8))
        keys.append(len(times))
        times += [at, *draw(st.permutations(range(at + 1, at + size)))]
        at += size
    decoding = [min(times[n:]) for n in range(len(times))]
    return [
        Timing(pts, dts, n in keys, False)
        for n, (pts, dts) in enumerate(zip(times, decoding, strict=True))
    ]


@given(streams(), st.lists(st.integers(-3, 40), min_size=1, max_size=8).map(sorted), st.booleans())
def test_every_moment_gets_the_frame_shown_at_it(stream, ticks, leaps):
    rest = [Moment(tick, index) for index, tick in enumerate(ticks)]
    answers = {}
    while rest:
        start = max(
            (n for n, t in enumerate(stream) if t.is_key and t.pts <= rest[0].ticks), default=0
        )
        found = plan_group(stream[start:], rest, leaps=lambda dts, ticks: leaps)
        assert found is not None
        assert found.moments > 0
        fed = stream[start + found.start : start + found.stop]
        assert fed[0].is_key
        assert set(found.wanted) <= {t.pts for t in fed}
        answers |= {target: pts for pts, targets in found.wanted.items() for target in targets}
        rest = rest[found.moments :]
    shown = sorted(t.pts for t in stream)
    expected = {
        index: max((pts for pts in shown if pts <= tick), default=shown[0])
        for index, tick in enumerate(ticks)
    }
    assert answers == expected


@given(st.integers(0, 10**9), st.sampled_from([24, 25, 30000 / 1001, 90000]))
def test_a_frame_s_own_time_is_its_moment(number, rate):
    base = 1 / Fraction(rate).limit_denominator(2000)
    target = Target(float(number * base), Accuracy.EXACT, max_drift_seconds=2.0)
    moment = moment_of(target, 7, base)
    assert moment.ticks == number
    assert (moment.target, moment.max_drift) == (7, math.floor(2 / base))
