"""Reads the indexes that tell where fragments begin: `sidx` before them, or `mfra` behind."""

import struct
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from farm.engines.mp4.box import NotIndexedError, boxes, read_header, unpack
from farm.engines.mp4.file import BoxFile
from farm.engines.mp4.table import Ints

_SIDX = struct.Struct(">B3xII")
# Earliest time, distance of the first segment, two reserved bytes, number of segments.
_SIDX_TIMES = (struct.Struct(">II2xH"), struct.Struct(">QQ2xH"))
_TFRA = struct.Struct(">B3xIII")
_MFRO = struct.Struct(">I")
_TAIL_BYTES = 4096
_MOST_INDEX_BYTES = 16 << 20
_LATEST = 1 << 60


@dataclass(frozen=True, slots=True)
class Segments:
    """Start times, ascending, in ticks of the media, and the place of the boxes that begin there.

    `end` is the time at which the last one ends, None where that is unknown.
    """

    times: tuple[int, ...] = ()
    offsets: tuple[int, ...] = ()
    end: int | None = None


def read_segments(file: BoxFile, *, start: int, track_id: int, timescale: int) -> Segments:
    """What the file has of an index of its fragments; empty where there is none to be trusted.

    `start` is where the boxes after the movie header begin.
    """
    for read in (_from_sidx, _from_mfra):
        try:
            found = read(file, start, track_id, timescale)
        except NotIndexedError:
            continue
        if found is not None and all(a < b for a, b in pairwise(found.times)):
            return found
    return Segments()


def _from_sidx(file: BoxFile, start: int, track_id: int, timescale: int) -> Segments | None:
    for at, header in file.boxes(start):
        if header.kind in (b"moof", b"mdat"):
            return None
        if header.kind == b"sidx" and header.size <= _MOST_INDEX_BYTES:
            end = at + header.size
            found = _read_sidx(file.content(at, header), end, track_id, timescale)
            if found is not None and _ends_file(file, found.offsets[-1]):
                return Segments(found.times[:-1], found.offsets[:-1], found.times[-1])
    return None


def _read_sidx(sidx: memoryview, end: int, track_id: int, timescale: int) -> Segments | None:
    """Segments that end one another, with one more for the end of the last."""
    version, reference, scale = unpack(_SIDX, sidx)
    if version > 1 or reference != track_id or not scale:
        return None
    form = _SIDX_TIMES[version]
    time, distance, count = unpack(form, sidx, _SIDX.size)
    at = _SIDX.size + form.size
    if not count or len(sidx) < at + 12 * count or max(time, distance) > _LATEST:
        return None
    rows = np.frombuffer(sidx, ">u4", 3 * count, at).astype(np.int64).reshape(-1, 3)
    if (rows[:, 0] >> 31).any():  # segments that are indexes themselves
        return None
    times = np.cumsum(np.append(time, rows[:, 1]))
    offsets = np.cumsum(np.append(end + distance, rows[:, 0]))
    scaled = [(ticks * timescale + scale // 2) // scale for ticks in times.tolist()]
    return Segments(tuple(scaled), tuple(offsets.tolist()))


def _ends_file(file: BoxFile, end: int) -> bool:
    """Whether nothing comes there but the other index."""
    if end == file.size_bytes:
        return True
    header = file.header(end)
    return header is not None and header.kind == b"mfra"


def _from_mfra(file: BoxFile, start: int, track_id: int, timescale: int) -> Segments | None:
    tail = file.tail(_TAIL_BYTES)
    (size,) = _MFRO.unpack_from(tail, len(tail) - _MFRO.size)
    if not 16 <= size <= min(_MOST_INDEX_BYTES, file.size_bytes - start):
        return None
    mfra = tail[-size:] if size <= len(tail) else file.tail(size)
    header = read_header(mfra)
    if header is None or header.kind != b"mfra":
        return None
    tables = (box for kind, box in boxes(memoryview(mfra)[header.head :]) if kind == b"tfra")
    return next(filter(None, (_read_tfra(table, track_id) for table in tables)), None)


def _read_tfra(tfra: memoryview, track_id: int) -> Segments | None:
    version, reference, lengths, count = unpack(_TFRA, tfra)
    if version > 1 or reference != track_id:
        return None
    field = 8 if version else 4
    row = 2 * field + sum((lengths >> shift & 3) + 1 for shift in (0, 2, 4))
    if not count or len(tfra) < _TFRA.size + row * count:
        return None
    rows = np.frombuffer(tfra, np.uint8, row * count, _TFRA.size).reshape(count, row)
    times, offsets = (_column(rows[:, at : at + field]) for at in (0, field))
    if min(times.min(), offsets.min()) < 0:
        return None
    # The first sync sample of a fragment stands for it.
    _, first = np.unique(offsets, return_index=True)
    return Segments(tuple(times[first].tolist()), tuple(offsets[first].tolist()))


def _column(digits: NDArray[np.uint8]) -> Ints:
    """Big-endian numbers of 4 or 8 bytes, one a row; negative beyond 2^63."""
    form = ">i8" if digits.shape[1] == 8 else ">u4"
    return np.ascontiguousarray(digits).view(form).astype(np.int64)[:, 0]
