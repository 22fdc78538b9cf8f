"""Ledgers made of records alone, without any lane, and pictures for them to name."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from farm import storage
from farm.ledger import Ledger, Pass, PassReason, PlanSeal
from farm.record import Artifact, Record, Status
from farm.row import Row

BEGAN = 1_780_000_000.0
JOB = {
    "manifest": "/archive/list.jsonl",
    "destination": "/thumbnails",
    "outputs": [{"width": 64, "height": 36}, {"kind": "storyboard", "width": 32, "height": 18}],
}


def make_ledger(
    uri: str,
    records: Sequence[Record],
    *,
    number: int = 1,
    reason: PassReason = PassReason.NEW,
    carried: int = 0,
    job: dict[str, Any] = JOB,
    shard: int = 500,
    is_finished: bool = True,
) -> Ledger:
    """A ledger with a pass that gave these records, in shards of that many."""
    ledger = Ledger(uri, storage)
    made = Pass(number, reason, f"f{number}", job, {}, f"2026-01-0{number}T00:00:00+00:00", "0.1.0")
    ledger.create_pass(made)
    shards = [records[at : at + shard] for at in range(0, len(records), shard)]
    part = ledger.put_part(number, 0, [[Row(one.row, {}) for one in each] for each in shards])
    ledger.seal_plan(number, PlanSeal(1, len(records), carried))
    for ref, each in zip(ledger.shards(number, [part]), shards, strict=True):
        ledger.commit(ref, each)
    if is_finished:
        ledger.finish_pass(number, 0)
    return ledger


def done(row: int, *artifacts: Artifact, **fields: Any) -> Record:
    """The record of an entry that is done, a second for each row after the first."""
    timings = {
        "fetch": 1.0,
        "open": 2.0,
        "decode": 40.0,
        "resize": 5.0,
        "encode": 9.0,
        "store": 3.0,
    }
    facts: dict[str, Any] = {
        "source": f"/archive/clip-{row:05d}.mp4",
        "id": f"clip-{row:05d}",
        "engine": "pyav",
        "engine_version": "16.0",
        "timings_ms": timings,
        "bytes_read": 1000,
        "started": BEGAN + row,
        "worker": "tcp://10.0.0.1:4000",
        "fingerprint": f"{row:032x}",
    }
    return Record(row, Status.OK, **(facts | {"artifacts": artifacts} | fields))


def failed(row: int, code: str, message: str = "it is broken", **fields: Any) -> Record:
    """The record of an entry that failed."""
    record = done(row, **fields)
    return replace(
        record, status=Status.FAILED, error_code=code, message=message, engine=None, timings_ms={}
    )


def picture(
    uri: str, *, output: int = 0, index: int = 1, size: tuple[int, int] = (64, 36), **fields: Any
) -> Artifact:
    """The artifact of a picture, whose file need not be there."""
    suffix = uri.rpartition(".")[2]
    facts = {"pts_seconds": 1.5, "format": suffix} | fields
    return Artifact(uri, output, index, 500, f"{abs(hash(uri)):064x}", *size, **facts)


def vtt(uri: str, text: str, *, output: int = 1) -> Artifact:
    """The artifact of a WebVTT file, which is stored."""
    storage.put(uri, text.encode())
    return Artifact(uri, output, 0, len(text.encode()), "0" * 64, 0, 0, "vtt")


def store_tiles(uri: str, colors: Iterable[str], *, tile: tuple[int, int] = (32, 18)) -> Artifact:
    """A stored sheet of tiles side by side, each of one colour, as the artifact of output 1."""
    colors = list(colors)
    sheet = Image.new("RGB", (tile[0] * len(colors), tile[1]))
    for number, color in enumerate(colors):
        sheet.paste(color, (number * tile[0], 0, (number + 1) * tile[0], tile[1]))
    return store_picture(uri, sheet, output=1)


def store_picture(uri: str, image: Image.Image, *, output: int = 0) -> Artifact:
    """A stored PNG, as an artifact."""
    data = io.BytesIO()
    image.save(data, "PNG")
    storage.put(uri, data.getvalue())
    return picture(uri, output=output, size=image.size)


def data_of(folder: Path, kind: str) -> list[Any]:
    """All that the data scripts of one kind hold."""
    found: list[Any] = []
    for path in sorted((folder / "data").glob(f"{kind}-*.js")):
        name, _, data = path.read_text("ascii").partition(",")
        assert name == f'thumbfarmReport.take("{path.stem}"'
        found += json.loads(data.removesuffix(");\n"))
    return found
