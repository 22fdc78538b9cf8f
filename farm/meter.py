"""What one worker counts since its start: ends of entries and lanes, bytes, times of stages."""

import collections
import math
import threading
from bisect import bisect_left
from dataclasses import dataclass
from enum import StrEnum

from farm.record import STAGES, Record

STAGE_BOUNDS_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""The upper bounds of the classes in which times of stages are counted; the last class has none."""


class LaneEnd(StrEnum):
    """Why a lane of the CPU was ended, or ended by itself.

    `crash`, `timeout`, `out_of_memory`: its entry, or for the first an answer that cannot be true;
    `killed`: dropped by a drain or a cancel; `entries`, `age`, `memory`: worn, by the bound of the
    settings that is called so; `lone`: an entry had to be alone; `zygote`: the process that made it
    died.
    """

    CRASH = "crash"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    ENTRIES = "entries"
    AGE = "age"
    MEMORY = "memory"
    LONE = "lone"
    ZYGOTE = "zygote"


@dataclass(frozen=True, slots=True)
class StageTimes:
    """How long one stage took: entries by class of `STAGE_BOUNDS_SECONDS`, and seconds in all."""

    counts: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Reading:
    """All figures at one moment."""

    entries: dict[str, int]
    failures: dict[str, int]
    pictures: int
    bytes_read: int
    bytes_written: int
    stages: dict[str, StageTimes]
    lane_ends: dict[str, int]


class Meter:
    """Counts what a worker is told of; thread-safe.

    An entry counts when it ends, whatever becomes of its shard; where that is sent again, it counts
    again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: collections.Counter[str] = collections.Counter()
        self._failures: collections.Counter[str] = collections.Counter()
        self._lane_ends: collections.Counter[str] = collections.Counter()
        self._pictures = self._bytes_read = self._bytes_written = 0
        self._counts = {stage: [0] * (len(STAGE_BOUNDS_SECONDS) + 1) for stage in STAGES}
        self._seconds = dict.fromkeys(STAGES, 0.0)

    def entry_ended(self, record: Record) -> None:
        """Counts an entry and what was made of it."""
        with self._lock:
            self._entries[record.status.value] += 1
            if record.error_code is not None:
                self._failures[record.error_code] += 1
            self._pictures += len(record.artifacts)
            self._bytes_read += record.bytes_read
            self._bytes_written += sum(each.size_bytes for each in record.artifacts)
            for stage, milliseconds in record.timings_ms.items():
                # A lane that a file took over may say anything.
                if stage in self._counts and 0 <= milliseconds < math.inf:
                    seconds = milliseconds / 1e3
                    self._counts[stage][bisect_left(STAGE_BOUNDS_SECONDS, seconds)] += 1
                    self._seconds[stage] += seconds

    def lane_ended(self, end: LaneEnd) -> None:
        """Counts a lane that is no more."""
        with self._lock:
            self._lane_ends[end.value] += 1

    def read(self) -> Reading:
        """What was counted so far."""
        with self._lock:
            return Reading(
                entries=dict(self._entries),
                failures=dict(self._failures),
                pictures=self._pictures,
                bytes_read=self._bytes_read,
                bytes_written=self._bytes_written,
                stages={
                    stage: StageTimes(tuple(counts), self._seconds[stage])
                    for stage, counts in self._counts.items()
                },
                lane_ends=dict(self._lane_ends),
            )
