"""Progress: the rate of the last minute, and what it makes of the rest."""

import pytest

from farm import progress
from farm.progress import Progress, RunTally, Tally
from farm.run_status import LiveState
from farm.summary import Summary


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def shard(ok, failed=0, quarantined=0, **fields):
    counts = {"ok": ok, "failed": failed, "quarantined": quarantined}
    return Summary("s", committed=True, counts=counts, pictures=2 * ok, **fields)


def test_at_first_nothing_is_known(clock):
    now = Tally(3).now(None, in_flight=0)
    assert (now.rows, now.entries, now.entries_per_second, now.seconds_left) == (None, 0, 0, None)
    assert now.pass_number == 3


def test_entries_are_counted_by_how_they_ended(clock):
    tally = Tally(1)
    tally.count(shard(5, failed=2, quarantined=1))
    tally.count(shard(4))
    so_far = tally.progress
    assert (so_far.entries, so_far.failures, so_far.pictures) == (12, 3, 18)


def test_what_another_attempt_had_committed_counts_once(clock):
    tally = Tally(1)
    tally.count(shard(5))
    tally.count(shard(5, was_done=True))
    tally.count(None)
    assert tally.progress.entries == 5


def test_the_rate_is_that_of_the_last_minute(clock):
    tally = Tally(1)
    tally.count(shard(600))
    clock[0] += 10
    tally.count(shard(100))
    now = tally.now(1700, in_flight=4)
    assert (now.entries_per_second, now.seconds_left, now.shards_in_flight) == (70, 1000 / 70, 4)
    clock[0] += 55
    assert tally.now(1700, in_flight=4).entries_per_second == 100 / 55
    clock[0] += 60
    now = tally.now(1700, in_flight=0)
    assert (now.entries_per_second, now.seconds_left) == (0, None)


def test_more_than_all_leaves_no_time_below_nothing(clock):
    """As where rows were only guessed."""
    tally = Tally(1)
    tally.count(shard(9))
    assert tally.now(5, in_flight=0).seconds_left == 0


def at(state=LiveState.RUNNING, reason="", number=1, before=None):
    """A progress of which only these are of interest."""
    return Progress(
        None, 0, 0, 0, 0.0, None, 0, number, state=state, reason=reason, shards_before=before
    )


class TestRunTally:
    def test_at_first_it_has_just_begun(self, clock):
        told = RunTally().now()
        assert (told.state, told.reason) == (LiveState.PLANNING, "it has just begun")
        assert (told.progress, told.settled, told.entries_per_second) == (None, {}, 0)

    def test_it_tells_when_the_run_is_at_something_else(self, clock):
        tally = RunTally()
        assert tally.note(at())
        assert not tally.note(at())
        assert tally.note(at(LiveState.PAUSED, "disk_full"))
        assert not tally.note(at(LiveState.PAUSED, "disk_full"))
        assert tally.note(at(LiveState.PAUSED, "by ann"))
        assert tally.note(at(number=2))

    def test_figures_are_those_of_each_pass(self, clock):
        tally = RunTally()
        tally.count(1, shard(5, failed=2, bytes_read=10, bytes_written=20, codes={"corrupt": 2}))
        tally.count(1, shard(1, failed=1, codes={"corrupt": 1}))
        tally.count(2, shard(3, codes={"no_frame": 1}))
        tally.note(at(before=frozenset({"a"})))
        tally.note(at(number=2, before=frozenset()))
        told = tally.now()
        first, second = told.settled[1], told.settled[2]
        assert (first.shards, first.entries, first.pictures) == (2, 9, 12)
        assert (first.codes, first.bytes_read, first.bytes_written) == ({"corrupt": 3}, 10, 20)
        assert second.entries == 3
        assert told.before == {1: {"a"}, 2: frozenset()}
        assert told.witnesses == {"corrupt": (1, "s"), "no_frame": (2, "s")}

    def test_the_rate_is_that_of_five_minutes_or_of_the_time_since_work_began(self, clock):
        tally = RunTally()
        clock[0] += 50
        tally.note(at())
        clock[0] += 10
        tally.count(1, shard(100))
        assert tally.now().entries_per_second == 10
        clock[0] += 190
        tally.count(1, shard(500))
        assert tally.now().entries_per_second == 3
        clock[0] += 150
        assert tally.now().entries_per_second == pytest.approx(500 / 300)
        clock[0] += 300
        assert tally.now().entries_per_second == 0

    def test_the_end_has_the_last_word(self, clock):
        tally = RunTally()
        tally.note(at())
        tally.end(LiveState.STOPPED, "because", None)
        assert (tally.now().state, tally.now().reason) == (LiveState.STOPPED, "because")
