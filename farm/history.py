"""What became of a job's entries, over all passes that took them up."""

import collections
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from farm.ledger import Ledger, Pass, PassReason
from farm.record import Record, Status
from farm.row import Row
from farm.row_set import RowSet

# Not those in quarantine: what ended two lanes is not tried again unchanged.
RETRIED = (Status.FAILED,)
"""What a retry takes up."""

_DERIVED = (PassReason.RETRY, PassReason.DEFERRED)


@dataclass(frozen=True, slots=True)
class Totals:
    """Entries by status and error code; `carried` were done by an earlier pass already."""

    entries: int = 0
    carried: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    def count(self, status: Status) -> int:
        """Entries of one status."""
        return self.counts.get(status.value, 0)


def chain(passes: list[Pass]) -> list[Pass]:
    """The newest pass over a whole manifest and all that were derived from it, oldest first."""
    roots = [index for index, one in enumerate(passes) if one.reason not in _DERIVED]
    return passes[roots[-1] :] if roots else []


def final_tables(ledger: Ledger, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The newest record of every row, as tables of a shard each, newest pass first."""
    wanted = None if columns is None else list(dict.fromkeys(["row", *columns]))
    for _, table in _final(ledger, wanted):
        yield table


def _final(ledger: Ledger, columns: list[str] | None) -> Iterator[tuple[Pass, pa.Table]]:
    """The newest record of every row, with the pass that gave it, newest pass first."""
    seen = RowSet()
    for one in reversed(chain(ledger.passes())):
        here = RowSet()
        for table in ledger.tables(one.number, columns):
            rows = table["row"].to_numpy()
            if one.reason in _DERIVED:
                here.add(rows)
            yield one, table.filter(pa.array(~seen.mask(rows))) if seen else table
        seen.update(here)


def final_records(ledger: Ledger) -> Iterator[Record]:
    """The newest record of every row, newest pass first."""
    for table in final_tables(ledger):
        for row in table.to_pylist():
            yield Record.from_row(row)


def totals(ledger: Ledger) -> Totals:
    """All figures of a job, counted from committed records alone."""
    counts: collections.Counter[str] = collections.Counter()
    codes: collections.Counter[str] = collections.Counter()
    pictures = bytes_read = bytes_written = 0
    for table in final_tables(ledger, ["status", "error_code", "bytes_read", "artifacts"]):
        counts.update(table["status"].to_pylist())
        codes.update(code for code in table["error_code"].to_pylist() if code is not None)
        bytes_read += pc.sum(table["bytes_read"]).as_py() or 0
        artifacts = pc.list_flatten(table["artifacts"].combine_chunks())
        pictures += len(artifacts)
        bytes_written += pc.sum(pc.struct_field(artifacts, "size_bytes")).as_py() or 0
    current = chain(ledger.passes())
    seal = ledger.read_seal(current[0].number) if current else None
    carried = seal.carried if seal is not None else 0
    return Totals(
        entries=sum(counts.values()) + carried,
        carried=carried,
        counts=dict(counts),
        codes=dict(codes.most_common()),
        pictures=pictures,
        bytes_read=bytes_read,
        bytes_written=bytes_written,
    )


def rows_to_redo(ledger: Ledger, before: int, statuses: tuple[Status, ...]) -> Iterator[Row]:
    """The rows of the current chain whose newest record has one of the statuses, as planned."""
    wanted = pa.array([status.value for status in statuses])
    seen = RowSet()
    for one in reversed([_ for _ in chain(ledger.passes()) if _.number < before]):
        committed = ledger.committed(one.number)
        here = RowSet()
        for ref in ledger.shards(one.number, ledger.parts(one.number)):
            if ref.name not in committed:
                continue
            results = ledger.results(ref, ["row", "status"])
            rows = results["row"].to_numpy()
            is_meant = pc.is_in(results["status"], value_set=wanted).to_numpy()
            redo = set(rows[is_meant & ~seen.mask(rows)].tolist())
            here.add(rows)
            if redo:
                yield from (row for row in ledger.read_shard(ref) if row.number in redo)
        seen.update(here)
