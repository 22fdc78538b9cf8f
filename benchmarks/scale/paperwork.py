"""Measures what the client does alone: planning rows, and reading results, of two kinds of archive.

`backfill` is what `benchmarks.backfill` makes; `archive` has names, sizes and hashes as photos in
a bucket have them.
"""

import collections
import contextlib
import hashlib
import multiprocessing
import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from farm import storage
from farm.history import totals
from farm.ledger import Ledger, Part, ShardRef
from farm.options import RunOptions
from farm.passes import Passes
from farm.planner import Planner
from farm.record import Artifact, Record, Status
from farm.spec import Job

T = TypeVar("T")

_PLANNED_ROWS = 120_000
_FEW_SHARD_ENTRIES, _MANY_SHARD_ENTRIES = 50, 1000
_READ_SHARDS = 150
_FEW_RECORDS, _MANY_RECORDS = 10, 500
_REMEMBERED_SHARDS = 50_000


@dataclass(frozen=True, slots=True)
class PlanCosts:
    """CPU seconds and bytes of a plan; what memory a row of a part needs while that is made."""

    row_seconds: float
    part_row_bytes: float
    shard_bytes: float
    row_bytes: float


@dataclass(frozen=True, slots=True)
class ReadCosts:
    """CPU seconds to read a results object and a record once, and their bytes."""

    shard_seconds: float
    row_seconds: float
    shard_bytes: float
    row_bytes: float


@dataclass(frozen=True, slots=True)
class _Planned:
    cpu_seconds: float
    peak_bytes: float
    parts: int
    shards: int
    plan_bytes: int


def measure_planning(kind: str) -> PlanCosts:
    """Plans an archive of small shards and one of large ones, each in a fresh process."""
    few = _in_fresh_process(_plan, kind, _FEW_SHARD_ENTRIES)
    many = _in_fresh_process(_plan, kind, _MANY_SHARD_ENTRIES)
    part_rows = 32 * (_MANY_SHARD_ENTRIES - _FEW_SHARD_ENTRIES)
    shard_bytes = (few.plan_bytes - many.plan_bytes) / (few.shards - many.shards)
    return PlanCosts(
        row_seconds=many.cpu_seconds / _PLANNED_ROWS,
        part_row_bytes=max(0.0, many.peak_bytes - few.peak_bytes) / part_rows,
        shard_bytes=shard_bytes,
        row_bytes=(many.plan_bytes - many.shards * shard_bytes) / _PLANNED_ROWS,
    )


def measure_reading() -> ReadCosts:
    """Reads results objects of few records and of many, as the end of a run does."""
    few_seconds, few_bytes = _read(_FEW_RECORDS)
    many_seconds, many_bytes = _read(_MANY_RECORDS)
    more = _READ_SHARDS * (_MANY_RECORDS - _FEW_RECORDS)
    row_seconds, row_bytes = (many_seconds - few_seconds) / more, (many_bytes - few_bytes) / more
    return ReadCosts(
        shard_seconds=few_seconds / _READ_SHARDS - _FEW_RECORDS * row_seconds,
        row_seconds=row_seconds,
        shard_bytes=few_bytes / _READ_SHARDS - _FEW_RECORDS * row_bytes,
        row_bytes=row_bytes,
    )


