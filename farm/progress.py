"""How far a run is: what was settled, at which rate, and how long the rest will take."""

import collections
import time
from dataclasses import dataclass, replace

from farm.record import Status
from farm.summary import Summary

_RATE_WINDOW_SECONDS = 60.0
# A rate is not told from less: one shard that has just ended would make it anything.
_LEAST_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `rows` is None while the manifest is still being planned.

    `shards_todo` are planned and wait here, `slots` is how many can be worked on at once.
    """

    rows: int | None
    entries: int
    failures: int
    pictures: int
    entries_per_second: float
    seconds_left: float | None
    shards_in_flight: int
    pass_number: int
    shards_todo: int = 0
    slots: int = 0


class Tally:
    """Counts what the shards of one pass say."""

    def __init__(self, pass_number: int) -> None:
        self.progress = Progress(None, 0, 0, 0, 0.0, None, 0, pass_number)
        self._recent: collections.deque[tuple[float, int]] = collections.deque()

    def count(self, summary: Summary | None) -> None:
        """Adds a shard that was committed, unless another attempt had done so."""
        if summary is None or summary.was_done:
            return
        bad = summary.counts.get(Status.FAILED, 0) + summary.counts.get(Status.QUARANTINED, 0)
        self._recent.append((time.monotonic(), summary.entries))
        self.progress = replace(
            self.progress,
            entries=self.progress.entries + summary.entries,
            failures=self.progress.failures + bad,
            pictures=self.progress.pictures + summary.pictures,
        )

    def now(self, rows: int | None, *, in_flight: int, todo: int = 0, slots: int = 0) -> Progress:
        """How far it is, with the rate of the last minute."""
        now = time.monotonic()
        while self._recent and now - self._recent[0][0] > _RATE_WINDOW_SECONDS:
            self._recent.popleft()
        done = sum(entries for _, entries in self._recent)
        rate = done / max(now - self._recent[0][0], _LEAST_SECONDS) if self._recent else 0.0
        left = None if rows is None or not rate else max(0, rows - self.progress.entries) / rate
        self.progress = replace(
            self.progress,
            rows=rows,
            entries_per_second=rate,
            seconds_left=left,
            shards_in_flight=in_flight,
            shards_todo=todo,
            slots=slots,
        )
        return self.progress
