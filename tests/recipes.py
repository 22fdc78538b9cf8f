"""Jobs whose sources are recipes of the synthetic engine, for tests of the run and below it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from farm import storage
from farm.ledger import Ledger, Row
from farm.record import Record
from farm.settings import Settings
from farm.spec import Job

QUICK = {"width": 32, "height": 24, "seconds": 1}
OUTPUT = {"width": 16, "format": "png"}


def recipe(**values: Any) -> bytes:
    """A source of a few pixels."""
    return b"FARMSYN1 " + json.dumps(QUICK | values).encode() + b"\n"


def write_source(path: Path, **values: Any) -> Path:
    """Stores a recipe."""
    path.write_bytes(recipe(**values))
    return path


def write_manifest(path: Path, rows: Iterable[Mapping[str, Any] | str]) -> Path:
    """Stores a JSONL manifest; a string is a line as it stands."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def make_job(folder: Path, *, outputs: Iterable[Any] = (OUTPUT,), **fields: Any) -> Job:
    """A job over `folder`/list.jsonl that writes to `folder`/out and knows every setting."""
    settings = Settings.model_validate(
        {"lanes": 2, "lane_memory_bytes": 256 << 20, "pause_seconds": 60.0}
        | fields.pop("settings", {})
    )
    fields = {"manifest": str(folder / "list.jsonl"), "destination": str(folder / "out")} | fields
    return Job.model_validate({"outputs": tuple(outputs), "settings": settings} | fields)


def make_ledger(folder: Path) -> Ledger:
    """A ledger of that job."""
    return Ledger(str(folder / "out/_ledger"), storage)


def plan_rows(count: int) -> list[Row]:
    """Rows 1 to `count`."""
    return [Row(number, {"source": f"{number}.syn"}) for number in range(1, count + 1)]


def records_by_row(records: Iterable[Record]) -> dict[int, Record]:
    """Records by their row; two of one row are a fault."""
    records = list(records)
    found = {record.row: record for record in records}
    assert len(found) == len(records)
    return found
