"""Progress: the rate of the last minute, and what it makes of the rest."""

import pytest

from farm import progress
from farm.progress import Tally
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
