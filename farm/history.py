"""What became of a job's entries, over all passes that took them up."""

import collections
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from farm import storage
from farm.dialects.native import parse_row
from farm.errors import InvalidEntryError, LimitError
from farm.ledger import Ledger, Pass, PassReason
from farm.plan import known_keys, make_plans
from farm.record import Record, Status
from farm.row import Row
from farm.spec import Job

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
    seen: set[int] = set()
    wanted = None if columns is None else list(dict.fromkeys(["row", *columns]))
    for one in reversed(chain(ledger.passes())):
        rows: list[int] = []
        for table in ledger.tables(one.number, wanted):
            if seen:
                known = pa.array(seen, pa.int64())
                table = table.filter(pc.invert(pc.is_in(table["row"], value_set=known)))
            if one.reason in _DERIVED:
                rows += table["row"].to_pylist()
            yield table
        seen.update(rows)


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


def done_fingerprints(ledger: Ledger, before: int) -> set[bytes]:
    """The fingerprints of all entries that are done and whose pictures are still the newest.

    A pass with other outputs may have stored under the same keys: what it replaced is not done.
    """
    done: set[bytes] = set()
    newer: set[str] = set()
    for number in range(before - 1, 0, -1):
        stored: set[str] = set()
        for table in ledger.tables(number, ["status", "fingerprint", "artifacts"]):
            for row in table.filter(pc.equal(table["status"], Status.OK.value)).to_pylist():
                uris = {artifact["uri"] for artifact in row["artifacts"]}
                if newer.isdisjoint(uris):
                    done.add(bytes.fromhex(row["fingerprint"]))
                if number > 1:
                    stored |= uris
        newer |= stored
        if ledger.deferred(number) is None:
            newer.update(_perhaps_stored(ledger, number))
    return done


def _perhaps_stored(ledger: Ledger, number: int) -> Iterator[str]:
    """The files that a pass which was never finished may have stored without a record.

    Of a storyboard those that are stored first stand for the others, whose number nobody knows.
    """
    committed = ledger.committed(number)
    refs = ledger.shards(number, ledger.parts(number))
    open_refs = [ref for ref in refs if ref.name not in committed]
    for ref in open_refs:
        job = Job.model_validate(ledger.read_pass(number).job)
        for row in ledger.read_shard(ref):
            with contextlib.suppress(InvalidEntryError, LimitError):
                entry = parse_row(row.fields or {}, number=row.number, job=job)
                for plan in make_plans(entry, row.number, None, limits=job.settings.limits):
                    for key in known_keys(plan):
                        yield storage.redact(storage.join(entry.destination, key))


def rows_to_redo(ledger: Ledger, before: int, statuses: tuple[Status, ...]) -> Iterator[Row]:
    """The rows of the current chain whose newest record has one of the statuses, as planned."""
    wanted = {status.value for status in statuses}
    seen: set[int] = set()
    for one in reversed([_ for _ in chain(ledger.passes()) if _.number < before]):
        committed = ledger.committed(one.number)
        here: list[int] = []
        for ref in ledger.shards(one.number, ledger.parts(one.number)):
            if ref.name not in committed:
                continue
            results = ledger.results(ref, ["row", "status"]).to_pylist()
            redo = {_["row"] for _ in results if _["status"] in wanted} - seen
            here += [_["row"] for _ in results]
            if redo:
                yield from (row for row in ledger.read_shard(ref) if row.number in redo)
        seen.update(here)
