"""What a shard took of its worker, and how long workers were at it in all."""

import bisect
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

# A commit, and the way to the next shard, belong to the work.
_BRIDGED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Effort:
    """When a worker began a shard (seconds since 1970), for how long, and the lanes that it has."""

    worker: str
    began: float
    seconds: float
    lanes: int

    def to_fields(self) -> dict[str, Any]:
        """The effort as it is stored."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """The effort that was stored; what a newer farm added is left out."""
        return cls(*(fields[name] for name in cls.__slots__))


class Spans:
    """Stretches of time, those that meet or overlap as one; few, however many are added."""

    def __init__(self) -> None:
        self._begins: list[float] = []
        self._ends: list[float] = []

    def add(self, begin: float, end: float) -> None:
        """Adds a stretch, in any order."""
        first = bisect.bisect_left(self._ends, begin - _BRIDGED_SECONDS)
        last = bisect.bisect_right(self._begins, end + _BRIDGED_SECONDS)
        if first < last:
            begin = min(begin, self._begins[first])
            end = max(end, self._ends[last - 1])
        self._begins[first:last] = [begin]
        self._ends[first:last] = [end]

    @property
    def seconds(self) -> float:
        """How long all of them are."""
        return sum(end - begin for begin, end in zip(self._begins, self._ends, strict=True))


class Attendance:
    """When which workers were at work.

    A worker may be at several shards at once: what it costs, it costs once.
    """

    def __init__(self, efforts: Iterable[Effort] = ()) -> None:
        self._all = Spans()
        self._by_worker: dict[str, Spans] = {}
        self._lanes: dict[str, int] = {}
        for effort in efforts:
            self.add(effort)

    def add(self, effort: Effort) -> None:
        """Adds a shard, in any order."""
        end = effort.began + effort.seconds
        self._all.add(effort.began, end)
        self._by_worker.setdefault(effort.worker, Spans()).add(effort.began, end)
        self._lanes[effort.worker] = effort.lanes

    @property
    def seconds(self) -> float:
        """For how long any worker was at work."""
        return self._all.seconds

    @property
    def worker_seconds(self) -> float:
        """The sum of that over the workers."""
        return sum(spans.seconds for spans in self._by_worker.values())

    @property
    def lane_seconds(self) -> float:
        """The sum of that over the lanes that they had, busy or not."""
        return sum(spans.seconds * self._lanes[name] for name, spans in self._by_worker.items())

    @property
    def workers(self) -> int:
        """How many workers had a shard."""
        return len(self._by_worker)
