"""What became of a job's entries, over all passes that took them up."""

import collections
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from farm.errors import error_classes
from farm.ledger import Ledger, Pass, PassReason
from farm.prices import Usage
from farm.record import Record, Status
from farm.row import Row
from farm.row_set import RowSet
from farm.usage import COLUMNS, UsageTally

# Not those in quarantine: what ended two lanes is not tried again unchanged.
RETRIED = (Status.FAILED,)
"""What a retry takes up."""


@dataclass(frozen=True, slots=True)
class PassTotals:
    """What one pass gave: the entries by status whose newest record is its own."""

    number: int
    reason: PassReason
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Totals:
    """Entries by status and error code; `carried` were done by an earlier pass already.

    Pictures and bytes are those of newest records, `used` is all that the passes used.
    """

    entries: int = 0
    carried: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    passes: tuple[PassTotals, ...] = ()
    used: Usage = Usage()

    def count(self, status: Status) -> int:
        """Entries of one status."""
        return self.counts.get(status.value, 0)

    def figures(self) -> dict[str, Any]:
        """All of it by name, as a summary tells it."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "used"}
        return own | {
            "passes": [
                {"pass": each.number, "reason": each.reason.value, "counts": each.counts}
                for each in self.passes
            ],
            "measured": asdict(self.used),
        }


def chain(passes: list[Pass]) -> list[Pass]:
    """The newest pass over a whole manifest and all that were derived from it, oldest first."""
    roots = [index for index, one in enumerate(passes) if not one.reason.is_derived]
    return passes[roots[-1] :] if roots else []


def final_tables(ledger: Ledger, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The newest record of every row, as tables of a shard each, newest pass first."""
    wanted = None if columns is None else list(dict.fromkeys(["row", *columns]))
    for _, table in _final(ledger, wanted):
        yield table


def _final(
    ledger: Ledger, columns: list[str] | None, *, every: Callable[[pa.Table], object] | None = None
) -> Iterator[tuple[Pass, pa.Table]]:
    """The newest record of every row, with the pass that gave it, newest pass first.

    `every` is given all records, as they were committed.
    """
    seen = RowSet()
    for one in reversed(chain(ledger.passes())):
        here = RowSet()
        for table in ledger.tables(one.number, columns):
            rows = table["row"].to_numpy()
            if one.reason.is_derived:
                here.add(rows)
            if every is not None:
                every(table)
            yield one, table.filter(pa.array(~seen.mask(rows))) if seen else table
        seen.update(here)


def final_records(ledger: Ledger) -> Iterator[Record]:
    """The newest record of every row, newest pass first."""
    for table in final_tables(ledger):
        for row in table.to_pylist():
            yield Record.from_row(row)


def totals(ledger: Ledger) -> Totals:
    """All figures of a job, counted from committed records alone."""
    current = chain(ledger.passes())
    by_pass = {one.number: collections.Counter[str]() for one in current}
    codes: collections.Counter[str] = collections.Counter()
    pictures = bytes_read = bytes_written = 0
    tally = UsageTally()
    columns = ["row", "status", "error_code", *COLUMNS]
    for one, table in _final(ledger, columns, every=tally.add):
        by_pass[one.number].update(table["status"].to_pylist())
        codes.update(code for code in table["error_code"].to_pylist() if code is not None)
        bytes_read += pc.sum(table["bytes_read"]).as_py() or 0
        artifacts = pc.list_flatten(table["artifacts"].combine_chunks())
        pictures += len(artifacts)
        bytes_written += pc.sum(pc.struct_field(artifacts, "size_bytes")).as_py() or 0
    counts = sum(by_pass.values(), collections.Counter[str]())
    seal = ledger.read_seal(current[0].number) if current else None
    carried = seal.carried if seal is not None else 0
    ended = counts.total() - counts[Status.DEFERRED]
    return Totals(
        entries=sum(counts.values()) + carried,
        carried=carried,
        counts=dict(counts),
        codes=dict(codes.most_common()),
        pictures=pictures,
        bytes_read=bytes_read,
        bytes_written=bytes_written,
        passes=tuple(PassTotals(_.number, _.reason, dict(by_pass[_.number])) for _ in current),
        used=tally.usage(ended, (ledger.stored(_.number) for _ in current)),
    )


def retryable_codes() -> frozenset[str]:
    """The codes of failures of which the same entry may get over by itself."""
    return frozenset(code for code, error in error_classes().items() if error.retryable)


def rows_to_redo(
    ledger: Ledger,
    before: int,
    statuses: tuple[Status, ...],
    codes: Collection[str] | None = None,
) -> Iterator[Row]:
    """The rows of the current chain whose newest record has one of the statuses, as planned.

    With `codes`, only those whose error has one of them.
    """
    wanted = pa.array([status.value for status in statuses])
    seen = RowSet()
    for one in reversed([_ for _ in chain(ledger.passes()) if _.number < before]):
        committed = ledger.committed(one.number)
        here = RowSet()
        for ref in ledger.shards(one.number, ledger.parts(one.number)):
            if ref.name not in committed:
                continue
            results = ledger.results(ref, ["row", "status", "error_code"])
            rows = results["row"].to_numpy()
            is_meant = pc.is_in(results["status"], value_set=wanted)
            if codes is not None:
                has_code = pc.is_in(results["error_code"], value_set=pa.array(codes, pa.string()))
                is_meant = pc.and_(is_meant, has_code)
            redo = set(rows[is_meant.to_numpy() & ~seen.mask(rows)].tolist())
            here.add(rows)
            if redo:
                yield from (row for row in ledger.read_shard(ref) if row.number in redo)
        seen.update(here)
