"""The run loop over a scripted cluster: it commits, loses, blocks and fails on demand."""

import collections
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm import breaker, storage
from farm.cluster import Outcome, OutcomeKind
from farm.cluster.port import outcome_of
from farm.errors import ClusterError, InvalidManifestError
from farm.history import final_records
from farm.ledger import Ledger, PassReason, ShardRef
from farm.options import RunOptions
from farm.record import Status
from farm.run import Event, RunState, Stop, run_job
from farm.source_list import SourceList
from farm.spec import Job
from farm.summary import Summary
from farm.trail import Trail
from tests.recipes import (
    make_job,
    make_ledger,
    plan_rows,
    record_of,
    records_by_row,
    write_manifest,
)

COMMITTED, BLOCKED, FAILED, LOST = OutcomeKind
ROWS = 20


@dataclass(frozen=True)
class Attempt:
    """One submitted shard attempt."""

    ref: ShardRef
    number: int
    is_final: bool


@dataclass
class ScriptedCluster:
    """A cluster without workers: `script` says how each attempt ends.

    Attempts that commit write records themselves, with the statuses of `status_of`; after a drain
    all rows are deferred. A pair is a commit of which the run hears something else.
    """

    job: Job
    ledger: Ledger
    script: Callable[[Attempt], OutcomeKind | tuple[OutcomeKind, OutcomeKind]] = lambda attempt: (
        COMMITTED
    )
    status_of: Callable[[int], Status] = lambda row: Status.OK
    workers: int = 2
    dashboard: str | None = None
    submitted: list[Attempt] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    drains: int = 0
    closes: int = 0
    _waiting: collections.deque[Attempt] = field(default_factory=collections.deque)

    def slots(self):
        return self.workers

    def submit(self, ref, attempt, *, is_final):
        self.submitted.append(Attempt(ref, attempt, is_final))
        self._waiting.append(self.submitted[-1])

    def next_outcome(self, timeout_seconds):
        if not self._waiting:
            time.sleep(0.001)
            return None
        self.in_flight.append(len(self._waiting))
        attempt = self._waiting.popleft()
        match self.script(attempt):
            case OutcomeKind.COMMITTED:
                return self._commit(attempt.ref)
            case OutcomeKind.BLOCKED:
                name = attempt.ref.name
                blocked = Summary(name, False, blocked_by="disk_full", blocked_message="full")
                return outcome_of(attempt.ref, blocked)
            case (OutcomeKind.COMMITTED, after):
                self._commit(attempt.ref)
                return Outcome(attempt.ref, after, reason="the worker died")
            case kind:
                return Outcome(attempt.ref, kind, reason="the worker died")

    def _commit(self, ref):
        rows = self.ledger.read_shard(ref)
        draining = self.drains > 0
        records = [
            record_of(row, self.job, Status.DEFERRED if draining else self.status_of(row.number))
            for row in rows
        ]
        committed = self.ledger.commit(ref, records)
        if committed:
            self.committed.append(ref.name)
        counts = collections.Counter(record.status for record in records)
        return outcome_of(ref, Summary(ref.name, committed, not committed, counts=dict(counts)))

    def where(self):
        return {}

    def oldest_entry(self):
        return None

    def drain(self):
        self.drains += 1

    def close(self):
        self.closes += 1


@dataclass
class Watcher:
    """Remembers what it is told; may ask for a stop after so many calls."""

    stop: Stop = field(default_factory=Stop)
    stop_after: int | None = None
    seen: list = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    outcomes: list = field(default_factory=list)

    def progressed(self, progress):
        self.seen.append(progress)
        if len(self.seen) == self.stop_after:
            self.stop.request()

    def noticed(self, message, *, event=Event.NOTICE, shard=""):
        self.notices.append(message)
        self.events.append(event)

    def settled(self, outcome):
        self.outcomes.append(outcome)


@pytest.fixture(autouse=True)
def quick_probes(monkeypatch):
    monkeypatch.setattr(breaker, "_FIRST_PROBE_SECONDS", 0.005)
    monkeypatch.setattr(breaker, "_LONGEST_PROBE_SECONDS", 0.02)


@pytest.fixture
def folder(tmp_path):
    return job_folder(tmp_path)


def job_folder(folder, rows=ROWS):
    write_manifest(folder / "list.jsonl", ({"source": f"{n}.syn"} for n in range(1, rows + 1)))
    return folder


def a_job(folder, **fields):
    return make_job(folder, settings={"shard_entries": 2} | fields)


def run(folder, script=lambda attempt: COMMITTED, *, job=None, watcher=None, options=None, **fake):
    """The report of one command, its cluster and its watcher."""
    job, ledger = job or a_job(folder), make_ledger(folder)
    cluster = ScriptedCluster(job, ledger, script, **fake)
    watcher = watcher or Watcher()
    report = run_job(
        job,
        ledger,
        cluster=lambda: cluster,
        options=options or RunOptions(),
        observer=watcher,
        stop=watcher.stop,
    )
    return report, cluster, watcher


