"""The display matrices of an MP4 file's tracks, which PyAV shows only on decoded frames."""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_MOST_BOXES = 1000
_BLOCK_BYTES = 4096
_ORIENTATIONS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}


class _Box(NamedTuple):
    start: int
    end: int


def orientation_of(matrix: tuple[int, ...]) -> int:
    """The Exif code of a 3x3 display matrix, row-major 16.16, to the nearest quarter turn.

    A pixel (x, y) is shown at (a x + c y, b x + d y), ISO/IEC 14496-12, 6.2.2.
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        b = c = 0
    else:
        a = d = 0
    return _ORIENTATIONS.get((_sign(a), _sign(b), _sign(c), _sign(d)), 1)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


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
