"""Reads what one movie fragment says of a track's samples (ISO/IEC 14496-12, 8.8)."""

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.engines.mp4.box import NotIndexedError, boxes, children, unpack
from farm.engines.mp4.table import MOST_SAMPLES, Ints

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_I32 = struct.Struct(">i")
_TREX = struct.Struct(">4xIIIII")
_TFHD = struct.Struct(">II")
_TRUN = struct.Struct(">II")
_FLAGS = 0xFFFFFF
_IS_NO_KEY = 0x1010000  # is a non-sync sample, or depends on others
_MOOF_IS_BASE = 0x20000
# Optional fields of tfhd, in their order.
_BASE, _ENTRY, _DURATION, _SIZE, _SAMPLE_FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20
# Optional fields of trun: of the run, and the columns of its samples.
_DATA_OFFSET, _FIRST_FLAGS = 0x1, 0x4
_COLUMNS = (0x100, 0x200, 0x400, 0x800)
_EMPTY = memoryview(b"")


class Defaults(NamedTuple):
    """What holds for samples that do not say otherwise; `entry` counts from 1."""

    entry: int
    duration: int
    size: int
    flags: int


class Run(NamedTuple):
    """Consecutive samples; `dts` is None where the fragment tells no decoding time."""

    dts: int | None
    offset: Ints
    size: Ints
    duration: Ints
    cts_offset: Ints
    is_sync: NDArray[np.bool_]
    entry: int


class _Traf(NamedTuple):
    track_id: int
    base: int | None
    defaults: Defaults
    dts: int | None
    truns: list[memoryview]


def read_defaults(mvex: memoryview) -> dict[int, Defaults]:
    """The `trex` of each track, by track id."""
    found: dict[int, Defaults] = {}
    for kind, content in boxes(mvex):
        if kind == b"trex":
            track_id, *values = unpack(_TREX, content)
            found.setdefault(track_id, Defaults(*values))
    return found


def read_moof(
    moof: memoryview, *, offset: int, track_id: int, defaults: dict[int, Defaults], most_bytes: int
) -> list[Run]:
    """The runs of one track in the `moof` box that begins at `offset` of the file.

    Raises NotIndexedError where they are damaged, or claim more than `most_bytes` of data.
    """
    found: list[Run] = []
    base = offset
    for kind, content in boxes(moof):
        if kind != b"traf":
            continue
        traf = _read_traf(content, offset, defaults)
        if traf is None:
            continue
        is_wanted = traf.track_id == track_id
        if is_wanted and found and traf.dts is None:
            raise NotIndexedError("moof: a track twice, without a time")
        # Without a base of its own, a track's data follow those of the track before.
        runs, base = _read_runs(traf, base if traf.base is None else traf.base, most_bytes)
        if is_wanted:
            found += runs
    return found


def _read_traf(content: memoryview, offset: int, defaults: dict[int, Defaults]) -> _Traf | None:
    inner = children(content)
    tfhd = inner.get(b"tfhd", _EMPTY)
    flags, track_id = unpack(_TFHD, tfhd)
    own = defaults.get(track_id)
    if own is None:
        return None
    at = _TFHD.size
    base = offset if flags & _MOOF_IS_BASE else None
    if flags & _BASE:
        (base,) = unpack(_U64, tfhd, at)
        at += _U64.size
    values = list(own)
    for index, flag in enumerate((_ENTRY, _DURATION, _SIZE, _SAMPLE_FLAGS)):
        if flags & flag:
            (values[index],) = unpack(_U32, tfhd, at)
            at += _U32.size
    if not 0 < values[0] < 1 << 31:
        raise NotIndexedError(f"tfhd: description {values[0]}")
    truns = [box for kind, box in boxes(content) if kind == b"trun"]
    return _Traf(track_id, base, Defaults(*values), _decode_time(inner.get(b"tfdt")), truns)


def _decode_time(tfdt: memoryview | None) -> int | None:
    if tfdt is None:
        return None
    is_long = len(tfdt) > 0 and tfdt[0] == 1
    (ticks,) = unpack(_U64 if is_long else _U32, tfdt, 4)
    if ticks >= 1 << 62:
        raise NotIndexedError("tfdt: a time too late to be true")
    return ticks


def _read_runs(traf: _Traf, base: int, most_bytes: int) -> tuple[list[Run], int]:
    """The runs of a track in a fragment, and where the data of the last one end."""
    runs: list[Run] = []
    dts, end = traf.dts, base
    for trun in traf.truns:
        if trun[4:8] == bytes(4):
            continue
        run = _read_run(trun, traf.defaults, base, most_bytes, is_first=not runs)._replace(dts=dts)
        runs.append(run)
        end = int(run.offset[-1] + run.size[-1])
        dts = None if dts is None else dts + int(run.duration.sum())
    return runs, end


def _read_run(
    trun: memoryview, defaults: Defaults, base: int, most_bytes: int, *, is_first: bool
) -> Run:
    flags, count = unpack(_TRUN, trun)
    at = _TRUN.size
    if not flags & _COLUMNS[1] and not 0 < count * defaults.size <= most_bytes:
        raise NotIndexedError(f"trun: {count} samples do not fit the file")
    if flags & _DATA_OFFSET:
        base += unpack(_I32, trun, at)[0]
        at += _I32.size
    elif not is_first:
        raise NotIndexedError("trun: a later run without an offset")
    first_flags = defaults.flags
    if flags & _FIRST_FLAGS:
        (first_flags,) = unpack(_U32, trun, at)
        at += _U32.size
    duration, size, sample_flags, cts_offset = _columns(trun, at, count, flags, defaults)
    if not flags & _COLUMNS[2]:
        sample_flags[0] = first_flags
    if not 0 <= base < 1 << 62 or int(size.min()) == 0:
        raise NotIndexedError("trun: a sample of no bytes, or at no place")
    return Run(
        dts=None,
        offset=base + np.cumsum(size) - size,
        size=size,
        duration=duration,
        cts_offset=cts_offset.astype(np.int32).astype(np.int64),
        is_sync=(sample_flags & _IS_NO_KEY) == 0,
        entry=defaults.entry - 1,
    )


def _columns(trun: memoryview, at: int, count: int, flags: int, defaults: Defaults) -> list[Ints]:
    """Duration, size, flags and offset of presentation of each sample."""
    present = [bool(flags & flag) for flag in _COLUMNS]
    width = sum(present)
    if count > MOST_SAMPLES or count * width * 4 > len(trun) - at:
        raise NotIndexedError(f"trun: {count} samples do not fit their box")
    rows = np.frombuffer(trun, ">u4", count * width, at).astype(np.int64).reshape(count, width)
    columns = iter(rows.T)
    constant = (defaults.duration, defaults.size, defaults.flags, 0)
    return [
        next(columns) if is_there else np.full(count, value, np.int64)
        for is_there, value in zip(present, constant, strict=True)
    ]
