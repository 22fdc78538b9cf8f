"""Indexes of fragments, before them and behind."""

import struct

import pytest

from farm.engines.mp4.file import BoxFile
from farm.engines.mp4.segment import Segments, read_segments
from tests.engines.mp4.build import box, full
from tests.engines.mp4.packets import Reads

MOOV = box(b"moov", bytes(100))
FRAGMENTS = box(b"moof", bytes(92)) + box(b"mdat", bytes(900 - 8)) + box(b"moof", bytes(992))
SIZES = (1000, 1000)


def sidx(
    *rows: tuple[int, int], version: int = 0, track_id: int = 1, scale: int = 100, start: int = 0
) -> bytes:
    form = ">QQ2xH" if version else ">II2xH"
    content = b"".join(struct.pack(">III", size, ticks, 0) for size, ticks in rows)
    head = struct.pack(">II", track_id, scale) + struct.pack(form, start, 0, len(rows))
    return full(b"sidx", head, content, version=version)


def tfra(*rows: tuple[int, int], version: int = 1, track_id: int = 1, lengths: int = 0) -> bytes:
    numbers = bytes(sum((lengths >> shift & 3) + 1 for shift in (0, 2, 4)))
    form = ">QQ" if version else ">II"
    content = b"".join(struct.pack(form, *row) + numbers for row in rows)
    head = struct.pack(">III", track_id, lengths, len(rows))
    return full(b"tfra", head, content, version=version)


def mfra(*tables: bytes) -> bytes:
    content = b"".join(tables)
    return box(b"mfra", content, full(b"mfro", struct.pack(">I", 8 + len(content) + 16)))


def segments_of(before: bytes, after: bytes = b"", *, timescale: int = 100) -> Segments:
    data = MOOV + before + FRAGMENTS + after
    file = BoxFile(Reads(data), len(data))
    return read_segments(file, start=len(MOOV), track_id=1, timescale=timescale)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("after", [b"", mfra(tfra((0, 0)))])
def test_segments_before_the_fragments_are_found(version: int, after: bytes) -> None:
    index = sidx(*zip(SIZES, (40, 60), strict=True), version=version, start=5)
    first = len(MOOV) + len(index)
    assert segments_of(index, after) == Segments((5, 45), (first, first + 1000), end=105)


def test_segments_are_told_in_ticks_of_the_track() -> None:
    index = sidx(*zip(SIZES, (50, 50), strict=True))
    assert segments_of(index, timescale=12800).times == (0, 6400)


def test_boxes_may_stand_before_the_segments() -> None:
    index = sidx(*zip(SIZES, (50, 50), strict=True))
    free = box(b"free", bytes(5000))
    assert segments_of(free + index).offsets[0] == len(MOOV) + len(free) + len(index)


UNTRUSTED = {
    "another track": sidx((1000, 40), (1000, 60), track_id=2),
    "an index of indexes": sidx((1000 | 1 << 31, 40), (1000, 60)),
    "a part of the file": sidx((1000, 40)),
    "no segments": sidx(),
    "no scale": sidx((1000, 40), (1000, 60), scale=0),
    "a new version": sidx((1000, 40), (1000, 60), version=2),
    "standing time": sidx((1000, 0), (1000, 60)),
    "a late start": sidx((1000, 40), (1000, 60), version=1, start=1 << 61),
    "cut off": full(b"sidx", struct.pack(">IIIIHH", 1, 100, 0, 0, 0, 9)),
    "too short": full(b"sidx", bytes(3)),
}


@pytest.mark.parametrize("index", UNTRUSTED.values(), ids=UNTRUSTED.keys())
def test_other_segments_are_not_trusted(index: bytes) -> None:
    assert segments_of(index) == Segments()


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("lengths", [0, 0b010001, 0b111111])
def test_fragments_are_found_behind(version: int, lengths: int) -> None:
    other = tfra((0, 7), track_id=2)
    # A second sync sample in the first fragment tells nothing new.
    table = tfra((5, 108), (25, 108), (45, 1108), version=version, lengths=lengths)
    assert segments_of(b"", mfra(other, table)) == Segments((5, 45), (108, 1108))


def test_a_long_index_behind_takes_one_more_read() -> None:
    rows = [(number, 108 + number) for number in range(1000)]
    assert len(segments_of(b"", mfra(tfra(*rows))).times) == 1000


UNTRUSTED_BEHIND = {
    "another track": mfra(tfra((0, 7), track_id=2)),
    "no fragments": mfra(tfra()),
    "times out of order": mfra(tfra((45, 108), (5, 1108))),
    "negative times": mfra(tfra((1 << 63, 108), (45, 1108))),
    "a new version": mfra(tfra((0, 108), version=2)),
    "cut off": mfra(full(b"tfra", struct.pack(">III", 1, 0, 1000))),
    "another box": mfra(tfra((0, 108))).replace(b"mfra", b"free"),
    "a lie of its size": mfra(tfra((0, 108)))[:-4] + struct.pack(">I", 10),
}


@pytest.mark.parametrize("index", UNTRUSTED_BEHIND.values(), ids=UNTRUSTED_BEHIND.keys())
def test_other_indexes_behind_are_not_trusted(index: bytes) -> None:
    assert segments_of(b"", index) == Segments()