def no_cluster():
    pytest.fail("no cluster is needed")


def newest(folder):
    return records_by_row(final_records(make_ledger(folder)))


class TestDone:
    def test_every_shard_is_sent_once_and_every_row_has_its_record(self, folder):
        report, cluster, watcher = run(folder)
        assert report.state is RunState.DONE
        assert report.totals.counts == {"ok": ROWS}
        assert sorted(newest(folder)) == list(range(1, ROWS + 1))
        assert len(cluster.submitted) == ROWS // 2
        assert {attempt.number for attempt in cluster.submitted} == {1}
        assert not any(attempt.is_final for attempt in cluster.submitted)
        assert cluster.closes == 1
        assert watcher.notices == ["pass 1: all entries"]

    def test_the_window_is_what_can_run_and_as_much_again_and_a_little_more(self, folder):
        _, cluster, _ = run(folder, workers=3)
        assert 7 <= max(cluster.in_flight) <= 8

    def test_the_summary_is_stored(self, folder):
        report, _, _ = run(folder)
        summary = json.loads(storage.get(report.summary))
        assert summary["state"] == "done"
        assert summary["entries"] == ROWS
        assert report.ledger == make_ledger(folder).uri

    def test_a_finished_run_starts_no_cluster(self, folder):
        run(folder)
        report = run_job(a_job(folder), make_ledger(folder), cluster=no_cluster,
                         options=RunOptions(), observer=Watcher(), stop=Stop())  # fmt: skip
        assert report.state is RunState.DONE
        assert report.totals.entries == ROWS

    def test_an_empty_manifest_is_done(self, tmp_path):
        report, cluster, _ = run(job_folder(tmp_path, 0))
        assert (report.state, report.totals.entries, cluster.submitted) == (RunState.DONE, 0, [])

    def test_progress_grows_to_the_end(self, folder):
        _, _, watcher = run(folder, status_of=lambda n: Status.FAILED if n == 3 else Status.OK)
        entries = [progress.entries for progress in watcher.seen]
        assert entries == sorted(entries)
        last = watcher.seen[-1]
        assert (last.entries, last.failures) == (ROWS, 1)
        assert {progress.rows for progress in watcher.seen} <= {None, ROWS}
        assert (last.shards_in_flight, last.shards_todo, last.pass_number) == (0, 0, 1)
        assert last.slots == 2

    def test_deferred_rows_are_taken_up_by_the_next_pass_of_the_same_command(self, folder):
        seen = collections.Counter()

        def status_of(row):
            seen[row] += 1
            return Status.DEFERRED if row % 2 and seen[row] == 1 else Status.OK

        report, _, _ = run(folder, status_of=status_of)
        assert report.totals.counts == {"ok": ROWS}
        assert [one.reason for one in make_ledger(folder).passes()] == [
            PassReason.NEW,
            PassReason.DEFERRED,
        ]
        assert make_ledger(folder).deferred(2) == 0


class TestRetryable:
    def test_the_same_command_takes_them_up_after_a_pause(self, folder):
        seen = collections.Counter()

        def status_of(row):
            seen[row] += 1
            return "source_unavailable" if row == 3 and seen[row] < 3 else Status.OK

        job = a_job(folder, pause_seconds=0.01)
        report, _, watcher = run(folder, job=job, status_of=status_of)
        assert report.state is RunState.DONE
        assert report.totals.counts == {"ok": ROWS}
        assert watcher.notices == [
            "pass 1: all entries",
            *(
                f"pass {n}: the entries that failed and may succeed by now, after 0.01 s"
                for n in (2, 3)
            ),
        ]
        assert json.loads(storage.get(report.summary))["passes"] == [
            {"pass": 1, "reason": "new", "counts": {"ok": ROWS - 1}},
            {"pass": 2, "reason": "retryable", "counts": {}},
            {"pass": 3, "reason": "retryable", "counts": {"ok": 1}},
        ]

    def test_a_stop_ends_the_pause(self, folder):
        began = time.monotonic()
        watcher = Watcher()
        noticed = watcher.noticed
        watcher.noticed = lambda text, **_: (
            noticed(text),
            "after" in text and watcher.stop.request(),
        )
        status_of = lambda row: "source_unavailable"  # noqa: E731
        report, _, _ = run(folder, watcher=watcher, status_of=status_of)
        assert report.state is RunState.PAUSED
        assert time.monotonic() - began < 2
        again, _, watcher = run(folder)
        assert again.totals.counts == {"ok": ROWS}
        assert watcher.notices == ["pass 2: the entries that failed and may succeed by now"]


