"""Measures `farm run` over small archives: with CPU lanes, with the GPU's lane, and with both.

Unverified on a GPU.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.driver import Busyness, Watch
from benchmarks.gpu.part import Row, Task
from benchmarks.place import ROOT
from farm.geometry import Size
from farm.machine import usable_cores

# What is left of the part's time must allow for one more run.
_RUN_SECONDS = 25.0
_X264 = {"preset": "superfast", "crf": "23"}


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of entry: `per_core` of them for each core, so that a run takes a few seconds."""

    name: str
    file: str
    output: str
    per_core: int


WORKS = (
    Work("12-MP JPEG to 320 px", "12mp.jpg", "320x320", 100),
    Work("1080p H.264, one keyframe", "1080p.mp4", "320x180", 200),
    Work("1080p H.264, ten keyframes", "1080p.mp4", "320x180,count=10", 40),
    Work("720p H.264, storyboard of 40", "long.mp4", "160x90,count=40", 15),
)

# A worker has a lane for each core unless told otherwise; none at all is not to be had.
MODES = {
    "CPU lanes": ("--gpus", "none"),
    "GPU lane and one CPU lane": ("--gpus", "all", "--lanes", "1"),
    "GPU lane and CPU lanes": ("--gpus", "all"),
}


def rows(task: Task) -> Iterator[Row]:
    """A row for each work and mode."""
    folder = task.folder / "archive"
    folder.mkdir()
    make_sources(folder)
    has_option = _has_gpus_option()
    for work in WORKS:
        for mode, words in MODES.items():
            row: Row = {"work": work.name, "lanes": mode}
            if not has_option and "all" in words:
                yield row | {"why": "`farm run` has no option --gpus"}
            elif task.left_seconds < _RUN_SECONDS:
                yield row | {"why": "no time left"}
            else:
                yield row | _measured(folder, work, words if has_option else ())


def make_sources(folder: Path) -> None:
    """Makes the few files that the archives consist of, over and over."""
    from farm.samples.card import Card, timecode, to_image
    from farm.samples.clip import Recipe, make_clip

    card = Card(Size(4000, 3000), seed=1).draw(1, timecode(0, 1))
    to_image(card).save(folder / "12mp.jpg", quality=91, subsampling="4:2:0")
    recipes = (
        Recipe("1080p.mp4", "libx264", "", Size(1920, 1080), 40, 4, gop=4, options=_X264),
        Recipe("long.mp4", "libx264", "", Size(1280, 720), 80, 1, gop=2, options=_X264),
    )
    for recipe in recipes:
        (folder / recipe.name).write_bytes(make_clip(recipe))


def _has_gpus_option() -> bool:
    words = [sys.executable, "-m", "farm", "run", "--help"]
    return "--gpus" in subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout


def _measured(folder: Path, work: Work, words: Sequence[str]) -> Row:
    """One run: its rate from the first entry's start to the last shard's commit."""
    entries = work.per_core * usable_cores()
    run = folder / f"run-{time.monotonic_ns()}"
    run.mkdir()
    source = str(folder / work.file)
    lines = (json.dumps({"source": source, "id": f"{n:06d}"}) for n in range(entries))
    (run / "manifest.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    command = [
        *(sys.executable, "-m", "farm", "run", "--manifest", str(run / "manifest.jsonl")),
        *("--destination", str(run / "out"), "--output", f"{work.output},format=jpg"),
        *words,
    ]
    try:
        with Watch() as watch:
            ended = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=_RUN_SECONDS * 2
            )
    except subprocess.TimeoutExpired:
        return {"entries": entries, "why": "not done in time"}
    if ended.returncode:
        said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
        return {"entries": entries, "why": said[-1] if said else f"exit code {ended.returncode}"}
    return _told(run / "out" / "_ledger", watch.busyness)


def _told(ledger: Path, busyness: Busyness) -> Row:
    """What the records of a run tell."""
    from farm import storage
    from farm.history import final_records
    from farm.ledger import Ledger

    records = list(final_records(Ledger(str(ledger), storage)))
    committed = max(path.stat().st_mtime for path in ledger.glob("pass-*/results/*.parquet"))
    seconds = committed - min(record.started for record in records)
    pictures = sum(len(record.artifacts) for record in records)
    engines = Counter(record.engine or "none" for record in records)
    row: Row = {
        "entries": len(records),
        "entries_per_second": round(len(records) / seconds, 1),
        "pictures_per_second": round(pictures / seconds, 1),
        "engines": ", ".join(f"{count} {name}" for name, count in engines.most_common()),
    }
    for unit in ("gpu", "nvdec", "nvjpg"):
        percent = busyness.mean(unit)
        row[f"{unit}_percent"] = None if percent is None else round(percent)
    return row
