"""Drains: which runs begin no other entry on a worker, and by when what is under way must end."""

import time


class Drains:
    """The drains of single runs, and the one of a worker that leaves; from any thread.

    A drain that has begun goes on; beginning it again changes nothing.
    """

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._worker_ends: float | None = None

    def begin(self, run: str) -> None:
        """Drains one run."""
        self._began.setdefault(run, time.monotonic())

    def begin_all(self, seconds: float) -> None:
        """Drains all runs, those to come too; what is under way has so many seconds."""
        if self._worker_ends is None:
            self._worker_ends = time.monotonic() + seconds

    @property
    def is_of_all(self) -> bool:
        """Whether the worker leaves."""
        return self._worker_ends is not None

    def is_of(self, run: str) -> bool:
        """Whether a run is drained here, by itself or with all."""
        return self.is_of_all or run in self._began

    def ends(self, run: str, patience_seconds: float) -> float | None:
        """When entries under way are dropped, by the monotonic clock; None without a drain.

        A run's own drain gives them `patience_seconds`.
        """
        began = self._began.get(run)
        ends = [] if began is None else [began + patience_seconds]
        if self._worker_ends is not None:
            ends.append(self._worker_ends)
        return min(ends, default=None)