class TestLostAttempts:
    @pytest.mark.parametrize("kind", [LOST, FAILED])
    def test_they_are_sent_again_under_another_number(self, folder, kind):
        name = "000000-0001"
        report, cluster, watcher = run(
            folder, lambda _: kind if _.ref.name == name and _.number < 5 else COMMITTED
        )
        assert report.state is RunState.DONE
        sent = [attempt.number for attempt in cluster.submitted if attempt.ref.name == name]
        assert sent == [1, 2, 3, 4, 5]
        assert f"shard {name} is tried again: the worker died" in watcher.notices
        assert collections.Counter(watcher.events) == {
            Event.PASS_STARTED: 1,
            Event.ATTEMPT_LOST: 4,
        }
        ends = collections.Counter(outcome.kind for outcome in watcher.outcomes)
        assert ends == {kind: 4, COMMITTED: ROWS // 2}

    @pytest.mark.parametrize("kind", [LOST, FAILED])
    def test_the_fifth_ends_the_run(self, folder, kind):
        name = "000000-0001"
        report, cluster, _ = run(folder, lambda _: kind if _.ref.name == name else COMMITTED)
        assert report.state is RunState.FAILED
        assert report.reason == (
            f"run_failed: shard {name} failed 5 times, lastly: the worker died"
        )
        assert cluster.closes == 1
        again, _, _ = run(folder)
        assert again.state is RunState.DONE
        assert sorted(newest(folder)) == list(range(1, ROWS + 1))

    def test_the_workers_are_told_how_often(self, folder):
        name = "000000-0001"
        _, cluster, _ = run(
            folder, lambda _: LOST if _.ref.name == name and _.number < 4 else COMMITTED
        )
        sent = [attempt.ref.losses for attempt in cluster.submitted if attempt.ref.name == name]
        assert sent == [0, 1, 2, 3]
        assert sum(attempt.ref.losses for attempt in cluster.submitted) == 6

    def test_a_failure_is_no_loss(self, folder):
        _, cluster, _ = run(folder, lambda _: FAILED if _.number < 4 else COMMITTED)
        assert {attempt.ref.losses for attempt in cluster.submitted} == {0}

    def test_each_that_tells_which_entry_it_was_is_one_more_that_may_be_lost(self, folder):
        name = "000000-0001"

        def script(attempt):
            if attempt.ref.name != name or attempt.number > 7:
                return COMMITTED
            if attempt.number > 2:
                Trail(make_ledger(folder), attempt.ref, "run").begin(attempt.number)
            return LOST

        report, cluster, _ = run(folder, script)
        assert report.state is RunState.DONE
        assert max(attempt.number for attempt in cluster.submitted) == 8

    def test_one_that_had_committed_is_not_repeated(self, folder):
        report, cluster, _ = run(folder, lambda attempt: (COMMITTED, LOST))
        assert report.state is RunState.DONE
        assert len(cluster.submitted) == len(cluster.committed) == ROWS // 2


class TestPause:
    def test_it_probes_with_one_shard_until_the_cause_is_gone(self, folder):
        sent = []

        def script(attempt):
            sent.append(attempt)
            return BLOCKED if len(sent) <= 9 else COMMITTED

        report, cluster, watcher = run(folder, script)
        assert report.state is RunState.DONE
        assert report.totals.counts == {"ok": ROWS}
        assert watcher.notices[1:] == [
            "paused, looking again for up to 60 s: disk_full: full",
            "going on: the cause of the pause is gone",
        ]
        assert sorted(cluster.committed) == sorted({_.ref.name for _ in cluster.submitted})
        # The first window of four, then one by one.
        assert cluster.in_flight[4:10] == [1] * 6

    def test_waiting_for_better_times_is_no_attempt(self, folder):
        sent = collections.Counter()

        def script(attempt):
            sent[attempt.ref] += 1
            assert attempt.number == 1
            return BLOCKED if sent[attempt.ref] <= 7 else COMMITTED

        report, _, _ = run(folder, script, workers=1)
        assert report.state is RunState.DONE

    def test_exhausted_it_ends_the_command_and_the_next_goes_on(self, folder):
        report, cluster, _ = run(folder, lambda _: BLOCKED, job=a_job(folder, pause_seconds=0.1))
        assert (report.state, report.reason) == (RunState.PAUSED, "disk_full: full")
        assert cluster.committed == []
        assert cluster.closes == 1
        assert make_ledger(folder).deferred(1) is None
        again, _, _ = run(folder)
        assert again.totals.counts == {"ok": ROWS}
        assert len(make_ledger(folder).passes()) == 1

    def test_a_shard_that_alone_is_to_blame_is_sent_for_good_at_the_end(self, folder):
        name = "000000-0001"
        report, cluster, watcher = run(
            folder,
            lambda _: BLOCKED if _.ref.name == name and not _.is_final else COMMITTED,
            workers=4,
        )
        assert report.state is RunState.DONE
        assert [_.ref.name for _ in cluster.submitted if _.is_final] == [name]
        assert cluster.submitted[-1].is_final
        assert len(watcher.notices) == 1

    @pytest.mark.parametrize("ending", [LOST, FAILED, (COMMITTED, LOST)])
    def test_a_probe_that_is_lost_does_not_end_the_run(self, folder, ending):
        endings = iter([BLOCKED] * 4 + [ending])
        report, cluster, _ = run(folder, lambda _: next(endings, COMMITTED), workers=1)
        assert report.state is RunState.DONE
        assert sorted(cluster.committed) == sorted({_.ref.name for _ in cluster.submitted})


class TestStop:
    def test_it_drains_and_the_same_command_goes_on(self, folder):
        watcher = Watcher()

        def script(attempt):
            if attempt.ref.index == 1:
                watcher.stop.request()
            return COMMITTED

        report, cluster, _ = run(folder, script, watcher=watcher)
        assert report.state is RunState.PAUSED
        assert "the same command goes on" in report.reason
        assert cluster.drains == 1
        assert cluster.closes == 1
        assert any(notice.startswith("draining") for notice in watcher.notices)
        # What was in flight is committed: done before the drain, deferred after it.
        assert len(cluster.committed) == len(cluster.submitted) < ROWS // 2
        done = [row for row, record in newest(folder).items() if record.status is Status.OK]
        assert sorted(done) == [1, 2, 3, 4]
        again, other, _ = run(folder)
        assert again.state is RunState.DONE
        assert again.totals.counts == {"ok": ROWS}
        assert other.drains == 0

    def test_during_a_pause(self, folder):
        report, cluster, _ = run(folder, lambda _: BLOCKED, watcher=Watcher(stop_after=20))
        assert report.state is RunState.PAUSED
        assert "signal" in report.reason
        assert cluster.drains == 1


class TestFailures:
    def test_more_than_are_allowed_end_the_run(self, folder):
        report, cluster, _ = run(
            folder, options=RunOptions(max_failures="3"), status_of=lambda row: Status.FAILED
        )
        assert (report.state, report.reason) == (
            RunState.FAILED,
            "more than 3 entries failed",
        )
        # What was under way is committed all the same.
        assert len(cluster.committed) == len(cluster.submitted) < ROWS // 2

    def test_entries_that_fail_do_not_stop_a_run(self, folder):
        report, _, _ = run(folder, status_of=lambda row: Status.QUARANTINED)
        assert (report.state, report.totals.counts) == (RunState.DONE, {"quarantined": ROWS})

    def test_a_cluster_that_cannot_be_had(self, folder):
        def none():
            raise ClusterError("no worker was ready")

        report = run_job(a_job(folder), make_ledger(folder), cluster=none,
                         options=RunOptions(), observer=Watcher(), stop=Stop())  # fmt: skip
        assert report.state is RunState.FAILED
        assert report.reason == "cluster_failed: no worker was ready"

    def test_a_cluster_that_is_lost(self, folder):
        def script(attempt):
            raise ClusterError("the client is closed")

        report, cluster, _ = run(folder, script)
        assert report.state is RunState.FAILED
        assert report.reason == "cluster_failed: the client is closed"
        assert cluster.closes == 1

    def test_a_manifest_that_breaks_off_is_the_callers_to_see(self, folder, monkeypatch):
        def broken(sources, identity):
            yield from plan_rows(10)
            raise InvalidManifestError("cannot read 'list.parquet'")

        monkeypatch.setattr(SourceList, "rows", broken)
        job, ledger = a_job(folder), make_ledger(folder)
        cluster = ScriptedCluster(job, ledger)
        with pytest.raises(InvalidManifestError, match=r"list\.parquet"):
            run_job(job, ledger, cluster=lambda: cluster, options=RunOptions(),
                    observer=Watcher(), stop=Stop())  # fmt: skip
        assert cluster.closes == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([COMMITTED, BLOCKED, LOST, (COMMITTED, LOST)]), max_size=30))
def test_whatever_happens_to_attempts_every_row_ends_with_one_record(endings):
    """No shard meets more than four losses here, and every cause goes away in the end."""
    todo, losses = collections.deque(endings), collections.Counter()

    def script(attempt):
        ending = todo.popleft() if todo else COMMITTED
        if ending is LOST:
            losses[attempt.ref] += 1
            ending = LOST if losses[attempt.ref] < 5 else COMMITTED
        return ending

    with TemporaryDirectory() as name:
        folder = job_folder(Path(name), 12)
        report, cluster, _ = run(folder, script)
        assert report.state is RunState.DONE
        assert sorted(newest(folder)) == list(range(1, 13))
        assert sorted(cluster.committed) == sorted(set(cluster.committed))
        assert report.totals.counts == {"ok": 12}
