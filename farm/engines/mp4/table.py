"""Turns a sample table's run-length coded boxes into arrays (ISO/IEC 14496-12, 8.6 and 8.7).

What libavformat repairs in ways of its own is refused here, and so left to it.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from farm.engines.mp4.box import NotIndexedError, boxes, unpack

MOST_SAMPLES = 6_000_000
"""A day at 60 pictures a second, and some; what claims more is left alone."""

Boxes: TypeAlias = Mapping[bytes, memoryview]
"""The content of an `stbl`'s boxes by kind; `rap ` is the `sbgp` of random access points."""
Ints: TypeAlias = NDArray[np.int64]

_COUNT = struct.Struct(">4xI")
_SIZES = struct.Struct(">4xII")
_REPEATABLE = frozenset((b"free", b"saio", b"saiz", b"sbgp", b"sgpd", b"skip", b"subs"))
_WIDEST_OFFSET = 1 << 28
_LAST_OFFSET = 1 << 60
_LONGEST_DELTA = 1 << 31


@dataclass(frozen=True, slots=True)
class Table:
    """The samples of a track in decoding order, before edits; `cts_offset` is None where all are 0.

    `dts_shift` is what libavformat takes from decoding times so that none comes after its
    presentation time.
    """

    offset: Ints
    size: Ints
    dts: Ints
    duration: Ints
    cts_offset: Ints | None
    dts_shift: int
    is_sync: NDArray[np.bool_]
    entry: NDArray[np.int32]


def table_boxes(stbl: memoryview) -> Boxes:
    """The boxes of an `stbl`; raises NotIndexedError where a table is there twice."""
    found: dict[bytes, memoryview] = {}
    for kind, content in boxes(stbl):
        if kind == b"sbgp" and bytes(content[4:8]) == b"rap ":
            # From here on it looks like any table: four bytes and the number of rows.
            found[b"rap "] = content[8 if content[0] == 1 else 4 :]
        elif kind in found and kind not in _REPEATABLE:
            raise NotIndexedError(f"{kind!r} twice in one sample table")
        else:
            found[kind] = content
    return found


def read_table(stbl: Boxes, *, most_bytes: int) -> Table:
    """The samples that the boxes of one `stbl` describe.

    Raises NotIndexedError where boxes are missing, contradict each other or are unusual, or where
    samples of one size are more than `most_bytes`.
    """
    size = _sizes(stbl, most_bytes)
    count = len(size)
    duration = _runs(stbl, b"stts", count)
    if int(duration.max()) >= _LONGEST_DELTA:
        raise NotIndexedError("stts: negative durations")
    offset, entry = _places(stbl, size)
    cts_offset, dts_shift = _cts_offsets(stbl, count)
    dts = np.zeros(count, np.int64)
    np.cumsum(duration[:-1], out=dts[1:])
    return Table(
        offset=offset,
        size=size,
        dts=dts,
        duration=duration,
        cts_offset=cts_offset,
        dts_shift=dts_shift,
        is_sync=_syncs(stbl, count),
        entry=entry,
    )


def media_length(stbl: Boxes) -> tuple[int, int]:
    """How many samples `stts` counts, and the ticks that they last; 0 where it is damaged."""
    try:
        rows = _columns(_box(stbl, b"stts"), 2)
    except NotIndexedError:
        return 0, 0
    counts, durations = rows.T
    if int(counts.sum()) > MOST_SAMPLES or durations.max(initial=0) >= _LONGEST_DELTA:
        return 0, 0
    return int(counts.sum()), int(counts @ durations)


def _box(stbl: Boxes, kind: bytes) -> memoryview:
    if kind not in stbl:
        raise NotIndexedError(f"no {kind.decode()} box")
    return stbl[kind]


def _numbers(box: memoryview, *, start: int, count: int, form: str = ">u4") -> Ints:
    """`count` big-endian numbers of a box, checked against its end."""
    if count * np.dtype(form).itemsize > len(box) - start:
        raise NotIndexedError(f"a table of {count} entries does not fit its box")
    return np.frombuffer(box, form, count, start).astype(np.int64)


def _columns(box: memoryview, width: int, form: str = ">u4") -> Ints:
    """The rows of a full box that begins with their number."""
    (count,) = unpack(_COUNT, box)
    return _numbers(box, start=8, count=count * width, form=form).reshape(-1, width)


def _sizes(stbl: Boxes, most_bytes: int) -> Ints:
    if b"stsz" in stbl:
        box = stbl[b"stsz"]
        constant, count = unpack(_SIZES, box)
    else:
        box = _box(stbl, b"stz2")
        bits, count = unpack(_SIZES, box)
        return _checked(_packed_sizes(box, bits & 0xFF, _bounded(count)))
    if constant:
        if constant * count > most_bytes:
            raise NotIndexedError(f"stsz: {count} samples do not fit the file")
        return _checked(np.full(_bounded(count), constant, np.int64))
    return _checked(_numbers(box, start=12, count=_bounded(count)))


