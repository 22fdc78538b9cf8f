"""A run that is steered: held it sends nothing and stays, let go it goes on, and it says so."""

import time

import pytest

from farm.cluster import OutcomeKind
from farm.observer import Event, Observers
from farm.record import Status
from farm.run import RunState
from farm.run_status import LiveState
from tests.recipes import make_ledger
from tests.test_run import ROWS, Watcher, a_job, job_folder, newest, quick_probes, run

__all__ = ["quick_probes"]

BLOCKED, COMMITTED = OutcomeKind.BLOCKED, OutcomeKind.COMMITTED


class Holding(Watcher):
    """A watcher that holds the run from some call on, and lets it go at a later one."""

    def __init__(self, *, hold_at, go_on_at=None, stop_at=None):
        super().__init__()
        self._hold_at, self._go_on_at, self._stop_at = hold_at, go_on_at, stop_at
        if hold_at == 0:
            self.stop.hold("by ann")

    def progressed(self, progress):
        super().progressed(progress)
        match len(self.seen):
            case self._hold_at:
                self.stop.hold("by ann")
            case self._go_on_at:
                self.stop.go_on()
            case self._stop_at:
                self.stop.request("stopped by bob")


class HoldingInPause(Watcher):
    """A watcher that holds a run which the surroundings pause, and lets it go in some seconds."""

    def __init__(self, *, seconds):
        super().__init__()
        self._seconds, self._since, self.is_let_go = seconds, None, False

    def progressed(self, progress):
        super().progressed(progress)
        if self._since is None and progress.state is LiveState.PAUSED:
            self._since = time.monotonic()
            self.stop.hold("by ann")
        elif self._since is not None and time.monotonic() - self._since > self._seconds:
            self.is_let_go = True
            self.stop.go_on()


@pytest.fixture
def folder(tmp_path):
    return job_folder(tmp_path)


def test_held_it_finishes_what_is_under_way_and_goes_on_later(folder):
    watcher = Holding(hold_at=2, go_on_at=40)
    report, cluster, _ = run(folder, watcher=watcher)
    assert report.state is RunState.DONE
    assert sorted(newest(folder)) == list(range(1, ROWS + 1))
    assert len(cluster.submitted) == ROWS // 2
    held = watcher.seen[20:39]
    assert {(one.state, one.reason) for one in held} == {(LiveState.PAUSED, "by ann")}
    assert {one.shards_in_flight for one in held} == {0}
    assert len({one.entries for one in held}) == 1
    assert held[0].entries < ROWS
    assert held[0].shards_todo > 0
    assert watcher.notices[1:] == [
        "paused by ann: shards under way are finished, `farm resume` goes on",
        "going on: the pause was lifted",
    ]
    assert watcher.events[1:] == [Event.PAUSED, Event.RESUMED]


def test_held_from_the_beginning_it_sends_nothing(folder):
    watcher = Holding(hold_at=0, stop_at=10)
    report, cluster, _ = run(folder, watcher=watcher)
    assert (report.state, cluster.submitted) == (RunState.PAUSED, [])
    assert report.reason == "stopped by bob; the same command goes on"
    again, _, _ = run(folder)
    assert again.totals.counts == {"ok": ROWS}


def test_held_it_may_still_be_stopped(folder):
    watcher = Holding(hold_at=2, stop_at=30)
    report, _, _ = run(folder, watcher=watcher)
    assert report.state is RunState.PAUSED
    states = [one.state for one in watcher.seen]
    assert states[25] is LiveState.PAUSED
    assert "draining" in watcher.notices[-1]
    assert run(folder)[0].totals.counts == {"ok": ROWS}


def test_held_while_the_surroundings_fail_it_does_not_probe(folder):
    sent = []

    def script(attempt):
        sent.append(attempt)
        return BLOCKED if len(sent) <= 6 else COMMITTED

    watcher = Holding(hold_at=8, go_on_at=60)
    report, _, _ = run(folder, script, watcher=watcher)
    assert report.state is RunState.DONE
    reasons = [one.reason for one in watcher.seen if one.state is LiveState.PAUSED]
    assert "by ann" in reasons


def test_held_it_stays_however_long_the_surroundings_fail(folder):
    watcher = HoldingInPause(seconds=0.8)
    script = lambda _: COMMITTED if watcher.is_let_go else BLOCKED  # noqa: E731
    report, _, _ = run(folder, script, job=a_job(folder, pause_seconds=0.5), watcher=watcher)
    assert report.state is RunState.DONE
    assert watcher.is_let_go


def test_it_says_what_it_is_at(folder):
    _, _, watcher = run(folder)
    states = [one.state for one in watcher.seen]
    assert set(states) <= {LiveState.PLANNING, LiveState.RUNNING}
    assert states[-1] is LiveState.RUNNING


def test_a_pause_of_the_surroundings_has_its_cause(folder):
    _, _, watcher = run(folder, lambda _: BLOCKED, job=a_job(folder, pause_seconds=0.1))
    last = watcher.seen[-1]
    assert (last.state, last.reason) == (LiveState.PAUSED, "disk_full: full")


def test_it_says_what_earlier_commands_did(folder):
    watcher = Watcher(stop_after=2)
    run(folder, watcher=watcher)
    done = make_ledger(folder).committed(1)
    assert {one.shards_before for one in watcher.seen} <= {None, frozenset()}
    _, _, again = run(folder, status_of=lambda _: Status.OK)
    assert again.seen[-1].shards_before in (frozenset(), done)
    first_pass = [one for one in again.seen if one.pass_number == 1]
    assert all(one.shards_before in (None, done) for one in first_pass)


def test_several_observers_are_told_the_same():
    first, second = Watcher(), Watcher()
    both = Observers(first, second)
    both.noticed("paused", event=Event.PAUSED, shard="s")
    both.settled("an outcome")
    both.progressed("a progress")
    for each in (first, second):
        assert (each.notices, each.events) == (["paused"], [Event.PAUSED])
        assert (each.outcomes, each.seen) == (["an outcome"], ["a progress"])
