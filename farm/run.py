"""The run loop: a window of shards, attempts counted, the environment's faults waited out."""

import collections
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from farm.breaker import Breaker
from farm.cluster import Cluster, Outcome, OutcomeKind
from farm.control import Stop
from farm.errors import RunError, SourceError, StoreError
from farm.history import Totals, totals
from farm.lease import Lease
from farm.ledger import Ledger, ShardRef
from farm.observer import Event, Observer
from farm.options import RunOptions
from farm.passes import Passes
from farm.planner import Planned, Planner
from farm.prices import cost_fields
from farm.progress import Progress, Tally
from farm.run_status import LiveState
from farm.spec import Job
from farm.trail import count_strikes

__all__ = ["Event", "Observer", "Progress", "RunReport", "RunState", "Stop", "run_job"]

# One is worked on, the next one lies ready.
_SHARDS_A_SLOT = 2
_EXTRA_SHARDS = 2
_MOST_ATTEMPTS = 5
_POLL_SECONDS = 0.5
_DRAIN_MARGIN_SECONDS = 30.0


class RunState(StrEnum):
    """How a run ended."""

    DONE = "done"
    PAUSED = "paused"
    FAILED = "failed"

    @property
    def as_told(self) -> LiveState:
        """The same as the status has it, where only a run that lives is paused."""
        return LiveState.STOPPED if self is self.PAUSED else LiveState(self.value)


@dataclass(frozen=True, slots=True)
class RunReport:
    """The end of a run, or of this command's share in it."""

    state: RunState
    totals: Totals
    ledger: str
    summary: str
    seconds: float
    reason: str = ""


def run_job(
    job: Job,
    ledger: Ledger,
    *,
    cluster: Callable[[], Cluster],
    options: RunOptions,
    observer: Observer,
    stop: Stop,
    lease: Lease | None = None,
) -> RunReport:
    """Carries a job on until all of its entries have a record, or something stops it.

    `cluster` is called only when there is something to do; losing the `lease` is to request a stop.
    Raises a UsageError for a job that makes no sense; all else is told by the report's `reason`.
    """
    began = time.monotonic()
    state, reason, opened = RunState.DONE, "", None
    try:
        passes = Passes(ledger, job, options)
        while (planner := passes.next_planner()) is not None:
            opened = opened or cluster()
            observer.noticed(planner.describe(), event=Event.PASS_STARTED)
            _pause(planner.pause_seconds, stop)
            walk = _PassWalk(planner, opened, options, observer, stop)
            state, reason = walk.run()
            if lease is not None:
                lease.check()
            if state is not RunState.DONE:
                break
            planner.finish()
    except (RunError, SourceError, StoreError) as error:
        state, reason = RunState.FAILED, f"{error.code}: {error}"
    finally:
        if opened is not None:
            opened.close()
    report = RunReport(state, totals(ledger), ledger.uri, "", time.monotonic() - began, reason)
    return report if lease is not None and lease.is_lost() else _stored(report, ledger, job)


def _pause(seconds: float, stop: Stop) -> None:
    """Waits; not where a stop is requested: the pass then drains, and the next command has it."""
    # Not by waiting for an event, which a signal's handler cannot set while it is being waited for.
    end = time.monotonic() + seconds
    while not stop.is_requested() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _POLL_SECONDS))


def _stored(report: RunReport, ledger: Ledger, job: Job) -> RunReport:
    summary = {
        "state": report.state.value,
        "reason": report.reason,
        **report.totals.figures(),
        "cost": cost_fields(report.totals.used, job.prices),
        "seconds_of_last_command": round(report.seconds, 3),
    }
    return replace(report, summary=ledger.put_summary(summary))