def _bounded(count: int) -> int:
    if not 0 < count <= MOST_SAMPLES:
        raise NotIndexedError(f"expected 1 to {MOST_SAMPLES} samples; received {count}")
    return count


def _checked(sizes: Ints) -> Ints:
    if int(sizes.max()) > 0x3FFFFFFF:
        raise NotIndexedError("a sample of more than a gigabyte")
    return sizes


def _packed_sizes(box: memoryview, bits: int, count: int) -> Ints:
    if bits == 4:
        pairs = _numbers(box, start=12, count=(count + 1) // 2, form=">u1")
        return np.stack((pairs >> 4, pairs & 15), axis=1).reshape(-1)[:count]
    if bits not in (8, 16):
        raise NotIndexedError(f"stz2: expected fields of 4, 8 or 16 bits; received {bits}")
    return _numbers(box, start=12, count=count, form=f">u{bits // 8}")


def _runs(stbl: Boxes, kind: bytes, count: int, form: str = ">u4") -> Ints:
    """The values of a run-length coded box, which has to be about `count` samples."""
    rows = _columns(_box(stbl, kind), 2, form)
    lengths = rows[:, 0]
    if lengths.min(initial=0) < 0 or int(lengths.sum()) != count:
        raise NotIndexedError(f"{kind.decode()}: not as many entries as the {count} samples")
    return np.repeat(rows[:, 1], lengths)


def _cts_offsets(stbl: Boxes, count: int) -> tuple[Ints | None, int]:
    """Offsets from decoding to presentation, and libavformat's shift for negative ones.

    Version 0 says unsigned, but is read as signed, as everybody does. libavformat leaves the last
    two runs out of the shift.
    """
    if b"ctts" not in stbl or unpack(_COUNT, stbl[b"ctts"]) == (0,):
        return None, 0
    values = _columns(stbl[b"ctts"], 2, ">i4")[:, 1]
    if len(values) > 2 and int(np.abs(values[:-2]).max()) > _WIDEST_OFFSET:
        raise NotIndexedError("ctts: an offset too wide to be true")
    shift = max(0, -int(values[:-2].min(initial=0)))
    return _runs(stbl, b"ctts", count, ">i4"), shift


def _places(stbl: Boxes, size: Ints) -> tuple[Ints, NDArray[np.int32]]:
    """Where each sample lies, and which description it has, from chunks of samples (stsc, stco)."""
    if b"co64" in stbl:
        chunks = _columns(stbl[b"co64"], 1, ">i8")[:, 0]
    else:
        chunks = _columns(_box(stbl, b"stco"), 1)[:, 0]
    first, per_chunk, entry = _columns(_box(stbl, b"stsc"), 3).T
    ends = np.append(first[1:], len(chunks) + 1)
    spans = ends - first
    if not len(first) or first[0] != 1 or spans.min() < 1 or min(per_chunk.min(), entry.min()) < 1:
        raise NotIndexedError("stsc: runs out of order")
    if len(chunks) == 0 or int(chunks.min()) < 0 or int(chunks.max()) > _LAST_OFFSET:
        raise NotIndexedError("stco: no chunks, or beyond the end of any file")
    # In Python's own integers, because a lie may overflow.
    if sum(map(int.__mul__, per_chunk.tolist(), spans.tolist())) != len(size):
        raise NotIndexedError(f"stsc: not as many samples as the {len(size)} that have sizes")
    in_chunk = np.repeat(per_chunk, spans)
    before = np.cumsum(size) - size
    first_of_chunk = np.cumsum(in_chunk) - in_chunk
    offset = np.repeat(chunks - before[first_of_chunk], in_chunk) + before
    return offset, np.repeat(entry - 1, per_chunk * spans).astype(np.int32)


def _syncs(stbl: Boxes, count: int) -> NDArray[np.bool_]:
    """Sync samples (stss), partial ones (stps) and members of groups of random access (rap)."""
    if b"stss" not in stbl:
        return np.ones(count, np.bool_)
    is_sync = np.zeros(count, np.bool_)
    for kind in (b"stss", b"stps"):
        if kind in stbl:
            numbers = _columns(stbl[kind], 1)[:, 0]
            # Without any, or out of order, libavformat looks into the samples themselves.
            if (kind == b"stss" and not len(numbers)) or (np.diff(numbers) <= 0).any():
                raise NotIndexedError(f"{kind.decode()}: no samples, or out of order")
            if len(numbers) and numbers[0] < 1:
                raise NotIndexedError(f"{kind.decode()}: counted from zero")
            is_sync[numbers[numbers <= count] - 1] = True
    if b"rap " in stbl:
        rows = _columns(stbl[b"rap "], 2)
        if int(rows[:, 0].sum()) > count:
            raise NotIndexedError("sbgp: more samples than there are")
        members = np.repeat(rows[:, 1] > 0, rows[:, 0])
        is_sync[: len(members)] |= members
    return is_sync
