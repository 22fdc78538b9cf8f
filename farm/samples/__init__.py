"""The sample archive: videos and pictures of many kinds, good and broken, made by code."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from farm.samples.broken import make_broken
from farm.samples.card import PATCHES, patch_boxes
from farm.samples.pictures import make_pictures
from farm.samples.sample import Sample
from farm.samples.videos import make_videos

MANIFEST_NAME = "manifest.jsonl"
EXPECTED_NAME = "expected.json"


def make_samples(folder: Path, *, progress: Callable[[str], None] | None = None) -> list[Path]:
    """Makes the archive in `folder`, and gives the paths of its media files.

    The same libraries make the same bytes at every call. Beside the files, `manifest.jsonl`
    lists them by absolute path, and `expected.json` says what each one is: the fields of `Sample`
    by path, the card's flat colours in sRGB and where they lie, in fractions of the shown picture
    (left, top, right, bottom). `progress` is told the path of each file as it is made. Raises
    OSError where the folder cannot be written.
    """
    folder = folder.absolute()
    made = _write_files(folder, chain(make_videos(), make_pictures(), make_broken()), progress)
    _write_manifest(folder, made)
    _write_expected(folder, made)
    return [folder / sample.path for sample in made]


def _write_files(
    folder: Path,
    files: Iterable[tuple[Sample, bytes]],
    progress: Callable[[str], None] | None,
) -> list[Sample]:
    made = []
    for sample, data in files:
        path = folder / sample.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        made.append(sample)
        if progress:
            progress(sample.path)
    return made


def _write_manifest(folder: Path, samples: Sequence[Sample]) -> None:
    rows = ({"id": sample.path, "source": str(folder / sample.path)} for sample in samples)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / MANIFEST_NAME).write_text(lines, encoding="utf-8")


def _write_expected(folder: Path, samples: Sequence[Sample]) -> None:
    boxes = patch_boxes()
    content = {
        "patches": {name: {"rgb": rgb, "box": boxes[name]} for name, rgb in PATCHES.items()},
        "files": {sample.path: asdict(sample) for sample in samples},
    }
    text = json.dumps(content, ensure_ascii=False, indent=1)
    (folder / EXPECTED_NAME).write_text(text + "\n", encoding="utf-8")
