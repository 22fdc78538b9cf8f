"""Reads the headers of a movie and of its tracks (`mvhd`, `trak`)."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from farm.engines.mp4.box import NotIndexedError, boxes, children, unpack
from farm.engines.mp4.edit import Edit, read_edits
from farm.engines.mp4.entry import read_entries
from farm.engines.mp4.matrix import MATRIX, combined, orientation_of
from farm.engines.mp4.movie import SampleEntry, Track
from farm.engines.mp4.table import Boxes, media_length, table_boxes
from farm.geometry import Size

# Version 1 has 64-bit times where version 0 has 32-bit ones.
_MVHD = (struct.Struct(">12xI20x"), struct.Struct(">20xI24x"))
_TKHD = (struct.Struct(">3xB8xI24x"), struct.Struct(">3xB16xI28x"))
_MDHD = (struct.Struct(">12xII"), struct.Struct(">20xIQ"))
_SIDES = struct.Struct(">II")
_ENABLED = 1
_SELF_CONTAINED = 1
_UNKNOWN_DURATIONS = frozenset((0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF))
_IDENTITY = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_EMPTY = memoryview(b"")


class MovieHeader(NamedTuple):
    """The movie's timescale, 0 where it has none, and its display matrix."""

    timescale: int
    matrix: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Media:
    """What leads to a track's samples: the boxes of its sample table, and its edits.

    `edits` is None for a damaged edit list; `is_external` tells samples that lie in another file.
    `chapters` are the ids of tracks that hold this one's chapters.
    """

    table: Boxes
    edits: tuple[Edit, ...] | None
    is_external: bool
    chapters: tuple[int, ...]


class _TrackHeader(NamedTuple):
    id: int
    is_enabled: bool
    matrix: tuple[int, ...]
    width: int
    height: int


def read_movie_header(mvhd: memoryview | None) -> MovieHeader:
    """The content of an `mvhd` box."""
    if mvhd is None:
        return MovieHeader(0, _IDENTITY)
    form = _versioned(_MVHD, mvhd)
    (timescale,) = unpack(form, mvhd)
    return MovieHeader(timescale, unpack(MATRIX, mvhd, form.size))


def read_track(trak: memoryview, movie: MovieHeader, *, number: int) -> tuple[Track, Media]:
    """The headers of a `trak` box; raises NotIndexedError where one is missing or cut off."""
    inner = children(trak)
    header = _track_header(inner.get(b"tkhd", _EMPTY), movie.matrix)
    mdia = children(inner.get(b"mdia", _EMPTY))
    mdhd = mdia.get(b"mdhd", _EMPTY)
    timescale, duration = unpack(_versioned(_MDHD, mdhd), mdhd)
    minf = children(mdia.get(b"minf", _EMPTY))
    table = table_boxes(minf.get(b"stbl", _EMPTY))
    handler = bytes(mdia.get(b"hdlr", _EMPTY)[8:12]).decode("latin-1")
    entries = read_entries(table.get(b"stsd", _EMPTY)) if handler == "vide" else ()
    if timescale == 0:
        raise NotIndexedError("mdhd: a timescale of 0")
    edits = _edit_list(inner, timescale, movie.timescale)
    frame_count, media_duration = media_length(table) if handler == "vide" else (0, 0)
    track = Track(
        number=number,
        id=header.id,
        handler=handler,
        is_enabled=header.is_enabled,
        size=Size(header.width >> 16, header.height >> 16),
        matrix=header.matrix,
        orientation=orientation_of(header.matrix),
        pixel_aspect=_pixel_aspect(header, entries),
        timescale=timescale,
        duration=_shown(0 if duration in _UNKNOWN_DURATIONS else duration, media_duration, edits),
        media_duration=media_duration,
        frame_count=frame_count,
        is_picture=False,
        entries=entries,
    )
    return track, Media(table, edits, _is_external(minf, entries), _chapters(inner))


def _versioned(forms: tuple[struct.Struct, struct.Struct], box: memoryview) -> struct.Struct:
    return forms[1 if len(box) and box[0] == 1 else 0]


def _track_header(tkhd: memoryview, movie_matrix: tuple[int, ...]) -> _TrackHeader:
    form = _versioned(_TKHD, tkhd)
    flags, identity = unpack(form, tkhd)
    matrix = combined(unpack(MATRIX, tkhd, form.size), movie_matrix)
    width, height = unpack(_SIDES, tkhd, form.size + MATRIX.size)
    return _TrackHeader(identity, bool(flags & _ENABLED), matrix, width, height)


def _edit_list(
    trak: Mapping[bytes, memoryview], timescale: int, movie_timescale: int
) -> tuple[Edit, ...] | None:
    elst = children(trak.get(b"edts", _EMPTY)).get(b"elst")
    try:
        return read_edits(elst, timescale=timescale, movie_timescale=movie_timescale)
    except NotIndexedError:
        return None


def _shown(duration: int, media_duration: int, edits: tuple[Edit, ...] | None) -> int:
    """The shortest of what the header, the samples and the edits say of the length."""
    told = [duration, media_duration]
    if edits:
        told.append(sum(edit.duration for edit in edits))
    return min((ticks for ticks in told if ticks > 0), default=0)


def _pixel_aspect(header: _TrackHeader, entries: tuple[SampleEntry, ...]) -> Fraction | None:
    """`pasp`, else what the display matrix or the track's size does to the pixels.

    The same order and tolerance as libavformat's.
    """
    if not entries:
        return None
    entry = entries[-1]
    if entry.pixel_aspect is not None:
        return entry.pixel_aspect
    if header.width and header.height and header.matrix != _IDENTITY:
        a, b, _, c, d = header.matrix[:5]
        across, down = math.hypot(a, c), math.hypot(b, d)
        if 1 < across < 1 << 24 and 1 < down < 1 << 24 and abs(across / down - 1) > 0.01:
            return Fraction(across / down).limit_denominator(1 << 20)
    shown = Size(header.width >> 16, header.height >> 16)
    if min(*shown, *entry.size) > 0 and shown != entry.size:
        return Fraction(entry.size.height * shown.width, entry.size.width * shown.height)
    return None


def _is_external(minf: Mapping[bytes, memoryview], entries: tuple[SampleEntry, ...]) -> bool:
    """Whether an entry's samples lie in a file that `dref` names."""
    dref = children(minf.get(b"dinf", _EMPTY)).get(b"dref", _EMPTY)
    references = [content for _, content in boxes(dref[8:])]
    used = {entry.data_reference for entry in entries}
    return any(
        number in used and len(content) > 4 and not content[3] & _SELF_CONTAINED
        for number, content in enumerate(references, start=1)
    )


def _chapters(trak: Mapping[bytes, memoryview]) -> tuple[int, ...]:
    chap = children(trak.get(b"tref", _EMPTY)).get(b"chap", _EMPTY)
    return tuple(number for (number,) in struct.iter_unpack(">I", chap[: len(chap) & ~3]))
