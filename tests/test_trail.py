"""The trail: the last mark of an attempt that has no end names the entry that was under way."""

import uuid

import pytest

from farm import storage
from farm.ledger import Ledger, ShardRef
from farm.trail import Trail, count_strikes


@pytest.fixture
def ledger():
    return Ledger(f"memory://{uuid.uuid4()}/marks/l", storage)


@pytest.fixture
def ref(ledger):
    return ShardRef(ledger.uri, 1, 0, 2, 1, losses=2)


def attempt(ledger, ref, *rows, ends=False, run="run"):
    trail = Trail(ledger, ref, run)
    for row in rows:
        trail.begin(row)
    if ends:
        trail.end()


def suspects(ledger, ref, run="run"):
    return Trail(ledger, ref, run).suspects


def convicts(ledger, ref):
    return Trail(ledger, ref, "run").convicts


def test_at_first_nobody_is_suspected(ledger, ref):
    assert suspects(ledger, ref) == set()
    assert count_strikes(ledger, 1) == 0


def test_the_last_entry_of_a_lost_attempt_is(ledger, ref):
    attempt(ledger, ref, 3, 4, 12, 5)
    assert suspects(ledger, ref) == {5}
    assert count_strikes(ledger, 1) == 1


def test_of_an_attempt_that_ended_none_is(ledger, ref):
    attempt(ledger, ref, 3, 4, ends=True)
    attempt(ledger, ref)
    assert suspects(ledger, ref) == set()
    assert count_strikes(ledger, 1) == 0


def test_twice_it_is_convicted(ledger, ref):
    attempt(ledger, ref, 3, 4, 12, 5)
    assert convicts(ledger, ref) == set()
    attempt(ledger, ref, 5)
    assert convicts(ledger, ref) == {5}
    assert suspects(ledger, ref) == set()
    attempt(ledger, ref, 3, 4)
    assert (convicts(ledger, ref), suspects(ledger, ref)) == ({5}, {4})


def test_each_lost_attempt_has_its_own(ledger, ref):
    attempt(ledger, ref, *range(1, 12))
    attempt(ledger, ref, 3, 4, ends=True)
    attempt(ledger, ref, 7, 9)
    assert suspects(ledger, ref) == {11, 9}
    assert count_strikes(ledger, 1) == 2


def test_an_entry_that_is_begun_twice_counts_by_its_second_mark(ledger, ref):
    """As the second and lone try of an entry that had lost its lane does."""
    attempt(ledger, ref, 1, 2, 3, 2)
    assert suspects(ledger, ref) == {2}


def test_more_than_ten_attempts_and_steps_stay_in_order(ledger, ref):
    for row in range(1, 13):
        attempt(ledger, ref, *range(100, 112), row)
    assert suspects(ledger, ref) == set(range(1, 13))


def test_other_runs_and_shards_have_trails_of_their_own(ledger, ref):
    attempt(ledger, ref, 3, run="farm-a")
    attempt(ledger, ShardRef(ledger.uri, 1, 0, 2, 0), 4)
    attempt(ledger, ShardRef(ledger.uri, 2, 0, 2, 1), 5)
    assert suspects(ledger, ref) == set()
    assert suspects(ledger, ref, "farm-a") == {3}
    assert count_strikes(ledger, 1) == 2
    assert count_strikes(ledger, 2) == 1


def test_losses_make_no_other_shard_of_it(ref):
    fresh = ShardRef(ref.ledger, 1, 0, 2, 1)
    assert fresh == ref
    assert len({fresh, ref}) == 1
