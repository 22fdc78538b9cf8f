"""The summary of an attempt at a shard: what a worker tells the run of it, in under 1 kB."""

import collections
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from farm.effort import Effort
from farm.errors import FarmError
from farm.record import Record

_MOST_CODES = 8
_MOST_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Summary:
    """A shard attempt in under 1 kB: counts, or the environment's cause that stopped it.

    `committed` is False where the attempt gave up (`blocked_by` says why) and where another one
    had committed before (`was_done`). `codes` are the most frequent ones.
    """

    name: str
    committed: bool
    was_done: bool = False
    blocked_by: str | None = None
    blocked_message: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    seconds: float = 0.0
    worker: str = ""
    requests: int = 0
    lanes: int = 0

    @classmethod
    def of(cls, name: str, records: Sequence[Record], effort: Effort) -> Self:
        """What the records of a shard say, before they are committed, and what it took."""
        codes = collections.Counter(_.error_code for _ in records if _.error_code is not None)
        return cls(
            name,
            committed=False,
            counts=dict(collections.Counter(_.status.value for _ in records)),
            codes=dict(codes.most_common(_MOST_CODES)),
            pictures=sum(len(_.artifacts) for _ in records),
            bytes_read=sum(_.bytes_read for _ in records),
            bytes_written=sum(each.size_bytes for _ in records for each in _.artifacts),
            seconds=effort.seconds,
            worker=effort.worker,
            requests=sum(_.requests for _ in records),
            lanes=effort.lanes,
        )

    def blocked(self, cause: FarmError) -> Self:
        """The same attempt, given up for a cause."""
        message = str(cause)[:_MOST_CHARACTERS]
        return replace(self, counts={}, codes={}, blocked_by=cause.code, blocked_message=message)

    @property
    def entries(self) -> int:
        """Entries that have a record."""
        return sum(self.counts.values())
