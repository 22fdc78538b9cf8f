"""Efforts: time in which somebody works counts once, whatever was done at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.effort import Attendance, Effort, Spans

STRETCHES = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 30)), max_size=40)


def covered(stretches, *, bridged=1):
    """The same by counting quarters of seconds, of which gaps of at most 1 s are bridged."""
    ends = sorted((begin, begin + length) for begin, length in stretches)
    total, until = 0, None
    for begin, end in ends:
        if until is None or begin > until + bridged:
            total += end - begin
            until = end
        else:
            total += max(0, end - until)
            until = max(until, end)
    return total


@given(STRETCHES)
def test_what_overlaps_counts_once_in_any_order(stretches):
    spans = Spans()
    for begin, length in stretches:
        spans.add(begin, begin + length)
    assert spans.seconds == covered(stretches)


def test_spans_that_meet_are_one():
    spans = Spans()
    for number in range(1000):
        spans.add(number * 10.0, number * 10.0 + 9.9)
    assert len(spans._begins) == 1
    assert spans.seconds == pytest.approx(9999.9)


def test_shards_of_one_worker_overlap_and_workers_add_up():
    attendance = Attendance(
        [
            Effort("a", 100.0, 10.0, 4),
            Effort("a", 105.0, 10.0, 4),
            Effort("b", 112.0, 8.0, 2),
            Effort("b", 130.0, 5.0, 2),
        ]
    )
    assert attendance.workers == 2
    assert attendance.seconds == 20 + 5
    assert attendance.worker_seconds == 15 + 13
    assert attendance.lane_seconds == 15 * 4 + 13 * 2


def test_nobody_has_worked_yet():
    assert (Attendance().seconds, Attendance().worker_seconds, Attendance().workers) == (0, 0, 0)


def test_it_is_stored_by_names_and_reads_what_a_newer_farm_added():
    effort = Effort("h:1", 5.0, 2.5, 8)
    fields = effort.to_fields()
    assert fields == {"worker": "h:1", "began": 5.0, "seconds": 2.5, "lanes": 8}
    assert Effort.from_fields(fields | {"gpus": 1}) == effort
