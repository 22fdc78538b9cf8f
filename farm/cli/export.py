"""Writes a ledger's records as JSON lines, CSV or Parquet, and failed entries as a manifest."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from farm.cli.selection import Selection, chosen_tables
from farm.errors import InvalidJobError
from farm.history import rows_to_redo
from farm.ledger import Ledger
from farm.record import Status, record_schema


def export_records(ledger: Ledger, selection: Selection, path: Path) -> int:
    """Writes the newest records that are meant, in the format of the file's name; how many."""
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise InvalidJobError(
            f"--export: expected a name ending in {', '.join(_WRITERS)}; received {str(path)!r}"
        )
    return write(chosen_tables(ledger, selection), path)


def export_manifest(ledger: Ledger, selection: Selection, path: Path) -> tuple[int, int]:
    """Writes the entries that failed, with the fields of their rows, as a manifest.

    Returns how many it wrote, and how many rows have no fields because they cannot be read.
    """
    statuses = (selection.status,) if selection.status else (Status.FAILED, Status.QUARANTINED)
    codes = None if selection.code is None else (selection.code,)
    last = ledger.passes()[-1].number
    written = unreadable = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows_to_redo(ledger, last + 1, statuses, codes):
            if row.fields is None:
                unreadable += 1
            else:
                file.write(json.dumps(row.fields, ensure_ascii=False) + "\n")
                written += 1
    return written, unreadable


def _write_jsonl(tables: Iterable[pa.Table], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for record in _records(tables):
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count


def _write_csv(tables: Iterable[pa.Table], path: Path) -> int:
    """Lists and structs become JSON in their cells."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(record_schema().names)
        for record in _records(tables):
            writer.writerow([_cell(value) for value in record.values()])
            count += 1
    return count


def _write_parquet(tables: Iterable[pa.Table], path: Path) -> int:
    count = 0
    with pq.ParquetWriter(path, record_schema(), compression="zstd") as writer:
        for table in tables:
            writer.write_table(table.cast(record_schema()))
            count += table.num_rows
    return count


def _records(tables: Iterable[pa.Table]) -> Iterator[dict[str, Any]]:
    """The records, with their notes as an object; they are stored as a text of JSON."""
    for table in tables:
        for record in table.to_pylist():
            yield record | {"notes": json.loads(record["notes"] or "{}")}


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


_WRITERS: dict[str, Callable[[Iterable[pa.Table], Path], int]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
