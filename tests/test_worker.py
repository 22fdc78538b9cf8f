"""The worker: one attempt at a shard ends in one commit, a cause from outside, or nothing."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from farm import storage, worker
from farm.entry import deferred
from farm.errors import (
    DiskFullError,
    RunConflictError,
    SourceDeniedError,
    SourceUnavailableError,
    StoreDeniedError,
)
from farm.history import final_records
from farm.ledger import Ledger
from farm.options import RunOptions
from farm.passes import Passes
from farm.record import Status
from farm.row import Row
from farm.settings import Limits, Settings
from farm.spec import Entry
from farm.worker import Worker
from tests.lanes import shared_pool, wait_until
from tests.recipes import make_job, make_ledger, records_by_row, write_manifest, write_source


@pytest.fixture
def one(monkeypatch):
    """A worker over the shared lanes."""
    monkeypatch.setattr(worker, "LanePool", lambda **_: shared_pool())
    return Worker(Settings())


@pytest.fixture
def ref(tmp_path):
    return planned(tmp_path, [{}, {"seed": 1}, {"fault": "error"}])


def planned(folder, recipes, **settings):
    """The only shard of a planned job over these recipes."""
    folder.mkdir(exist_ok=True)
    for number, values in enumerate(recipes, 1):
        write_source(folder / f"{number}.syn", **values)
    rows = ({"source": f"{number}.syn"} for number in range(1, len(recipes) + 1))
    write_manifest(folder / "list.jsonl", rows)
    ledger = make_ledger(folder)
    planner = Passes(ledger, make_job(folder, settings=settings), RunOptions()).next_planner()
    ((part, _),) = planner.plan()
    (ref,) = ledger.shards(1, [part])
    return ref


def records(ref):
    return records_by_row(final_records(Ledger(ref.ledger, storage)))


def attempt(one, ref, *, run="run", is_final=False):
    return one.run_shard(ref, run=run, is_final=is_final)


class TestAttempt:
    def test_its_records_are_committed_and_summed_up(self, one, ref):
        summary = attempt(one, ref)
        found = records(ref)
        assert summary.name == "000000-0000"
        assert (summary.committed, summary.was_done, summary.blocked_by) == (True, False, None)
        assert summary.counts == {"ok": 2, "failed": 1}
        assert summary.codes == {"corrupt": 1}
        assert (summary.entries, summary.pictures) == (3, 2)
        assert summary.bytes_read == sum(record.bytes_read for record in found.values())
        assert summary.bytes_written == sum(
            artifact.size_bytes for record in found.values() for artifact in record.artifacts
        )
        assert summary.seconds > 0
        assert summary.worker == one.name == found[1].worker

    def test_a_committed_shard_is_not_touched_again(self, one, ref, monkeypatch):
        attempt(one, ref)
        monkeypatch.setattr(Ledger, "read_shard", None)
        summary = attempt(one, ref)
        assert (summary.committed, summary.was_done, summary.entries) == (False, True, 0)

    def test_of_two_at_once_one_commits(self, one, tmp_path):
        ref = planned(tmp_path, [{}] * 6)
        together = threading.Barrier(2)

        def race(_):
            together.wait()
            return attempt(one, ref)

        with ThreadPoolExecutor(2) as executor:
            summaries = list(executor.map(race, range(2)))
        assert sorted(summary.committed for summary in summaries) == [False, True]
        assert sorted(summary.was_done for summary in summaries) == [False, True]
        assert len(records(ref)) == 6

    def test_another_may_begin_before_its_last_entry_ends(self, one, tmp_path):
        slow = planned(tmp_path / "slow", [{}, {"sleep": 1.0}])
        quick = planned(tmp_path / "quick", [{}] * 6)
        last_taken = threading.Event()
        with ThreadPoolExecutor(1) as executor:
            first = executor.submit(
                one.run_shard, slow, run="run", is_final=False, last_taken=last_taken.set
            )
            assert last_taken.wait(20)
            assert attempt(one, quick).counts == {"ok": 6}
            assert not first.done()
            assert first.result().counts == {"ok": 2}

    def test_of_two_at_once_the_older_ones_entries_all_begin_first(self, one, tmp_path):
        shards = [planned(tmp_path / name, [{"sleep": 0.02}] * 8) for name in ("a", "b")]
        with ThreadPoolExecutor(2) as executor:
            for _ in executor.map(lambda ref: attempt(one, ref), shards):
                pass
        began = sorted(
            (record.started, ref.ledger) for ref in shards for record in records(ref).values()
        )
        ledgers = [ledger for _, ledger in began]
        assert len(ledgers) == 16
        assert len(set(ledgers[:8])) == 1

    def test_a_summary_is_small(self, one, tmp_path):
        ref = planned(tmp_path, [{"fault": "error"}] * 16)
        assert len(repr(attempt(one, ref))) < 1000


class TestCausesFromOutside:
    @pytest.fixture
    def denied(self, monkeypatch):
        def open_source(uri, **_):
            raise SourceDeniedError(f"cannot read {uri!r}: HTTP 403 Forbidden")

        monkeypatch.setattr(storage, "open_source", open_source)

    def test_a_shard_that_is_given_up_is_not_committed(self, one, ref, denied):
        summary = attempt(one, ref)
        assert summary.blocked_by == "source_denied"
        assert "HTTP 403" in summary.blocked_message
        assert (summary.committed, summary.was_done, summary.entries) == (False, False, 0)
        assert not Ledger(ref.ledger, storage).is_committed(ref)

    def test_for_good_it_is_committed_as_failed_and_may_be_retried(self, one, ref, denied):
        summary = attempt(one, ref, is_final=True)
        assert (summary.committed, summary.counts) == (True, {"failed": 3})
        assert {(each.status, each.retryable) for each in records(ref).values()} == {
            (Status.FAILED, True)
        }

    def test_it_ends_well_when_the_cause_is_gone(self, one, tmp_path, monkeypatch):
        ref = planned(tmp_path, [{}] * 6)
        with monkeypatch.context() as patch:
            patch.setattr(storage, "put", failing(DiskFullError("no space left")))
            assert attempt(one, ref).blocked_by == "disk_full"
        assert attempt(one, ref).counts == {"ok": 6}

    @pytest.mark.parametrize("error", [DiskFullError("full"), StoreDeniedError("HTTP 403")])
    def test_a_commit_that_cannot_be_stored_is_one(self, one, ref, monkeypatch, error):
        with monkeypatch.context() as patch:
            patch.setattr(storage, "put_new", failing(error))
            summary = attempt(one, ref)
        assert (summary.blocked_by, summary.committed) == (error.code, False)
        assert summary.entries == 0
        assert attempt(one, ref).committed

    def test_a_ledger_that_cannot_be_read_is_one(self, one, ref, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(storage, "get", failing(SourceUnavailableError("HTTP 503")))
            summary = attempt(one, ref)
        assert (summary.blocked_by, summary.committed) == ("source_unavailable", False)
        assert attempt(one, ref).committed


def failing(error):
    def fail(*_, **__):
        raise error

    return fail


def test_a_ledger_of_a_newer_farm_is_the_runs_affair(one, ref, monkeypatch):
    worker._job.cache_clear()
    path = storage.join(ref.ledger, "pass-0001/pass.json")
    storage.put(path, storage.get(path).replace(b'"schema_version": 2', b'"schema_version": 9'))
    with pytest.raises(RunConflictError, match="ledger schema 9"):
        attempt(one, ref)


class TestDrain:
    def test_it_leaves_the_shards_of_its_run_as_they_are(self, one, ref):
        one.drain("run")
        summary = attempt(one, ref)
        assert (summary.committed, summary.blocked_by, summary.counts) == (False, "drain", {})

    def test_of_a_shard_that_waits_for_the_one_before_nothing_is_committed(self, one, ref):
        with ThreadPoolExecutor(1) as executor:
            with one._taking:
                waiting = executor.submit(attempt, one, ref)
                one.drain("run")
            assert waiting.result().blocked_by == "drain"
        assert not Ledger(ref.ledger, storage).is_committed(ref)

    def test_it_is_no_affair_of_another_run(self, one, ref):
        one.drain("another")
        assert attempt(one, ref).counts == {"ok": 2, "failed": 1}

    def test_asked_for_twice_the_clock_runs_from_the_first(self, one):
        one.drain("run")
        ends = one._drains.ends("run", 30)
        one.drain("run")
        assert one._drains.ends("run", 30) == ends


class TestUrgentEntries:
    @pytest.fixture
    def entry(self, tmp_path):
        def made(**recipe):
            source = write_source(tmp_path / "u.syn", **recipe)
            outputs = ({"width": 16, "format": "png"},)
            return Entry(source=str(source), destination=str(tmp_path / "u"), outputs=outputs)

        return made

    def test_each_has_its_record(self, one, entry):
        record = one.run_entry(entry(), Limits(), "k")
        assert (record.status, record.worker, len(record.artifacts)) == (Status.OK, one.name, 1)
        assert one.run_entry(entry(fault="error"), Limits(), "k").error_code == "corrupt"
        assert not one.is_busy

    def test_one_may_be_cancelled_before_it_comes(self, one, entry, tmp_path):
        one.cancel_entry("k")
        assert one.run_entry(entry(), Limits(), "k").status is Status.DEFERRED
        assert one.run_entry(entry(), Limits(), "other").status is Status.OK

    def test_it_is_busy_until_they_end(self, one, entry):
        with ThreadPoolExecutor(1) as executor:
            running = executor.submit(one.run_entry, entry(fault="hang"), Limits(), "k")
            wait_until(lambda: one.is_busy)
            one.cancel_entry("k")
            assert running.result(timeout=20).status is Status.DEFERRED
        assert not one.is_busy

    def test_closing_ends_them_undone(self, one, entry, monkeypatch):
        monkeypatch.setattr(one.pool, "close", lambda: None)
        running = one.entry_threads.submit(one.run_entry, entry(fault="hang"), Limits(), "k")
        wait_until(lambda: one.is_busy)
        one.close()
        assert running.result(timeout=20).status is Status.DEFERRED

    def test_it_has_slots_for_those_in_lanes_and_a_few_more(self, monkeypatch):
        monkeypatch.setattr(worker, "LanePool", lambda **_: SimpleNamespace(lanes=3))
        assert Worker(Settings(reserved_lanes=2)).entry_slots == 13


def test_it_tells_the_oldest_entry_of_a_run_without_its_secrets(one, ref, monkeypatch):
    started, ended = threading.Event(), threading.Event()

    def attempt(work, row, *, is_alone):
        started.set()
        ended.wait(30)
        return deferred(row), None

    rows = [Row(7, {"source": "https://user:pass@example.org/a.jpg?X-Amz-Signature=abc"})]
    monkeypatch.setattr("farm.entry.EntryWork.attempt", attempt)
    monkeypatch.setattr("farm.ledger.Ledger.read_shard", lambda *_: rows)
    with ThreadPoolExecutor(1) as threads:
        shard = threads.submit(one.run_shard, ref, run="mine", is_final=False)
        assert started.wait(30)
        mine, others = one.pace("mine"), one.pace("another's")
        ended.set()
        shard.result()
    assert mine.oldest is not None
    assert (mine.oldest.row, mine.oldest.worker) == (7, one.name)
    assert 0 <= mine.oldest.seconds < 30
    assert "example.org/a.jpg" in mine.oldest.source
    assert "pass" not in mine.oldest.source
    assert "abc" not in mine.oldest.source
    assert others.oldest is None
    assert others.overdue_seconds == pytest.approx(mine.overdue_seconds, abs=30)
    assert one.pace("mine").oldest is None


def test_it_has_as_many_lanes_as_cores_unless_told(monkeypatch):
    monkeypatch.setattr(worker, "LanePool", lambda **settings: SimpleNamespace(**settings))
    monkeypatch.setattr(worker, "usable_cores", lambda: 5)
    assert Worker(Settings()).pool.lanes == 5
    assert Worker(Settings(lanes=3)).pool.lanes == 3


def test_it_loads_no_codec_and_no_tensors():
    script = (
        "import sys, farm.worker, farm.storage.local, farm.ledger; "
        "loaded = {'torch', 'PIL', 'av', 'decord', 'kernels', 'farm.pipeline'} & set(sys.modules); "
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
