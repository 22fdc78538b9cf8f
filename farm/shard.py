"""The walk over one shard's rows: who takes the next one, when to stop, what is tried once more."""

import collections
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace

from farm.entry import MESSAGE_CHARACTERS, EntryWork, deferred
from farm.errors import FarmError, LaneCrashError, LaneError
from farm.isolation import Lane, LanePool
from farm.pace import Pace
from farm.record import Record, Status
from farm.row import Row
from farm.spec import Job
from farm.throttle import Gate, Throttle
from farm.trail import Trail

# So many entries are opened or stored beside those that are in lanes. One keeps a lane from waiting
# for its next entry; where stores are far away, a request takes many times as long as a lane does.
_BESIDE_NEAR = 1
_BESIDE_FAR = 8
_RECENT_OUTCOMES = 20
_WATCH_SECONDS = 0.5
_BLOCKED_FRACTION = 0.8
_BLOCKED_LEAST = 3


class ShardWalk:
    """One walk over rows by a few threads.

    `drain_ends`: when a drain drops what is under way, None without one. With `is_final`, causes
    from outside fail entries instead of giving the shard up. With a `trail`, entries are begun one
    by one, each marked, suspects first and without convicts. `ended` is called with each record as
    its entry ends. A `throttle` that is set before `run` bounds how fast entries read. After `run`,
    `has_begun` tells whether any row was taken, and `blocked_by` is the cause for which the shard
    was given up.
    """

    def __init__(
        self,
        pool: LanePool,
        job: Job,
        rows: list[Row],
        *,
        worker: str,
        drain_ends: Callable[[], float | None],
        is_final: bool,
        trail: Trail | None = None,
        ended: Callable[[Record], object] = lambda record: None,
    ) -> None:
        self._ended = ended
        self.throttle: Throttle | None = None
        self._work = EntryWork(pool, job, worker, self._watched, gate=self._gate)
        self._trail = trail
        self._threads = pool.lanes + (_BESIDE_FAR if _is_far(job, rows) else _BESIDE_NEAR)
        self.pace = Pace(job, rows)
        self._drain_ends = drain_ends
        self._settings = job.settings
        self._rows = rows
        self._todo = iter(_suspects_first(rows, trail.suspects if trail is not None else ()))
        if trail is not None:
            self._threads = 1
        self._is_final = is_final or job.settings.pause_seconds == 0
        self._budget_ends = 0.0
        self._lock = threading.Lock()
        self._records: dict[int, Record] = {}
        self._alone: list[tuple[int, Row, LaneError]] = []
        self._in_lanes: set[Lane] = set()
        self._recent: collections.deque[str | None] = collections.deque(maxlen=_RECENT_OUTCOMES)
        self.has_begun = False
        self.blocked_by: FarmError | None = None

    def run(self, *, last_taken: Callable[[], object] = lambda: None) -> list[Record]:
        """The records of all rows, in order; incomplete where `blocked_by` is set.

        `last_taken` is called when no row is left to take: what comes next may begin.
        """
        with ThreadPoolExecutor(self._threads, thread_name_prefix="farm-entry") as executor:
            hands = [executor.submit(self._take_rows) for _ in range(self._threads)]
            self._await(hands, FIRST_COMPLETED)
            last_taken()
            self._await(hands)
            self._await([executor.submit(self._retry_each_alone)])
        for index, row in enumerate(self._rows):
            if index not in self._records:
                self._records[index] = deferred(row)
                if self.blocked_by is None:
                    self._ended(self._records[index])
        return [self._records[index] for index in range(len(self._rows))]

    def _is_draining(self) -> bool:
        return self._drain_ends() is not None

    def _must_stop(self) -> bool:
        return (
            self.blocked_by is not None
            or self._is_draining()
            or time.monotonic() > self._budget_ends
        )

    def _await(self, futures: list[Future[None]], until: str = ALL_COMPLETED) -> None:
        while True:
            done, not_done = wait(futures, _WATCH_SECONDS, until)
            for future in done:
                future.result()
            if not not_done or (done and until == FIRST_COMPLETED):
                return
            self._drop_after_drain()

    def _must_drop(self) -> bool:
        ends = self._drain_ends()
        return ends is not None and time.monotonic() > ends

    def _gate(self) -> Gate | None:
        return None if self.throttle is None else Gate(self.throttle, held=self._hold)

    def _hold(self) -> None:
        """An entry is held back by its gate: it is not stuck, and ends with those in lanes."""
        self.pace.step()
        if self._must_drop():
            raise LaneCrashError("dropped by a drain")

    def _drop_after_drain(self) -> None:
        if self._must_drop():
            with self._lock:
                for lane in self._in_lanes:
                    lane.kill()

    def _take_rows(self) -> None:
        while (taken := self._take()) is not None:
            index, row = taken
            with self.pace.under_way(row):
                record, error = self._attempt(row)
            with self._lock:
                if isinstance(error, LaneError):
                    self._alone.append((index, row, error))
                else:
                    self._records[index] = record
                    self._notice(error)
            if not isinstance(error, LaneError):
                self._ended(record)

    def _attempt(self, row: Row) -> tuple[Record, FarmError | None]:
        if self._trail is not None and row.number in self._trail.convicts:
            return self._work.given_up(row, attempts=self._trail.losses), None
        self._mark(row)
        return self._work.attempt(row, is_alone=False)

    def _mark(self, row: Row) -> None:
        if self._trail is not None:
            self._trail.begin(row.number)

    def _take(self) -> tuple[int, Row] | None:
        with self._lock:
            if self._is_draining():
                return None
            if not self.has_begun:
                # The clock runs from here. One row is always taken, so that a budget that is too
                # small still gets somewhere.
                self.has_begun = True
                self._budget_ends = time.monotonic() + self._settings.shard_seconds
            elif self._must_stop():
                return None
            return next(self._todo, None)

    def _notice(self, error: FarmError | None) -> None:
        """Gives the shard up when one cause from outside dominates the recent outcomes."""
        self._recent.append(error.code if error is not None and error.environment else None)
        if error is None or not error.environment or self._is_final:
            return
        alike = self._recent.count(error.code)
        if alike >= max(_BLOCKED_LEAST, _BLOCKED_FRACTION * len(self._recent)):
            self.blocked_by = self.blocked_by or error

    def _retry_each_alone(self) -> None:
        # At least one, whatever is left of the budget: else an entry that uses all of it up, time
        # and again, would be deferred for ever.
        for number, (index, row, first) in enumerate(self._alone):
            if (number and self._must_stop()) or self._is_draining() or self.blocked_by:
                return
            self._mark(row)
            with self.pace.under_way(row):
                record = retry_alone(self._work, row, first, is_dropped=self._is_draining)
            self._records[index] = record
            self._ended(record)

    @contextmanager
    def _watched(self, lane: Lane) -> Iterator[None]:
        """Keeps a lane in the set of those that a drain may drop."""
        with self._lock:
            self._in_lanes.add(lane)
        try:
            yield
        finally:
            with self._lock:
                self._in_lanes.discard(lane)