class _PassWalk:
    """The window over one pass."""

    def __init__(
        self,
        planner: Planner,
        cluster: Cluster,
        options: RunOptions,
        observer: Observer,
        stop: Stop,
    ) -> None:
        self._planner = planner
        self._cluster = cluster
        self._options = options
        self._observer = observer
        self._stop = stop
        self._todo: collections.deque[ShardRef] = collections.deque()
        self._in_flight: set[ShardRef] = set()
        self._attempts: collections.Counter[ShardRef] = collections.Counter()
        self._losses: collections.Counter[ShardRef] = collections.Counter()
        self._breaker = Breaker(planner.job.settings.pause_seconds)
        self._tally = Tally(planner.number)
        self._draining_since: float | None = None
        self._held: str | None = None

    def run(self) -> tuple[RunState, str]:
        """Works until the pass is done, paused, drained or failed."""
        with self._planner.in_background() as planned:
            while True:
                self._todo.extend(planned.take())
                self._fill_window()
                if self._is_quiet() and (end := self._end(planned.is_complete())):
                    return end
                outcome = self._cluster.next_outcome(_POLL_SECONDS)
                if outcome is not None:
                    self._settle(outcome)
                self._observer.progressed(self._progress(planned))
                if self._stop.is_requested() or self._too_many_failures():
                    self._drain()

    def _progress(self, planned: Planned) -> Progress:
        counted = self._tally.now(
            planned.rows(),
            in_flight=len(self._in_flight),
            todo=len(self._todo) + len(self._breaker.aside),
            slots=self._cluster.slots(),
        )
        state, reason = self._state(planned)
        oldest = self._cluster.oldest_entry()
        return replace(
            counted, state=state, reason=reason, shards_before=planned.before, oldest=oldest
        )

    def _state(self, planned: Planned) -> tuple[LiveState, str]:
        if self._draining_since is not None:
            return LiveState.DRAINING, self._stop.reason
        if self._held is not None:
            return LiveState.PAUSED, self._held
        if self._breaker.paused_since is not None:
            return LiveState.PAUSED, self._breaker.reason
        is_waiting = not (self._todo or self._in_flight or self._breaker.aside)
        if is_waiting and not planned.is_complete():
            return LiveState.PLANNING, ""
        return LiveState.RUNNING, ""

    def _drain(self) -> None:
        if self._draining_since is None:
            self._draining_since = time.monotonic()
            self._observer.noticed(
                "draining: entries under way are finished, no new ones begin", event=Event.DRAINING
            )
            self._cluster.drain()

    def _is_quiet(self) -> bool:
        """Whether nothing is under way, or nothing that a drain would still wait for."""
        if not self._in_flight:
            return True
        since = self._draining_since
        patience = self._planner.job.settings.drain_seconds + _DRAIN_MARGIN_SECONDS
        return since is not None and time.monotonic() - since > patience

    def _end(self, is_planned: bool) -> tuple[RunState, str] | None:
        if self._too_many_failures():
            return RunState.FAILED, f"more than {self._options.max_failures} entries failed"
        if self._draining_since is not None:
            return RunState.PAUSED, f"{self._stop.reason}; the same command goes on"
        if self._held is None and self._breaker.is_exhausted():
            return RunState.PAUSED, self._breaker.reason
        if is_planned and not self._todo and not self._breaker.aside:
            return RunState.DONE, ""
        return None

    def _fill_window(self) -> None:
        if self._draining_since is not None or self._is_held() or self._breaker.is_exhausted():
            return
        if self._breaker.paused_since is not None:
            if not self._in_flight and time.monotonic() >= self._breaker.probe_after:
                self._submit(self._breaker.aside.pop(0), is_final=False)
            return
        window = self._cluster.slots() * _SHARDS_A_SLOT + _EXTRA_SHARDS
        while self._todo and len(self._in_flight) < window:
            self._submit(self._todo.popleft(), is_final=False)
        is_idle = not self._todo and not self._in_flight
        if is_idle and self._breaker.aside and self._planner.is_planned():
            while self._breaker.aside:
                self._submit(self._breaker.aside.pop(), is_final=True)

    def _is_held(self) -> bool:
        """Whether nothing is to be sent; says so where that has changed."""
        held = self._stop.held
        if held is not None and self._held is None:
            text = f"paused {held}: shards under way are finished, `farm resume` goes on"
            self._observer.noticed(text, event=Event.PAUSED)
        elif held is None and self._held is not None:
            self._observer.noticed("going on: the pause was lifted", event=Event.RESUMED)
            self._breaker.begin_anew()
        self._held = held
        return held is not None

    def _submit(self, ref: ShardRef, *, is_final: bool) -> None:
        self._attempts[ref] += 1
        self._in_flight.add(ref)
        known = replace(ref, losses=self._losses[ref])
        self._cluster.submit(known, self._attempts[ref], is_final=is_final)

    def _settle(self, outcome: Outcome) -> None:
        self._in_flight.discard(outcome.ref)
        self._observer.settled(outcome)
        match outcome.kind:
            case OutcomeKind.COMMITTED:
                self._tally.count(outcome.summary)
                self._go_on()
            case OutcomeKind.BLOCKED:
                # Waiting for better times is no attempt at the shard.
                self._attempts[outcome.ref] -= 1
                if self._draining_since is None:
                    self._give_up(outcome)
            case OutcomeKind.FAILED | OutcomeKind.LOST:
                self._again(outcome)

    def _go_on(self) -> None:
        if self._breaker.committed():
            self._observer.noticed("going on: the cause of the pause is gone", event=Event.RESUMED)

    def _give_up(self, outcome: Outcome) -> None:
        code = outcome.summary.blocked_by if outcome.summary is not None else None
        cause = f"{code}: {outcome.reason}"
        if self._breaker.gave_up(outcome.ref, max(1, self._cluster.slots()), cause):
            limit = self._planner.job.settings.pause_seconds
            self._observer.noticed(
                f"paused, looking again for up to {limit:g} s: {cause}", event=Event.PAUSED
            )

    def _again(self, outcome: Outcome) -> None:
        if self._planner.ledger.is_committed(outcome.ref):
            self._go_on()
            return
        self._losses[outcome.ref] += outcome.kind is OutcomeKind.LOST
        attempts = self._attempts[outcome.ref]
        if attempts >= _MOST_ATTEMPTS and attempts >= _MOST_ATTEMPTS + self._found_out():
            raise RunError(
                f"shard {outcome.ref.name} failed {attempts} times, lastly: {outcome.reason}"
            )
        self._observer.noticed(
            f"shard {outcome.ref.name} is tried again: {outcome.reason}",
            event=Event.ATTEMPT_LOST,
            shard=outcome.ref.name,
        )
        if self._breaker.paused_since is None:
            self._todo.appendleft(outcome.ref)
        else:
            self._breaker.aside.insert(0, outcome.ref)

    def _found_out(self) -> int:
        """How many attempts have told which entry kills workers; beside it all are patient."""
        return count_strikes(self._planner.ledger, self._planner.number)

    def _too_many_failures(self) -> bool:
        so_far = self._tally.progress
        return not self._options.allows(so_far.failures, so_far.entries)
