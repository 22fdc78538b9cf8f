"""Descriptions of samples: configuration, shape and colour."""

import struct
from fractions import Fraction

import pytest

from farm.engines.mp4 import Color, DolbyVision, NotIndexedError, SampleEntry
from farm.engines.mp4.entry import read_entries
from farm.geometry import Box, Size
from tests.engines.mp4.build import box, full, visual_entry


def entries(*content: bytes, count: int | None = None) -> tuple[SampleEntry, ...]:
    number = len(content) if count is None else count
    return read_entries(memoryview(struct.pack(">II", 0, number) + b"".join(content)))


def entry(*inner: bytes, fourcc: bytes = b"avc1") -> SampleEntry:
    (found,) = entries(visual_entry(fourcc, *inner, width=640, height=480))
    return found


def test_an_entry_tells_codec_and_size() -> None:
    found = entry()
    assert (found.fourcc, found.size, found.bits) == ("avc1", Size(640, 480), 24)
    assert (found.extradata, found.protection, found.color) == (b"", "", None)


@pytest.mark.parametrize(
    ("config", "extradata"),
    [
        (box(b"avcC", b"\1config"), b"\1config"),
        (box(b"hvcC", b"\1config"), b"\1config"),
        (box(b"av1C", b"\x81config"), b"\x81config"),
        (full(b"vvcC", b"config"), b"config"),
        (box(b"glbl", b"config"), b"config"),
        (box(b"dvc1", b"1234567config"), b"config"),
        (full(b"vpcC", b"config"), b""),
    ],
)
def test_extradata_is_what_libavcodec_takes(config: bytes, extradata: bytes) -> None:
    assert entry(box(b"free"), config).extradata == extradata


def descriptor(tag: int, content: bytes, *, length_bytes: int = 1) -> bytes:
    size = [len(content) >> 7 * index & 0x7F for index in reversed(range(length_bytes))]
    return bytes([tag, *(part | 0x80 for part in size[:-1]), size[-1]]) + content


@pytest.mark.parametrize("length_bytes", [1, 4])
@pytest.mark.parametrize(
    ("flags", "optional"),
    [(0, b""), (0x80, b"\0\1"), (0x40, b"\3url"), (0x20, b"\0\2"), (0xE0, b"\0\1\3url\0\2")],
)
def test_an_elementary_stream_tells_its_configuration(
    flags: int, optional: bytes, length_bytes: int
) -> None:
    specific = descriptor(5, b"config", length_bytes=length_bytes)
    config = descriptor(4, b"\x20" + bytes(12) + specific, length_bytes=length_bytes)
    stream = descriptor(3, b"\0\1" + bytes([flags]) + optional + config, length_bytes=length_bytes)
    found = entry(full(b"esds", stream), fourcc=b"mp4v")
    assert (found.extradata, found.object_type) == (b"config", 0x20)


@pytest.mark.parametrize(
    "content", [b"", b"\3", b"\3\x80", b"\3\2\0\0", b"\7\1\0", b"\4\x0d" + bytes(13)]
)
def test_a_damaged_elementary_stream_has_no_configuration(content: bytes) -> None:
    assert entry(full(b"esds", content)).extradata == b""


@pytest.mark.parametrize(
    ("content", "aspect"),
    [
        (struct.pack(">II", 4, 3), Fraction(4, 3)),
        (struct.pack(">II", 0, 3), None),
        (struct.pack(">II", 4, 0), None),
        (b"\0\0\0\4", None),
    ],
)
def test_pixels_have_an_aspect(content: bytes, aspect: Fraction | None) -> None:
    assert entry(box(b"pasp", content)).pixel_aspect == aspect


def clap(width: int, height: int, right: int, down: int, by: int = 1) -> bytes:
    return box(b"clap", struct.pack(">IIIIiIiI", width, by, height, by, right, by, down, by))


@pytest.mark.parametrize(
    ("content", "aperture"),
    [
        (clap(640, 480, 0, 0), Box(0, 0, 640, 480)),
        (clap(600, 400, 10, -20), Box(30, 20, 630, 420)),
        (clap(1201, 960, 0, 0, by=2), Box(19.75, 0, 620.25, 480)),
        (clap(600, 400, 30, 0), None),
        (clap(641, 480, 0, 0), None),
        (clap(600, 400, 0, 0, by=0), None),
        (box(b"clap", bytes(20)), None),
    ],
)
def test_a_clean_aperture_is_a_box_inside(content: bytes, aperture: Box | None) -> None:
    assert entry(content).clean_aperture == aperture


@pytest.mark.parametrize(
    ("content", "color"),
    [
        (box(b"colr", b"nclx", struct.pack(">HHHB", 9, 16, 9, 0x80)), Color(9, 16, 9, True)),
        (box(b"colr", b"nclx", struct.pack(">HHHB", 1, 1, 1, 0)), Color(1, 1, 1, False)),
        (box(b"colr", b"nclc", struct.pack(">HHH", 1, 1, 6)), Color(1, 1, 6, None)),
        (box(b"colr", b"prof", b"profile"), Color(icc=b"profile")),
        (box(b"colr", b"nclx", b"\0\1"), None),
        (box(b"colr"), None),
        (
            full(b"vpcC", bytes([0, 10, 0x83, 9, 16, 9, 0, 0]), version=1),
            Color(9, 16, 9, True),
        ),
        (full(b"vpcC", bytes(8)), None),
    ],
)
def test_colour_tags_are_read(content: bytes, color: Color | None) -> None:
    assert entry(content).color == color


def test_hdr_metadata_is_kept() -> None:
    hdr = entry(box(b"mdcv", bytes(24)), box(b"clli", b"\1\2\3\4")).hdr
    assert (hdr.mastering, hdr.light_level) == (bytes(24), b"\1\2\3\4")


@pytest.mark.parametrize(("kind", "fourcc"), [(b"dvcC", b"dvh1"), (b"dvvC", b"hvc1")])
def test_a_dolby_vision_profile_is_read(kind: bytes, fourcc: bytes) -> None:
    # Version 1.0, profile 8, level 6, RPU, EL and BL flags, compatibility 4.
    record = bytes([1, 0, 8 << 1 | 0, 6 << 3 | 0b111, 4 << 4])
    found = entry(box(kind, record), fourcc=fourcc)
    assert found.dolby_vision == DolbyVision(profile=8, level=6, compatibility=4)


def test_a_short_dolby_vision_record_is_none() -> None:
    assert entry(box(b"dvcC", b"\1\0\0")).dolby_vision is None


def test_all_entries_are_read_but_no_more_than_counted() -> None:
    both = visual_entry(b"avc1") + visual_entry(b"hvc1")
    assert [each.fourcc for each in entries(both, count=2)] == ["avc1", "hvc1"]
    assert [each.fourcc for each in entries(both, count=1)] == ["avc1"]


def test_an_entry_cut_off_is_left_to_others() -> None:
    with pytest.raises(NotIndexedError):
        entries(box(b"avc1", bytes(77)))


def test_what_follows_an_entrys_fields_may_be_no_box() -> None:
    assert entry(b"\0\0\0\1\2", box(b"pasp", struct.pack(">II", 4, 3))).pixel_aspect is None