def remembered_shard_bytes() -> float:
    """What the run loop keeps of each shard: its reference, and how often it was tried."""
    ledger = Ledger("/ledger", storage)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        parts = [Part(number, 32) for number in range(_REMEMBERED_SHARDS // 32)]
        refs = collections.deque(ledger.shards(1, parts))
        attempts = collections.Counter(refs)
        return (tracemalloc.get_traced_memory()[0] - before) / len(attempts)
    finally:
        tracemalloc.stop()


def _plan(kind: str, shard_entries: int) -> _Planned:
    with tempfile.TemporaryDirectory(prefix="farm-plan-") as folder:
        manifest = Path(folder) / "list.jsonl"
        with manifest.open("w") as stream:
            for line in _LINES[kind](_PLANNED_ROWS):
                stream.write(f"{line}\n")
        planner = _planner(folder, manifest, shard_entries)
        began = time.process_time()
        parts = [part for part, _ in planner.plan()]
        seconds = time.process_time() - began
        stored = sum(each.stat().st_size for each in Path(folder).glob("_ledger/*/plan/*"))
    shards = sum(part.shards for part in parts)
    return _Planned(seconds, _peak_bytes(), len(parts), shards, stored)


def _planner(folder: str, manifest: Path, shard_entries: int) -> Planner:
    fields: dict[str, Any] = {"manifest": str(manifest), "destination": folder}
    fields |= {"outputs": [{"width": 320}], "settings": {"shard_entries": shard_entries}}
    ledger = Ledger(f"{folder}/_ledger", storage)
    planner = Passes(ledger, Job.model_validate(fields), RunOptions()).next_planner()
    assert planner is not None
    return planner


def _read(records: int) -> tuple[float, int]:
    """CPU seconds of one reading, and bytes, of results objects with so many records each."""
    with tempfile.TemporaryDirectory(prefix="farm-read-") as folder:
        manifest = Path(folder) / "list.jsonl"
        manifest.write_text("".join(f"{line}\n" for line in _archive_lines(1)))
        planner = _planner(folder, manifest, records)
        ledger = planner.ledger
        made = random.Random(2)
        for index in range(_READ_SHARDS):
            rows = range(index * records, (index + 1) * records)
            ledger.commit(ShardRef(ledger.uri, 1, 0, 1, index), [_record(_, made) for _ in rows])
        began = time.process_time()
        planner.finish()
        totals(ledger)
        seconds = (time.process_time() - began) / 2
        stored = sum(each.stat().st_size for each in Path(folder).glob("_ledger/*/results/*"))
    return seconds, stored


def _archive_lines(rows: int) -> Iterator[str]:
    chosen = random.Random(1)
    for row in range(rows):
        size = chosen.randrange(1_000_000, 5_000_000)
        yield f'{{"source": "{_source(row, chosen)}", "size": {size}}}'


def _source(row: int, chosen: random.Random) -> str:
    folder = f"2024/{row // 300_000 % 12 + 1:02d}/{row // 10_000 % 30 + 1:02d}"
    return f"s3://archive-photos/{folder}/{chosen.getrandbits(48):012x}.jpg"


def _backfill_lines(rows: int) -> Iterator[str]:
    folder = f"{tempfile.gettempdir()}/farm-backfill-abcdefgh"
    for row in range(rows):
        yield f'{{"source": "{folder}/source.syn", "id": "{row:09d}"}}'


_LINES: dict[str, Callable[[int], Iterator[str]]] = {
    "archive": _archive_lines,
    "backfill": _backfill_lines,
}


def _record(row: int, made: random.Random) -> Record:
    """A record as one photo leaves it."""
    source = _source(row, made)
    hashed = hashlib.sha256(source.encode()).hexdigest()
    size = made.randrange(8_000, 20_000)
    key = f"s3://archive-thumbnails/{source.rpartition('photos/')[2]}"
    stages = ("fetch", "open", "decode", "resize", "encode", "store")
    return Record(
        row=row + 1,
        status=Status.OK,
        source=source,
        fingerprint=hashed[32:],
        engine="turbojpeg",
        engine_version="3.1",
        artifacts=(Artifact(key, 0, 0, size, hashed, 320, 240, "jpg"),),
        bytes_read=made.randrange(1_000_000, 5_000_000),
        requests=2,
        timings_ms={stage: made.uniform(0.5, 30.0) for stage in stages},
        started=1.7e9 + row * made.uniform(0.0, 0.01),
        worker=f"gpu-{row // 1000 % 1000:04d}:4711",
    )


def _peak_bytes() -> float:
    """The most memory that this process has had, of its own and shared."""
    status = Path("/proc/self/status").read_text()
    with contextlib.suppress(StopIteration):
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) * 1024
    return float(psutil.Process().memory_info().rss)


def _in_fresh_process(function: Callable[..., T], *arguments: object) -> T:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        return executor.submit(function, *arguments).result()
