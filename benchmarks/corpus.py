"""Makes the files that are measured, once."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.place import bench_folder
from benchmarks.still import make_stills
from benchmarks.video import all_videos, make_videos

# To be raised with any change of what is made.
_VERSION = 1


def corpus_folder(*, is_quick: bool) -> Path:
    """Where the files are; videos are shorter for a quick look."""
    return bench_folder() / f"corpus-{_VERSION}{'-quick' if is_quick else ''}"


def make_corpus(*, is_quick: bool) -> Iterator[str]:
    """Makes what is missing, and tells of each file; a few minutes the first time."""
    folder = corpus_folder(is_quick=is_quick)
    folder.mkdir(parents=True, exist_ok=True)
    yield from make_stills(folder)
    yield from make_videos(folder, all_videos(is_quick=is_quick))
