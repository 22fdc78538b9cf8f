"""What the workers of a command took so far, and how many there were."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from farm.cluster import Cluster, Outcome, OutcomeKind
from farm.effort import Attendance, Effort
from farm.observer import Event
from farm.prices import Usage
from farm.progress import Progress


class Muster:
    """An observer that counts the workers of a command, and adds up what they say that they took.

    `workers` is the most that there were at once, `start_seconds` how long the first took to be
    ready. Thread-safe.
    """

    def __init__(self) -> None:
        self.workers = 0
        self.start_seconds = 0.0
        self._lock = threading.Lock()
        self._attendance = Attendance()
        self._used = Usage()

    def opened(self, start: Callable[[], Cluster]) -> Cluster:
        """Starts a cluster by the clock."""
        began = time.monotonic()
        cluster = start()
        self.start_seconds = time.monotonic() - began
        return cluster

    def progressed(self, progress: Progress) -> None:
        """Notes how many workers there are."""
        self.workers = max(self.workers, progress.slots)

    def noticed(self, message: str, *, event: Event = Event.NOTICE, shard: str = "") -> None:
        """Has no use for it."""

    def settled(self, outcome: Outcome) -> None:
        """Adds what a shard took that was committed just now."""
        done = outcome.summary
        if done is None or outcome.kind is not OutcomeKind.COMMITTED or done.was_done:
            return
        began = time.time() - done.seconds
        with self._lock:
            self._attendance.add(Effort(done.worker, began, done.seconds, done.lanes))
            self._used = replace(
                self._used,
                entries=self._used.entries + done.entries,
                bytes_read=self._used.bytes_read + done.bytes_read,
                requests=self._used.requests + done.requests,
                files=self._used.files + done.pictures,
                file_bytes=self._used.file_bytes + done.bytes_written,
                ledger_objects=self._used.ledger_objects + 1,
            )

    def used(self) -> Usage:
        """What this command took so far, but for the times and bytes that only the ledger tells."""
        with self._lock:
            return replace(
                self._used,
                seconds=self._attendance.seconds,
                worker_seconds=self._attendance.worker_seconds,
                lane_seconds=self._attendance.lane_seconds,
            )
