"""The archive of a chaos run: recipes, real files, and entries that end every lane they meet."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm import storage
from farm.samples import MANIFEST_NAME

# What each poison entry does to its lane; the bomb is among the samples.
POISONS = ("segfault", "abort", "spin", "memory", "hang", "exit")

_POISON_EVERY = 40
_REAL_EVERY = 4
_MOST_REAL_BYTES = 200_000
_POISON_TIMEOUT_SECONDS = 3.0
_TIMEOUT_SECONDS = 30.0
_OUTPUTS: tuple[dict[str, Any], ...] = (
    {"width": 48, "format": "png", "filename": "{fanout}/{id}.png"},
    {"width": 32, "height": 32, "fit": "crop", "filename": "{fanout}/{id}-crop.jpg"},
)
# Small, so that many are in flight and lost, and with them every state that a shard can be in.
_SETTINGS = {"shard_entries": 25, "lane_memory_bytes": 512 << 20, "pause_seconds": 120.0}


@dataclass(frozen=True, slots=True)
class Archive:
    """The sources and the manifest that both runs share, and how many of its entries are poison."""

    manifest: str
    entries: int
    poisons: int

    def job(self, destination: str) -> dict[str, Any]:
        """The fields of a job file."""
        outputs = [each | {"timeout": _TIMEOUT_SECONDS} for each in _OUTPUTS]
        return {
            "manifest": self.manifest,
            "destination": destination,
            "outputs": outputs,
            "settings": _SETTINGS,
        }


def make_archive(place: str, samples: Path, *, entries: int, seed: int) -> Archive:
    """Stores sources and manifest below a URI; the same ones for the same seed.

    `samples` is a folder that `farm samples` has filled.
    """
    chooser = random.Random(seed)
    real = list(_stored_samples(place, samples))
    rows, poisons = [], 0
    for number in range(entries):
        row: dict[str, Any] = {"id": f"{number:06d}"}
        if number % _REAL_EVERY == 1:
            rows.append(row | {"source": chooser.choice(real)})
            continue
        recipe: dict[str, Any] = {"width": 96, "height": 64, "sleep": 0.03, "seed": number}
        if number % _POISON_EVERY == _POISON_EVERY // 2:
            recipe["fault"] = POISONS[poisons % len(POISONS)]
            timeout = {"timeout": _POISON_TIMEOUT_SECONDS}
            row["outputs"] = [each | timeout for each in _OUTPUTS]
            poisons += 1
        source = storage.join(place, f"recipes/{number:06d}.syn")
        storage.put(source, b"FARMSYN1 " + json.dumps(recipe).encode() + b"\n")
        rows.append(row | {"source": source})
    manifest = storage.join(place, "manifest.jsonl")
    storage.put(manifest, "".join(json.dumps(row) + "\n" for row in rows).encode())
    return Archive(manifest, entries, poisons)


def _stored_samples(place: str, samples: Path) -> Iterator[str]:
    """The URIs of the samples that are small enough for many to be made in a short time."""
    lines = (samples / MANIFEST_NAME).read_text("utf-8").splitlines()
    for number, path in enumerate(Path(json.loads(line)["source"]) for line in lines):
        if path.stat().st_size <= _MOST_REAL_BYTES:
            uri = storage.join(place, f"real/{number:03d}{path.suffix}")
            storage.put(uri, path.read_bytes())
            yield uri
