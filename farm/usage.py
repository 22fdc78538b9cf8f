"""What passes used, added up from what their shards committed: all of it, redone or not."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from farm.effort import Attendance
from farm.ledger_form import effort_of
from farm.prices import Usage

COLUMNS = ("bytes_read", "requests", "artifacts", "timings_ms.lane")
"""The columns of a record that tell what it used."""


class UsageTally:
    """Adds up results objects, each a table of records with at least `COLUMNS`.

    Also what a later pass took up again was used; what an older farm committed tells no times.
    """

    def __init__(self) -> None:
        self.attendance = Attendance()
        self._busy_ms = 0.0
        self._bytes_read = self._requests = self._files = self._file_bytes = 0

    def add(self, results: pa.Table) -> None:
        """Adds the records of a shard."""
        if (effort := effort_of(results)) is not None:
            self.attendance.add(effort)
        self._busy_ms += total(lane_ms(results))
        self._bytes_read += int(total(results["bytes_read"]))
        self._requests += int(total(results["requests"]))
        sizes = pc.struct_field(pc.list_flatten(results["artifacts"]), "size_bytes")
        self._files += len(sizes)
        self._file_bytes += int(total(sizes))

    def usage(self, entries: int, stored: Iterable[tuple[int, int]]) -> Usage:
        """All of it, of so many entries; `stored` are objects and bytes in the ledger, by pass."""
        objects, size_bytes = (sum(each) for each in zip((0, 0), *stored, strict=True))
        return Usage(
            entries=entries,
            seconds=self.attendance.seconds,
            worker_seconds=self.attendance.worker_seconds,
            lane_seconds=self.attendance.lane_seconds,
            busy_seconds=self._busy_ms / 1e3,
            bytes_read=self._bytes_read,
            requests=self._requests,
            files=self._files,
            file_bytes=self._file_bytes,
            ledger_objects=objects,
            ledger_bytes=size_bytes,
        )


def lane_ms(results: pa.Table) -> pa.ChunkedArray:
    """How long a lane was busy with each record; null where nothing tells."""
    if "timings_ms" not in results.column_names:
        return pa.chunked_array([pa.nulls(len(results), pa.float32())])
    return pc.struct_field(results["timings_ms"], "lane")


def total(numbers: pa.ChunkedArray) -> float:
    """The sum of those that are not null."""
    return float(pc.sum(numbers).as_py() or 0)