def retry_alone(
    work: EntryWork, row: Row, first: LaneError, *, is_dropped: Callable[[], bool]
) -> Record:
    """The second and last try of an entry that ended its lane, with no other beside it.

    It is quarantined where it does so again, unless the lane was ended because all is dropped.
    """
    if is_dropped():
        return deferred(row)
    record, second = work.attempt(row, is_alone=True)
    if isinstance(second, LaneError):
        if is_dropped():
            return deferred(row)
        return replace(record, status=Status.QUARANTINED, attempts=2, retryable=False)
    note = {"first_attempt": f"{first.code}: {first}"[:MESSAGE_CHARACTERS]}
    return replace(record, attempts=2, notes=record.notes | note)


def _suspects_first(rows: list[Row], suspects: Collection[int]) -> list[tuple[int, Row]]:
    """Rows by their index, in order but for the suspects: their guilt soon shows."""
    return sorted(enumerate(rows), key=lambda pair: pair[1].number not in suspects)


def _is_far(job: Job, rows: list[Row]) -> bool:
    """Whether anything is read from or written to a store across a network."""
    places = [job.destination]
    for row in rows:
        if row.fields is not None:
            places += [row.fields.get("source"), row.fields.get("destination")]
    return any(
        isinstance(place, str) and "://" in place and not place.startswith("file://")
        for place in places
    )
