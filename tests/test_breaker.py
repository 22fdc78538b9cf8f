"""The breaker: when a pause begins, how long it waits between probes and when it ends."""

import pytest

from farm import breaker
from farm.breaker import Breaker
from farm.ledger import ShardRef


class Clock:
    """A time that passes on demand."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(breaker, "time", clock)
    return clock


def ref(index):
    return ShardRef("/ledger", 1, 0, 8, index)


def test_a_pause_begins_when_as_many_in_a_row_failed_as_can_run_at_once(clock):
    one = Breaker(60)
    assert one.gave_up(ref(0), 3, "store_denied: no") is False
    assert one.gave_up(ref(1), 3, "store_denied: no") is False
    assert one.paused_since is None
    assert one.gave_up(ref(2), 3, "disk_full: full") is True
    assert one.paused_since == 1000
    assert one.probe_after == 1001
    assert one.reason == "disk_full: full"
    assert one.aside == [ref(0), ref(1), ref(2)]


def test_a_success_between_failures_keeps_the_run_going(clock):
    one = Breaker(60)
    for index in range(10):
        assert one.gave_up(ref(index), 2, "x") is False
        assert one.committed() is False
    assert one.paused_since is None


def test_probes_become_rarer_up_to_a_minute(clock):
    one = Breaker(600)
    assert one.gave_up(ref(0), 1, "x") is True
    waits = []
    for index in range(1, 9):
        clock.now = one.probe_after
        assert one.gave_up(ref(index), 1, "x") is False
        waits.append(one.probe_after - clock.now)
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]


def test_a_success_ends_the_pause_and_the_next_one_begins_afresh(clock):
    one = Breaker(60)
    for index in range(4):
        one.gave_up(ref(index), 1, "x")
    assert one.committed() is True
    assert one.paused_since is None
    assert one.committed() is False
    assert one.gave_up(ref(9), 1, "x") is True
    assert one.probe_after == clock.now + 1


def test_a_pause_is_exhausted_after_its_time(clock):
    one = Breaker(60)
    assert not one.is_exhausted()
    one.gave_up(ref(0), 1, "x")
    clock.now += 60
    assert not one.is_exhausted()
    clock.now += 0.001
    assert one.is_exhausted()
    one.committed()
    assert not one.is_exhausted()


def test_who_could_not_probe_for_a_while_has_all_the_time_again(clock):
    one = Breaker(60)
    one.begin_anew()
    assert one.paused_since is None
    one.gave_up(ref(0), 1, "disk_full: full")
    clock.now += 100
    assert one.is_exhausted()
    one.begin_anew()
    assert not one.is_exhausted()
    assert one.probe_after == clock.now
