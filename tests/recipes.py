"""Jobs whose sources are recipes of the synthetic engine, for tests of the run and below it."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from farm import storage
from farm.dialects.native import parse_row
from farm.errors import InvalidEntryError
from farm.ledger import Ledger
from farm.plan import fingerprint, make_plans
from farm.planner import Planner
from farm.record import Artifact, Record, Status
from farm.row import Row
from farm.settings import Limits, Settings
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


def commit_all(
    planner: Planner, status_of: Callable[[int], Status | str] = lambda row: Status.OK
) -> list[int]:
    """Plans a pass, commits its shards without any lane, ends it and returns its rows.

    `status_of` may also give the error code of a failure.
    """
    planned: list[int] = []
    for part, _ in planner.plan():
        for ref in planner.ledger.shards(planner.number, [part]):
            rows = planner.ledger.read_shard(ref)
            planned += [row.number for row in rows]
            planner.ledger.commit(
                ref, [record_of(row, planner.job, status_of(row.number)) for row in rows]
            )
    planner.finish()
    return planned


def record_of(row: Row, job: Job, end: Status | str = Status.OK) -> Record:
    """The record that a worker might have written; a row that cannot be read is a failed one."""
    status = end if isinstance(end, Status) else Status.FAILED
    code = "corrupt" if isinstance(end, Status) else end
    try:
        entry = parse_row(row.fields or {}, number=row.number, job=job)
    except InvalidEntryError:
        return Record(row=row.number, status=Status.FAILED, error_code="invalid_entry")
    artifacts = tuple(
        Artifact(f"{entry.destination}/{shot.key}", plan.output, shot.index, 1, "", 1, 1, "png")
        for plan in make_plans(entry, row.number, None, limits=Limits())
        for shot in plan.shots
    )
    return Record(
        row=row.number,
        status=status,
        source=entry.source,
        fingerprint=fingerprint(entry, row=row.number),
        error_code=None if status in (Status.OK, Status.DEFERRED) else code,
        artifacts=artifacts if status is Status.OK else (),
    )
