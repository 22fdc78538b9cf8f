"""Distributions in bounded memory: of durations over a logarithmic scale, of events over time."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST_MS = 0.01
_BINS_PER_DECADE = 100
_DECADES = 10
_MOST_MS = _LEAST_MS * 10**_DECADES

_LEAST_WIDTH_SECONDS = 0.5
_MOST_BUCKETS = 1200
IDLE_SECONDS = 600.0
"""A stretch without any event that is longer than this is no part of the working time."""


class DurationHistogram:
    """Durations of 0.01 ms to 27 hours, each known to 1.2 %; longer ones count as that."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS_PER_DECADE * _DECADES, np.int64)
        self._least_ms = math.inf
        self._most_ms = 0.0
        self.sum_ms = 0.0

    def add(self, values_ms: NDArray[np.float64]) -> None:
        """Counts durations in milliseconds, float64 [N]; what is no duration is left out."""
        values = values_ms[np.isfinite(values_ms) & (values_ms >= 0)]
        if not values.size:
            return
        values = np.minimum(values, _MOST_MS)
        places = np.log10(np.maximum(values, _LEAST_MS) / _LEAST_MS) * _BINS_PER_DECADE
        bins = np.minimum(places.astype(np.int64), self._counts.size - 1)
        self._counts += np.bincount(bins, minlength=self._counts.size)
        self._least_ms = min(self._least_ms, float(values.min()))
        self._most_ms = max(self._most_ms, float(values.max()))
        self.sum_ms += float(values.sum())

    @property
    def count(self) -> int:
        """How many were counted."""
        return int(self._counts.sum())

    def quantile(self, fraction: float) -> float:
        """The duration in milliseconds below which that fraction of them lies; 0 of none."""
        if not self.count:
            return 0.0
        rank = fraction * (self.count - 1)
        found = int(np.searchsorted(np.cumsum(self._counts), rank, side="right"))
        middle = _LEAST_MS * 10 ** ((found + 0.5) / _BINS_PER_DECADE)
        return float(min(max(middle, self._least_ms), self._most_ms))


@dataclass(frozen=True, slots=True)
class Rates:
    """Events per second in equal steps from `start` (seconds since 1970) on, `seconds` in all.

    The last step may be shorter.
    """

    start: float
    seconds: float
    step_seconds: float
    all: tuple[float, ...]
    failed: tuple[float, ...]


class EventCounts:
    """How many entries began when, in buckets that grow as they become too many."""

    def __init__(self) -> None:
        self._width_seconds = _LEAST_WIDTH_SECONDS
        self._counts: dict[int, tuple[int, int]] = {}

    def add(self, times: NDArray[np.float64], is_failed: NDArray[np.bool_]) -> None:
        """Counts entries by the time they began, seconds since 1970, float64 [N]; 0 is unknown."""
        is_known = np.isfinite(times) & (times > 0)
        keys = np.floor(times[is_known] / self._width_seconds).astype(np.int64)
        failed = is_failed[is_known]
        for key in np.unique(keys).tolist():
            here = keys == key
            self._count(key, int(here.sum()), int((here & failed).sum()))
        while len(self._counts) > _MOST_BUCKETS:
            self._widen()

    def _count(self, key: int, count: int, failed: int) -> None:
        before = self._counts.get(key, (0, 0))
        self._counts[key] = (before[0] + count, before[1] + failed)

    def _widen(self) -> None:
        narrow, self._counts = self._counts, {}
        self._width_seconds *= 2
        for key, (count, failed) in narrow.items():
            self._count(key // 2, count, failed)

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(count for count, _ in self._counts.values())

    @property
    def busy_seconds(self) -> float:
        """The time from the first to the last one, without stretches of idleness."""
        keys = sorted(self._counts)
        gaps = (self._width_seconds * (b - a - 1) for a, b in itertools.pairwise(keys))
        return self._width_seconds * len(keys) + sum(gap for gap in gaps if gap <= IDLE_SECONDS)

    def rates(self, most: int) -> Rates | None:
        """Entries per second in at most so many steps; None where nothing was counted."""
        if not self._counts:
            return None
        first, last = min(self._counts), max(self._counts)
        factor = math.ceil((last - first + 1) / most)
        steps = math.ceil((last - first + 1) / factor)
        sums = np.zeros((2, steps))
        for key, both in self._counts.items():
            sums[:, (key - first) // factor] += both
        seconds, step = self._width_seconds * (last - first + 1), self._width_seconds * factor
        lengths = np.minimum(step, seconds - step * np.arange(steps))
        every, failed = (sums / lengths).tolist()
        return Rates(first * self._width_seconds, seconds, step, tuple(every), tuple(failed))
