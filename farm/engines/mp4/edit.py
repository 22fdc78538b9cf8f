"""Applies a track's edit list to its samples, with libavformat's results (its mov_fix_index)."""

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.engines.mp4.box import NotIndexedError, unpack
from farm.engines.mp4.samples import Samples
from farm.engines.mp4.table import Ints, Table

_HEADER = struct.Struct(">B3xI")
_EDITS = {0: struct.Struct(">Ii4x"), 1: struct.Struct(">Qq4x")}
_MOST_EDITS = 1000
_LONGEST_TICKS = 1 << 60


class Edit(NamedTuple):
    """A stretch of the presentation; `media` is -1 for an empty one. Both in ticks of the track."""

    duration: int
    media: int


def read_edits(
    elst: memoryview | None, *, timescale: int, movie_timescale: int
) -> tuple[Edit, ...]:
    """The edits of an `elst` box in ticks of the track; raises NotIndexedError where it is damaged.

    Durations are rounded as libavformat does it.
    """
    edits = _edits(elst) if elst is not None else []
    if edits and movie_timescale <= 0:
        raise NotIndexedError("elst: the movie has no timescale")
    scaled = tuple(
        Edit((duration * timescale + movie_timescale // 2) // movie_timescale, media)
        for duration, media in edits
    )
    if any(max(each) > _LONGEST_TICKS for each in scaled):
        raise NotIndexedError("elst: a time too late to be true")
    return scaled


def time_offset(edits: tuple[Edit, ...]) -> int:
    """What libavformat takes from the times of samples in fragments: it knows no more edits."""
    delay = edits[0].duration if edits and edits[0].media == -1 else 0
    rest = edits[1:] if edits and edits[0].media == -1 else edits
    return (max(0, rest[0].media) if rest else 0) - delay


def _edits(elst: memoryview) -> list[Edit]:
    version, count = unpack(_HEADER, elst)
    form = _EDITS.get(version)
    if form is None or count > _MOST_EDITS or len(elst) != 8 + count * form.size:
        raise NotIndexedError("elst: not as long as its number of edits says")
    return [Edit(*form.unpack_from(elst, 8 + index * form.size)) for index in range(count)]


def apply_edits(table: Table, edits: tuple[Edit, ...]) -> Samples:
    """The samples that are decoded for the edited presentation, with its times.

    Supported is a start that empty edits delay, then one stretch of media; NotIndexedError else.
    """
    cts = table.dts if table.cts_offset is None else table.dts + table.cts_offset
    if not edits:
        return _samples(table, slice(None), cts, 0, np.zeros(len(cts), np.bool_))
    *empty, edit = edits
    if any(each.media != -1 for each in empty) or edit.media < 0 or edit.duration <= 0:
        raise NotIndexedError("elst: more than a delay and one stretch of media")
    delay = sum(each.duration for each in empty)
    begin, end = edit.media, edit.media + edit.duration
    part = slice(_start(table, cts, begin), None)
    part = slice(part.start, _stop(table, cts, part.start, edit))
    is_shown = (cts[part] >= begin) & (cts[part] < end)
    if not is_shown.any():
        raise NotIndexedError("elst: no sample within the edit")
    # libavformat lets the first sample within the edit, as decoded, begin the edit, and then pulls
    # all to the front if none is shown at its very start.
    shift = delay - int(table.dts[part][np.argmax(is_shown)])
    shift -= max(0, _first(cts[part][is_shown] + shift) - delay)
    return _samples(table, part, cts, shift, ~is_shown)


def _first(pts: Ints) -> int:
    """The earliest time as libavformat finds it: a negative one is overridden by what follows."""
    negative = np.flatnonzero(pts < 0)
    tail = pts[negative[-1] + 1 :] if len(negative) else pts
    return int(tail.min(initial=np.iinfo(np.int64).max)) if len(tail) else -1


def _start(table: Table, cts: Ints, begin: int) -> int:
    """The sync sample from which the first sample within the edit can be decoded."""
    decoded = int(np.searchsorted(table.dts, begin, side="right"))
    is_start = table.is_sync[:decoded]
    if table.cts_offset is not None:
        is_start = is_start & (cts[:decoded] <= begin)
    found = np.flatnonzero(is_start)
    if len(found):
        return int(found[-1])
    return max(0, decoded - 1) if table.cts_offset is None else 0


def _stop(table: Table, cts: Ints, start: int, edit: Edit) -> int:
    """One past the sync sample that ends the edit; with reordering, past the one after it."""
    spans = np.append(table.duration[start:-1], edit.duration)
    ends = (cts[start:] + spans >= edit.media + edit.duration) & table.is_sync[start:]
    found = np.flatnonzero(ends)
    nth = 0 if table.cts_offset is None else 1
    return start + int(found[nth]) + 1 if len(found) > nth else len(cts)


def _samples(
    table: Table, part: slice, cts: Ints, shift: int, is_discard: NDArray[np.bool_]
) -> Samples:
    return Samples(
        offset=table.offset[part],
        size=table.size[part],
        dts=table.dts[part] + (shift - table.dts_shift),
        pts=cts[part] + shift,
        duration=table.duration[part],
        is_sync=table.is_sync[part],
        is_discard=is_discard,
        entry=table.entry[part],
    )
