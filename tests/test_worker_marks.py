"""Marks: a shard whose attempts were lost with their workers is walked one entry at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from farm import storage, trail
from farm.errors import DiskFullError
from farm.ledger import Ledger
from farm.record import STAGES
from tests.lanes import wait_until
from tests.test_worker import attempt, failing, one, planned, records, ref

__all__ = ["one", "ref"]


@pytest.fixture
def lost(tmp_path):
    return replace(planned(tmp_path, [{"seed": n} for n in range(6)]), losses=2)


def die_at(monkeypatch, *rows):
    """Has whoever opens one of these sources die, as far as its attempt can."""

    class Died(BaseException):
        pass

    real = storage.open_source

    def open_source(uri, **options):
        if any(uri.endswith(f"/{row}.syn") for row in rows):
            raise Died
        return real(uri, **options)

    monkeypatch.setattr(storage, "open_source", open_source)
    # The dead put no mark.
    monkeypatch.setattr(trail.Trail, "end", lambda self: None)
    return Died


def test_the_entry_that_kills_is_quarantined_and_the_rest_goes_on(one, lost, monkeypatch):
    with monkeypatch.context() as patch:
        died = die_at(patch, 3)
        for _ in range(2):
            with pytest.raises(died):
                attempt(one, lost)
    summary = attempt(one, lost)
    assert (summary.committed, summary.counts) == (True, {"ok": 5, "quarantined": 1})
    found = records(lost)[3]
    assert (found.error_code, found.attempts, found.retryable) == ("decoder_crash", 2, False)
    assert found.message.startswith(found.source)
    assert "/3.syn: the workers of 2 attempts died" in found.message
    assert found.fingerprint
    assert found.id


def test_of_several_each_is_found(one, lost, monkeypatch):
    with monkeypatch.context() as patch:
        died = die_at(patch, 2, 5)
        for _ in range(4):
            with pytest.raises(died):
                attempt(one, lost)
    assert attempt(one, lost).counts == {"ok": 4, "quarantined": 2}
    assert {row for row, each in records(lost).items() if each.artifacts} == {1, 3, 4, 6}


def test_who_was_under_way_at_one_death_comes_first_and_is_cleared(one, lost, monkeypatch):
    with monkeypatch.context() as patch:
        died = die_at(patch, 4)
        with pytest.raises(died):
            attempt(one, lost)
    assert attempt(one, lost).counts == {"ok": 6}
    began = sorted(records(lost).values(), key=lambda record: record.started)
    assert [record.row for record in began] == [4, 1, 2, 3, 5, 6]


def test_without_losses_nothing_is_marked(one, ref):
    attempt(one, ref)
    attempt(one, replace(ref, losses=1))
    assert Ledger(ref.ledger, storage).marks(1) == []


def test_an_attempt_that_ends_otherwise_accuses_nobody(one, lost, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(storage, "put", failing(DiskFullError("no space left")))
        assert attempt(one, lost).blocked_by == "disk_full"
    assert attempt(one, lost).counts == {"ok": 6}


def test_it_is_walked_while_no_other_shard_is(one, lost, tmp_path):
    slow = planned(tmp_path / "slow", [{}, {"sleep": 0.5}])
    beside = planned(tmp_path / "beside", [{}] * 3)
    last_taken = threading.Event()
    with ThreadPoolExecutor(3) as executor:
        first = executor.submit(
            one.run_shard, slow, run="run", is_final=False, last_taken=last_taken.set
        )
        assert last_taken.wait(20)
        marked = executor.submit(attempt, one, lost)
        # It has begun when it waits for the tail of the first.
        wait_until(lambda: one._taking.locked())
        third = executor.submit(attempt, one, beside)
        assert {_.result().committed for _ in (first, marked, third)} == {True}
    began = {ref.ledger: sorted(_.started for _ in records(ref).values())
             for ref in (slow, lost, beside)}  # fmt: skip
    ends = max(
        _.started + sum(_.timings_ms[stage] for stage in STAGES) / 1e3
        for _ in records(slow).values()
    )
    assert began[lost.ledger][0] >= ends - 0.1
    assert began[lost.ledger][-1] <= began[beside.ledger][0]
