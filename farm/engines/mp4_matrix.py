"""The display matrices of an MP4 file's tracks, which PyAV shows only on decoded frames."""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from farm.engines.mp4.matrix import orientation_of as orientation_of

_MOST_BOXES = 1000
_BLOCK_BYTES = 4096


class _Box(NamedTuple):
    start: int
    end: int


def track_orientation(file: BinaryIO, size_bytes: int, track_id: int) -> int:
    """The Exif code of a track, 1 where it has none; leaves the file's position as it was."""
    position = file.tell()
    try:
        return _track_orientation(_Window(file), size_bytes, track_id)
    finally:
        file.seek(position)


def _track_orientation(window: "_Window", size_bytes: int, track_id: int) -> int:
    movie = next(_boxes(window, _Box(0, size_bytes), b"moov"), _Box(0, 0))
    for track in _boxes(window, movie, b"trak"):
        header = next(_boxes(window, track, b"tkhd"), _Box(0, 0))
        content = window.read(header.start, 96)
        # Version 1 has three 64-bit times where version 0 has 32-bit ones.
        identity, matrix = (20, 52) if content[:1] == b"\x01" else (12, 40)
        if len(content) >= matrix + 36:
            (found,) = struct.unpack_from(">I", content, identity)
            if found == track_id:
                return orientation_of(struct.unpack_from(">9i", content, matrix))
    return 1


def _boxes(window: "_Window", parent: _Box, wanted: bytes) -> Iterator[_Box]:
    start = parent.start
    for _ in range(_MOST_BOXES):
        header = window.read(start, 16) if start < parent.end else b""
        if len(header) < 8:
            return
        size, kind, head = int.from_bytes(header[:4], "big"), header[4:8], 8
        if size == 1:
            size, head = int.from_bytes(header[8:16], "big"), 16
        stop = parent.end if size == 0 else min(start + size, parent.end)
        if stop < start + head:
            return
        if kind == wanted:
            yield _Box(start + head, stop)
        start = stop


class _Window:
    """Serves small reads from one block, so that neighbouring headers cost one read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = 0
        self._block = b""

    def read(self, start: int, count: int) -> bytes:
        at = start - self._start
        if at < 0 or at + count > len(self._block):
            self._file.seek(start)
            self._start, self._block, at = start, self._file.read(_BLOCK_BYTES), 0
        return self._block[at : at + count]
