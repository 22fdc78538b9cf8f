"""The display matrices of an MP4 file's tracks, which PyAV shows only on decoded frames."""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_MOST_BOXES = 1000
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


def track_orientations(file: BinaryIO, size_bytes: int) -> dict[int, int]:
    """The Exif code of each track by its id; leaves the file's position as it was."""
    position = file.tell()
    try:
        return dict(_tracks(file, 0, size_bytes))
    finally:
        file.seek(position)


def _tracks(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int]]:
    for movie in _boxes(file, start, end, b"moov"):
        for track in _boxes(file, movie.start, movie.end, b"trak"):
            header = next(_boxes(file, track.start, track.end, b"tkhd"), None)
            if header is not None:
                file.seek(header.start)
                yield from _track(file.read(96))
        return


def _track(header: bytes) -> Iterator[tuple[int, int]]:
    # Version 1 has three 64-bit times where version 0 has 32-bit ones.
    identity, matrix = (20, 52) if header[:1] == b"\x01" else (12, 40)
    if len(header) >= matrix + 36:
        (track,) = struct.unpack_from(">I", header, identity)
        yield track, orientation_of(struct.unpack_from(">9i", header, matrix))


def _boxes(file: BinaryIO, start: int, end: int, wanted: bytes) -> Iterator[_Box]:
    for _ in range(_MOST_BOXES):
        file.seek(start)
        header = file.read(16)
        if len(header) < 8:
            return
        size, kind, head = int.from_bytes(header[:4], "big"), header[4:8], 8
        if size == 1:
            size, head = int.from_bytes(header[8:16], "big"), 16
        stop = end if size == 0 else min(start + size, end)
        if stop < start + head:
            return
        if kind == wanted:
            yield _Box(start + head, stop)
        start = stop
