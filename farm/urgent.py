"""One entry that belongs to no shard: it goes before those that do, and can be cancelled."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from farm.entry import EntryWork, deferred
from farm.errors import LaneError, RunError
from farm.isolation import Lane, LanePool
from farm.record import Record, Status
from farm.row import Row
from farm.settings import Limits, Settings
from farm.shard import retry_alone
from farm.spec import Entry, Job


class UrgentEntry:
    """One entry, to be made once.

    What goes wrong is treated as in a shard: who ended a lane is tried once more, alone.
    """

    def __init__(self, pool: LanePool, entry: Entry, *, limits: Limits, worker: str) -> None:
        job = Job(
            manifest="-", destination=entry.destination, settings=Settings(limits=limits)
        )  # of which only the limits count: the entry has all the rest
        self._row = Row(1, entry.model_dump(mode="json"))
        self._work = EntryWork(pool, job, worker, self._watched, is_urgent=True)
        self._lock = threading.Lock()
        self._lane: Lane | None = None
        self._is_cancelled = False

    def run(self) -> Record:
        """What became of it; `deferred` where it was cancelled in time."""
        record, error = deferred(self._row), None
        if not self._is_cancelled:
            record, error = self._work.attempt(self._row, is_alone=False)
        if isinstance(error, LaneError):
            record = retry_alone(
                self._work, self._row, error, is_dropped=lambda: self._is_cancelled
            )
        is_void = self._is_cancelled and record.status is not Status.OK
        return deferred(self._row) if is_void else record

    def cancel(self) -> None:
        """Lets it not begin, or ends its lane; what is stored already stays.

        A seat of a GPU ends its work in vain: killing it would cost the entries beside it.
        """
        with self._lock:
            self._is_cancelled = True
            if self._lane is not None and not self._lane.is_shared:
                self._lane.kill()

    @contextmanager
    def _watched(self, lane: Lane) -> Iterator[None]:
        """Keeps the lane in view of `cancel`."""
        with self._lock:
            self._refuse_if_cancelled()
            self._lane = lane
        try:
            yield
        finally:
            with self._lock:
                self._lane = None
        self._refuse_if_cancelled()

    def _refuse_if_cancelled(self) -> None:
        if self._is_cancelled:
            raise RunError("the entry was cancelled")
