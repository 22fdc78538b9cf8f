"""Writes MP4 boxes and small movies, so that tests know what a reader must find in them."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

IDENTITY = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box with a 32-bit size."""
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box that begins with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def table(kind: bytes, rows: Iterable[Sequence[int] | int], *, version: int = 0) -> bytes:
    """A full box of rows of 32-bit numbers, and their count before them."""
    listed = [(row,) if isinstance(row, int) else tuple(row) for row in rows]
    numbers = [number & 0xFFFFFFFF for row in listed for number in row]
    content = np.asarray(numbers, ">u4").tobytes()
    return full(kind, struct.pack(">I", len(listed)), content, version=version)


def visual_entry(
    fourcc: bytes = b"avc1", *inner: bytes, width: int = 64, height: int = 48
) -> bytes:
    """A description of video samples."""
    return box(
        fourcc,
        struct.pack(">6xH16xHH", 1, width, height),
        bytes(46),
        struct.pack(">HH", 24, 0xFFFF),
        *inner,
    )


AVC_CONFIG = box(b"avcC", bytes.fromhex("0142c00dffe100096742c00ddb0a1f9a01000568ce0f2c80"))


@dataclass(frozen=True)
class Movie:
    """A movie of one video track, sample by sample; `edits` are (movie ticks, media ticks)."""

    sizes: Sequence[int]
    durations: Sequence[int]
    cts_offsets: Sequence[int] | None = None
    syncs: Sequence[int] | None = None  # numbers from 1
    chunks: Sequence[int] = ()  # samples in each; () is one chunk of all
    entries: Sequence[bytes] = (visual_entry(b"avc1", AVC_CONFIG),)
    entry_of_chunk: Sequence[int] = ()  # from 1
    edits: Sequence[tuple[int, int]] = ()
    timescale: int = 12800
    movie_timescale: int = 1000
    matrix: tuple[int, ...] = IDENTITY
    boxes: dict[bytes, bytes | None] = field(default_factory=dict)  # replace those of stbl
    track_boxes: bytes = b""
    movie_boxes: bytes = b""
    gap: int = 5  # bytes between chunks
    moov_first: bool = False
    handler: bytes = b"vide"

    def with_boxes(self, **boxes: bytes | None) -> "Movie":
        """The same movie with other boxes in its sample table, by kind; None leaves one out."""
        return replace(self, boxes=self.boxes | {kind.encode(): b for kind, b in boxes.items()})

    def offsets(self) -> list[int]:
        """Where each sample lies in the file that `data` gives."""
        begin = (
            len(_FTYP) + 8 + (len(self._moov([0] * len(self._chunks()))) if self.moov_first else 0)
        )
        found, at, sizes = [], begin, list(self.sizes)
        for count in self._chunks():
            for size in sizes[:count]:
                found.append(at)
                at += size
            del sizes[:count]
            at += self.gap
        return found

    def data(self) -> bytes:
        """The whole file; sample data are bytes of the sample's number."""
        offsets = self.offsets()
        firsts, number = [], 0
        content = b""
        for count in self._chunks():
            firsts.append(offsets[number])
            for _ in range(count):
                content += bytes([number % 251]) * self.sizes[number]
                number += 1
            content += bytes(self.gap)
        moov, mdat = self._moov(firsts), box(b"mdat", content)
        return _FTYP + (moov + mdat if self.moov_first else mdat + moov)

    def _chunks(self) -> Sequence[int]:
        return self.chunks or ((len(self.sizes),) if self.sizes else ())

    def _moov(self, chunk_offsets: Sequence[int]) -> bytes:
        ticks = sum(self.durations)
        length = ticks * self.movie_timescale // self.timescale
        mvhd = struct.pack(">IIII", 0, 0, self.movie_timescale, length) + bytes(16)
        mvhd += struct.pack(">9i", *IDENTITY) + bytes(28)
        tkhd = struct.pack(">IIIII", 0, 0, 1, 0, length) + bytes(16)
        tkhd += struct.pack(">9i", *self.matrix) + struct.pack(">II", 64 << 16, 48 << 16)
        mdhd = struct.pack(">IIIII", 0, 0, self.timescale, ticks, 0)
        minf = box(b"minf", box(b"stbl", *self._tables(chunk_offsets)))
        hdlr = full(b"hdlr", bytes(4), self.handler, bytes(13))
        mdia = box(b"mdia", full(b"mdhd", mdhd), hdlr, minf)
        trak = box(b"trak", full(b"tkhd", tkhd, flags=3), self._edts(), self.track_boxes, mdia)
        return box(b"moov", full(b"mvhd", mvhd), trak, self.movie_boxes)

    def _edts(self) -> bytes:
        rows = [(duration, media, 1 << 16) for duration, media in self.edits]
        return box(b"edts", table(b"elst", rows)) if rows else b""

    def _tables(self, chunk_offsets: Sequence[int]) -> list[bytes]:
        entry_of_chunk = self.entry_of_chunk or [1] * len(chunk_offsets)
        runs = [
            (number, count, entry)
            for number, (count, entry) in enumerate(
                zip(self._chunks(), entry_of_chunk, strict=True), start=1
            )
        ]
        found: dict[bytes, bytes | None] = {
            b"stsd": full(b"stsd", struct.pack(">I", len(self.entries)), *self.entries),
            b"stts": table(b"stts", run_lengths(self.durations)),
            b"stsc": table(b"stsc", runs),
            b"stsz": full(
                b"stsz",
                struct.pack(">II", 0, len(self.sizes)),
                np.asarray(self.sizes, ">u4").tobytes(),
            ),
            b"stco": table(b"stco", chunk_offsets),
        }
        if self.cts_offsets is not None:
            found[b"ctts"] = table(b"ctts", run_lengths(self.cts_offsets), version=1)
        if self.syncs is not None:
            found[b"stss"] = table(b"stss", self.syncs)
        return [content for content in (found | self.boxes).values() if content is not None]


_FTYP = box(b"ftyp", b"isom", bytes(4), b"isommp42")


def run_lengths(values: Sequence[int]) -> list[tuple[int, int]]:
    """Values as (count, value)."""
    found: list[tuple[int, int]] = []
    for value in values:
        if found and found[-1][1] == value:
            found[-1] = (found[-1][0] + 1, value)
        else:
            found.append((1, value))
    return found
