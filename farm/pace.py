"""The pace of a shard's attempt: what is under way, and for how long nothing has moved."""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from farm.output import DEFAULT_TIMEOUT_SECONDS
from farm.row import Row
from farm.spec import Job


@dataclass(frozen=True, slots=True)
class EntryUnderWay:
    """An entry that is worked on, for how long and by which worker; `source` tells no secrets."""

    row: int
    source: str
    worker: str
    seconds: float


@dataclass(frozen=True, slots=True)
class WorkerPace:
    """How a worker gets on: of its shards the worst, and the oldest entry of one run's."""

    overdue_seconds: float = 0.0
    oldest: EntryUnderWay | None = None


class Pace:
    """When an entry of a shard last began or ended, against the time that its entries may take.

    All that an entry waits for is bounded: a lane by the time limit of who has it, its own work by
    its own. What is quiet for longer than both waits for something that nobody bounds.
    """

    def __init__(self, job: Job, rows: Iterable[Row]) -> None:
        self._allowed_seconds = 2 * max(_timeouts(job, rows))
        self._moved: float | None = None
        self._under_way: dict[int, tuple[float, Row]] = {}

    def step(self) -> None:
        """Notes that an entry began or ended; from any thread."""
        self._moved = time.monotonic()

    @contextmanager
    def under_way(self, row: Row) -> Iterator[None]:
        """An entry begins and, with the block, ends; from any thread."""
        self._under_way[row.number] = (time.monotonic(), row)
        self.step()
        try:
            yield
        finally:
            del self._under_way[row.number]
            self.step()

    def oldest(self) -> tuple[float, Row] | None:
        """The entry that has been under way for longest, with its seconds."""
        # The list is made at once, whatever other threads do to the dictionary.
        found = min(list(self._under_way.values()), key=lambda pair: pair[0], default=None)
        return None if found is None else (time.monotonic() - found[0], found[1])

    @property
    def overdue_seconds(self) -> float:
        """Seconds of quiet beyond those that are allowed; at most 0 where all is well."""
        moved = self._moved
        if moved is None:
            return 0.0
        return time.monotonic() - moved - self._allowed_seconds


def _timeouts(job: Job, rows: Iterable[Row]) -> Iterator[float]:
    """The time limits in a job and its rows; what makes no sense in a row is a failed record."""
    yield DEFAULT_TIMEOUT_SECONDS if not job.outputs else 0.0
    yield from (output.timeout for output in job.outputs)
    for row in rows:
        outputs = (row.fields or {}).get("outputs")
        for output in outputs if isinstance(outputs, list) else ():
            timeout = output.get("timeout") if isinstance(output, dict) else None
            if isinstance(timeout, int | float) and not math.isnan(timeout):
                yield timeout
            else:
                yield DEFAULT_TIMEOUT_SECONDS
