"""The bulletin: what a run tells to everybody by its ledger, and what it is asked that way.

A thread of its own rewrites the status and looks for wishes. A store that fails or hangs delays
that and nothing else; what is told then is the newest, and nothing in between.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from farm import storage
from farm.cluster import Outcome, OutcomeKind
from farm.control import Stop, Wish, forget_control, read_control
from farm.errors import FarmError, RunConflictError
from farm.history import Totals
from farm.lease import Lease
from farm.ledger import Ledger
from farm.lookout import Accounts
from farm.observer import Event
from farm.progress import Progress, RunTally, Told
from farm.run_status import LiveState, PassFigures, RunStatus, put_status, read_status

_LOOK_SECONDS = 5.0
_WRITE_SECONDS = 10.0
_FIRST_LOOK_SECONDS = 5.0
_LAST_WRITE_SECONDS = 10.0

_logger = logging.getLogger(__name__)


class Bulletin:
    """An observer of a run that keeps its status in the ledger, while its `with` lasts.

    Wishes that it finds go to `stop`; `notice` is told of one that came too late for its run.
    `cost` tells what a run has cost so far, by its status.
    """

    def __init__(
        self,
        ledger: Ledger,
        lease: Lease,
        stop: Stop,
        *,
        notice: Callable[[str], object],
        cost: Callable[[RunStatus], dict[str, Any] | None] = lambda status: None,
    ) -> None:
        self._ledger = ledger
        self._claim = lease.claim
        self._stop = stop
        self._notice = notice
        self._cost = cost
        self._began = time.monotonic()
        self._told = RunTally()
        self._wake = threading.Event()
        self._has_looked = threading.Event()
        self._is_over = threading.Event()
        # The thread's own from here on.
        self._accounts = Accounts(ledger)
        self._passes: list[PassFigures] = []
        self._heard: str | None = None
        self._beat = 0
        self._is_replaced = False
        self._thread = threading.Thread(target=self._keep, name="farm-bulletin", daemon=True)

    def __enter__(self) -> Self:
        """Begins; a wish to pause that stands is heeded before anything is sent."""
        self._thread.start()
        self._has_looked.wait(_FIRST_LOOK_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            code = error.code if isinstance(error, FarmError) else type(error).__name__
            self.ended(LiveState.FAILED, f"{code}: {error}", None)
        self._is_over.set()
        self._wake.set()
        self._thread.join(_LAST_WRITE_SECONDS)

    def progressed(self, progress: Progress) -> None:
        """Notes it; a change of state is told at once."""
        if self._told.note(progress):
            self._wake.set()

    def noticed(self, message: str, *, event: Event = Event.NOTICE, shard: str = "") -> None:
        """Says nothing: the progress tells of it."""

    def settled(self, outcome: Outcome) -> None:
        """Counts what was committed; what no attempt tells of is read later."""
        summary, ref = outcome.summary, outcome.ref
        if outcome.kind is OutcomeKind.COMMITTED and summary is not None and not summary.was_done:
            self._told.count(ref.number, summary)
        elif outcome.kind is not OutcomeKind.BLOCKED:
            self._told.miss(ref.number, ref.name)

    def ended(self, state: LiveState, reason: str, totals: Totals | None) -> None:
        """Notes how the run ended, which is told when the `with` ends."""
        self._told.end(state, reason, totals)

    def _keep(self) -> None:
        self._quietly(self._remember)
        self._quietly(self._heed)
        self._has_looked.set()
        written_at = float("-inf")
        while True:
            is_over = self._is_over.is_set()
            is_due = time.monotonic() - written_at >= _WRITE_SECONDS
            if is_over or is_due or self._wake.is_set():
                self._wake.clear()
                written_at = time.monotonic()
                self._quietly(self._publish)
            if is_over:
                return
            self._wake.wait(_LOOK_SECONDS)
            self._quietly(self._heed)

    def _quietly(self, act: Callable[[], None]) -> None:
        try:
            act()
        except FarmError as error:
            _logger.info("the status is not told for now: %s", error)
        except Exception:
            # A defect in what is only told must not end the thread: the run could not be stopped.
            _logger.exception("the status cannot be told")

    def _remember(self) -> None:
        self._passes = self._accounts.remember()

    def _heed(self) -> None:
        """Looks for a wish and passes it on."""
        control = read_control(self._ledger.uri)
        if control is None:
            self._stop.go_on()
            return
        is_for_later_run = control.lease is not None and control.lease > self._claim.number
        if control.id == self._heard or is_for_later_run:
            return
        match control.wish:
            case Wish.PAUSE:
                self._stop.hold(f"by {control}")
            case Wish.RUN:
                self._stop.go_on()
            case Wish.STOP if control.lease == self._claim.number:
                self._stop.request(f"stopped by {control}")
            case Wish.STOP:
                self._notice(f"{control} came too late for its run and is forgotten")
        if control.wish is not Wish.PAUSE:
            forget_control(self._ledger.uri, control)
        self._heard = control.id
        self._wake.set()

    def _publish(self) -> None:
        """Stores the status, unless a run that took the lease over has stored one."""
        if self._is_replaced:
            return
        status = self._status()
        there = None
        with suppress(RunConflictError):  # what nobody can read may go
            there = read_status(self._ledger.uri)
        self._is_replaced = there is not None and there.lease > self._claim.number
        if not self._is_replaced:
            self._beat += 1
            put_status(self._ledger.uri, status)

    def _status(self) -> RunStatus:
        told = self._told.now()
        progress = told.progress
        accounts = self._accounts
        number = None if progress is None else progress.pass_number
        # Until this command has begun a pass, what the one before told is not read again.
        if number is not None or self._is_over.is_set():
            accounts.find_missed(told.missed)
            self._passes = accounts.passes(number, told.settled, told.before)
        accounts.find_examples(told.witnesses)
        status = RunStatus(
            state=told.state,
            reason=told.reason,
            ledger=storage.redact(self._ledger.uri),
            lease=self._claim.number,
            holder=self._claim.holder,
            started=self._claim.holder.since,
            seconds=round(time.monotonic() - self._began, 1),
            beat=self._beat + 1,
            heard=self._heard,
        ).with_passes(self._passes, accounts.carried)
        if told.totals is not None:
            status = status.with_totals(told.totals)
        elif progress is not None:
            status = _with_progress(status, told, progress)
        examples = {code: one for code, one in accounts.examples.items() if code in status.codes}
        status = status.model_copy(update={"examples": examples})
        return status.model_copy(update={"cost": self._cost(status)})


def _with_progress(status: RunStatus, told: Told, progress: Progress) -> RunStatus:
    """A status with what is under way."""
    newest = status.passes[-1] if status.passes else None
    rate, left = told.entries_per_second, None
    if newest is not None and newest.rows is not None and rate > 0:
        left = round(max(0, newest.rows - newest.entries) / rate, 1)
    if status.state is not LiveState.RUNNING:
        left = None
    return status.model_copy(
        update={
            "shards_in_flight": progress.shards_in_flight,
            "shards_todo": progress.shards_todo,
            "slots": progress.slots,
            "oldest": progress.oldest,
            "entries_per_second": round(rate, 3),
            "seconds_left": left,
        }
    )
