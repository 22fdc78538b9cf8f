"""Storyboards as a report's pages scrub them: what a WebVTT file says of an entry's own files."""

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from farm import storage
from farm.errors import SourceTooLargeError

_MOST_CUES = 2000
_MOST_BYTES = 1 << 20

_TIMES = re.compile(r"([\d:.]+)\s+-->\s+([\d:.]+)")
_TIME = re.compile(r"(?:(\d{1,6}):)?(\d{1,2}):(\d{1,2}(?:\.\d{1,3})?)")
_TILE = re.compile(r"xywh=(\d{1,5}),(\d{1,5}),(\d{1,5}),(\d{1,5})")


@dataclass(frozen=True, slots=True)
class ScrubCue:
    """What is shown from `start` to `end` seconds: a tile, in pixels, on one of the files."""

    start: float
    end: float
    file: int
    left: int
    top: int
    width: int
    height: int


def read_cues(vtt: dict[str, Any], files: Sequence[dict[str, Any]]) -> list[ScrubCue]:
    """The cues of a stored WebVTT file, an artifact, over the picture artifacts beside it.

    The text was written by a process that a hostile file may have taken over: a cue that names
    anything but one of these files, or a tile outside of it, is left out. Raises a SourceError
    where the file cannot be read.
    """
    if vtt["size_bytes"] > _MOST_BYTES:
        raise SourceTooLargeError(
            f"expected at most {_MOST_BYTES} bytes of WebVTT, its record tells {vtt['size_bytes']}"
        )
    text = storage.get(vtt["uri"])[:_MOST_BYTES].decode("utf-8", "replace")
    return list(_cues(text, posixpath.dirname(vtt["uri"]), files))[:_MOST_CUES]


def _cues(text: str, folder: str, files: Sequence[dict[str, Any]]) -> Iterator[ScrubCue]:
    numbers = {file["uri"]: number for number, file in enumerate(files)}
    for block in re.split(r"\n{2,}", text.replace("\r\n", "\n")):
        head, _, address = block.strip().partition("\n")
        times = _TIMES.fullmatch(head.strip())
        name, _, fragment = address.strip().partition("#")
        number = numbers.get(_resolve(folder, unquote(name)))
        if times is None or number is None:
            continue
        start, end = _seconds(times[1]), _seconds(times[2])
        size = files[number]["width"], files[number]["height"]
        tile = _tile(fragment, *size)
        if start is not None and end is not None and tile is not None:
            yield ScrubCue(start, end, number, *tile)


def _resolve(folder: str, name: str) -> str:
    """The URI that a relative name stands for, one folder up for each `..` it begins with."""
    while name.startswith("../"):
        folder, name = posixpath.dirname(folder), name[3:]
    return f"{folder}/{name}"


def _seconds(text: str) -> float | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    return int(found[1] or 0) * 3600 + int(found[2]) * 60 + float(found[3])


def _tile(fragment: str, width: int, height: int) -> tuple[int, int, int, int] | None:
    if not fragment:
        return 0, 0, width, height
    found = _TILE.fullmatch(fragment)
    if found is None:
        return None
    left, top, across, down = (int(number) for number in found.groups())
    is_inside = across > 0 < down and left + across <= width and top + down <= height
    return (left, top, across, down) if is_inside else None
