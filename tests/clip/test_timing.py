"""The time of a clip: what is cut out of the source, and the pictures of an even rate."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.clip.timing import Shown, cut, exact_rate, paced


def frames(*begins: int, last: int = 10) -> list[Shown[int]]:
    """Frames that are called as the tick at which they begin."""
    return [Shown(begin, begin, begin + last) for begin in begins]


@pytest.mark.parametrize(
    ("framerate", "rate"),
    [
        (29.97, Fraction(30000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (119.88, Fraction(120000, 1001)),
        (14.985, Fraction(15000, 1001)),
        (25.0, Fraction(25)),
        (30.0, Fraction(30)),
        (12.5, Fraction(25, 2)),
        (1.0, Fraction(1)),
        (0.5, Fraction(1, 2)),
        (0.1, Fraction(1, 10)),
        (1e-9, Fraction(1, 1000)),
    ],
)
def test_framerates_mean_what_people_mean(framerate, rate):
    assert exact_rate(framerate) == rate


def test_the_first_picture_is_the_one_shown_at_the_start():
    shown = list(cut(frames(0, 10, 20, 30, 40), start=15, end=35))
    assert shown == [Shown(10, 0, 5), Shown(20, 5, 15), Shown(30, 15, 20)]


def test_without_an_end_the_last_picture_is_shown_as_long_as_it_says():
    shown = list(cut(frames(0, 10, 20, last=7), start=10, end=None))
    assert shown == [Shown(10, 0, 10), Shown(20, 10, 17)]


def test_nothing_is_shown_past_the_end_of_the_last():
    assert list(cut(frames(0, 10), start=20, end=None)) == []
    assert list(cut(frames(0, 10), start=19, end=None)) == [Shown(10, 0, 1)]
    assert list(cut([], start=0, end=None)) == []


def test_a_source_that_begins_late_begins_with_its_first_picture():
    assert list(cut(frames(30, 40), start=0, end=45)) == [Shown(30, 0, 40), Shown(40, 40, 45)]


def test_frames_out_of_order_are_left_out():
    shown = list(cut(frames(0, 10, 10, 5, 20), start=0, end=None))
    assert shown == [Shown(0, 0, 10), Shown(10, 10, 20), Shown(20, 20, 30)]


def test_no_frame_is_asked_for_past_the_end():
    def endless():
        for begin in range(0, 1000, 10):
            assert begin <= 30
            yield Shown(begin, begin, begin + 10)

    assert len(list(cut(endless(), start=0, end=30))) == 3


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=40),
    st.integers(0, 300),
    st.one_of(st.none(), st.integers(1, 300)),
)
def test_a_cut_has_no_gap_and_shows_what_the_source_shows(begins, start, length):
    source = frames(*sorted(set(begins)))
    end = None if length is None else start + length
    shown = list(cut(source, start=start, end=end))
    ticks = 0
    for each in shown:
        assert each.begin == ticks < each.end
        ticks = each.end
        there = [frame.picture for frame in source if frame.begin <= start + each.begin]
        assert each.picture == max(there, default=source[0].picture)
    last = source[-1].end
    assert ticks == max(0, (last if end is None else min(last, end)) - start)


def test_an_even_rate_shows_the_frame_of_each_moment():
    source = [Shown(number, number, number + 1) for number in range(50)]
    shown = list(paced(source, time_base=Fraction(1, 25), rate=Fraction(10)))
    assert [each.picture for each in shown] == [int(number * 2.5) for number in range(20)]
    assert [(each.begin, each.end) for each in shown] == [(k, k + 1) for k in range(20)]


def test_times_rounded_to_milliseconds_lose_and_double_no_frame():
    rate = Fraction(30000, 1001)
    times = [round(number / rate * 1000) for number in range(301)]
    source = [Shown(n, times[n], times[n + 1]) for n in range(300)]
    shown = list(paced(source, time_base=Fraction(1, 1000), rate=rate))
    assert [(each.picture, each.begin, each.end) for each in shown] == [
        (number, number, number + 1) for number in range(300)
    ]


def test_one_picture_at_least_is_kept():
    shown = list(paced([Shown("a", 0, 1)], time_base=Fraction(1, 1000), rate=Fraction(1)))
    assert shown == [Shown("a", 0, 1)]
    assert list(paced([], time_base=Fraction(1, 1000), rate=Fraction(1))) == []


@given(
    st.lists(st.integers(1, 200), min_size=1, max_size=40),
    st.sampled_from([Fraction(1, 1000), Fraction(1, 90_000), Fraction(1, 25)]),
    st.sampled_from([Fraction(1), Fraction(30000, 1001), Fraction(240)]),
)
def test_an_even_rate_is_even_and_as_long(lengths, time_base, rate):
    ends = [sum(lengths[: number + 1]) for number in range(len(lengths))]
    source = [
        Shown(number, end - length, end)
        for number, (end, length) in enumerate(zip(ends, lengths, strict=True))
    ]
    shown = list(paced(source, time_base=time_base, rate=rate))
    assert shown[0].begin == 0
    assert all(one.end == other.begin for one, other in pairwise(shown))
    assert abs(shown[-1].end / rate - ends[-1] * time_base) <= 1 / rate
