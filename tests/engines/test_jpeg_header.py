import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from farm.engines.jpeg_header import Component, HeaderError, parse_header
from tests.engines.jpegs import exif_of


def jpeg(mode: str = "RGB", size: tuple[int, int] = (33, 17), **options: object) -> bytes:
    target = io.BytesIO()
    Image.new(mode, size).save(target, "JPEG", **options)
    return target.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(*segments: bytes) -> bytes:
    """A gray JPEG with these segments in front of its own."""
    data = jpeg("L")
    return data[:2] + b"".join(segments) + data[2:]


@pytest.mark.parametrize(
    ("options", "frame", "components"),
    [
        ({}, 0xC0, ((1, 2, 2), (2, 1, 1), (3, 1, 1))),
        ({"subsampling": 0}, 0xC0, ((1, 1, 1), (2, 1, 1), (3, 1, 1))),
        ({"subsampling": 1}, 0xC0, ((1, 2, 1), (2, 1, 1), (3, 1, 1))),
        ({"progressive": True}, 0xC2, ((1, 2, 2), (2, 1, 1), (3, 1, 1))),
        ({"mode": "L"}, 0xC0, ((1, 1, 1),)),
    ],
)
def test_frame(options, frame, components):
    data = jpeg(**options)
    header = parse_header(data)
    assert header.frame == frame
    assert header.is_progressive == (frame == 0xC2)
    assert (header.size, header.bits) == ((33, 17), 8)
    assert header.components == tuple(Component(*each) for each in components)
    assert header.first_scan == data.index(b"\xff\xda")
    assert header.jfif
    assert (header.orientation, header.profile, header.thumbnail) == (1, None, None)
    assert header.broken == ()


@pytest.mark.parametrize(
    ("mode", "options", "transform", "jfif"),
    [("CMYK", {}, 0, False), ("RGB", {"keep_rgb": True}, 0, False), ("RGB", {}, None, True)],
)
def test_what_tells_colours(mode, options, transform, jfif):
    header = parse_header(jpeg(mode, **options))
    assert (header.adobe_transform, header.jfif) == (transform, jfif)


def test_any_kind_of_buffer():
    data = jpeg()
    assert parse_header(data) == parse_header(bytearray(data)) == parse_header(memoryview(data))


def test_fill_bytes_may_precede_a_marker():
    data = jpeg()
    assert parse_header(data[:2] + b"\xff" * 5 + data[2:]).size == (33, 17)


class TestExif:
    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("code", [*range(1, 9)])
    def test_orientation(self, code, order):
        header = parse_header(jpeg(exif=exif_of(b"", orientation=code, order=order)))
        assert header.orientation == code

    @pytest.mark.parametrize("code", [0, 9, 65_535])
    def test_invalid_orientation_counts_as_upright(self, code):
        assert parse_header(jpeg(exif=exif_of(b"", orientation=code))).orientation == 1

    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("turned", [None, 1, 6])
    def test_thumbnail(self, turned, order):
        small = jpeg(size=(16, 8))
        exif = exif_of(small, orientation=6, thumbnail_orientation=turned, order=order)
        header = parse_header(jpeg(exif=exif))
        assert (header.thumbnail.data, header.thumbnail.orientation) == (small, turned)
        assert parse_header(header.thumbnail.data).size == (16, 8)

    def test_it_may_span_segments(self):
        small = jpeg(size=(16, 8)) + bytes(70_000)
        exif = exif_of(small, orientation=3)
        parts = (exif[:65_000], b"Exif\0\0" + exif[65_000:])
        header = parse_header(with_segments(*(segment(0xE1, part) for part in parts)))
        assert (header.orientation, header.thumbnail.data) == (3, small)

    def test_a_thumbnail_that_is_no_jpeg(self):
        assert parse_header(jpeg(exif=exif_of(b"rubbish"))).thumbnail is None

    def test_a_cut_directory_tells_what_it_has(self):
        exif = exif_of(jpeg(size=(16, 8)), orientation=8)
        header = parse_header(jpeg(exif=exif[:28]))
        assert (header.orientation, header.thumbnail, header.broken) == (8, None, ())

    def test_garbage(self):
        header = parse_header(jpeg(exif=b"Exif\0\0rubbish"))
        assert (header.orientation, header.broken) == (1, ("exif",))

    @pytest.mark.parametrize("text", [b'tiff:Orientation="6"', b"<tiff:Orientation>6</tiff"])
    def test_orientation_by_xmp(self, text):
        xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x " + text + b">")
        assert parse_header(with_segments(xmp)).orientation == 6
        exif = segment(0xE1, exif_of(b"", orientation=3))
        assert parse_header(with_segments(exif, xmp)).orientation == 3


class TestProfile:
    def chunk(self, number: int, count: int, data: bytes) -> bytes:
        return segment(0xE2, b"ICC_PROFILE\0" + bytes((number, count)) + data)

    def test_chunks_are_joined_in_their_order(self):
        data = with_segments(self.chunk(2, 2, b"world"), self.chunk(1, 2, b"hello "))
        assert parse_header(data).profile == b"hello world"

    def test_one_that_pillow_wrote(self):
        profile = bytes(range(256)) * 600
        assert parse_header(jpeg(icc_profile=profile)).profile == profile

    def test_a_missing_chunk(self):
        header = parse_header(with_segments(self.chunk(1, 2, b"hello ")))
        assert (header.profile, header.broken) == (None, ("icc",))

    def test_a_chunk_without_a_number(self):
        header = parse_header(with_segments(segment(0xE2, b"ICC_PROFILE\0\1")))
        assert (header.profile, header.broken) == (None, ("icc",))


class TestFaults:
    def test_incomplete_at_every_length(self):
        data = jpeg(exif=exif_of(jpeg(size=(16, 8))))
        scan = data.index(b"\xff\xda", data.index(b"\xff\xc0", 700))
        for length in range(len(data)):
            header = parse_header(data[:length])
            if length < scan:
                assert header is None
            elif length >= scan + 14:
                assert header.first_scan == scan

    @pytest.mark.parametrize(
        ("data", "told"),
        [
            (b"\x89PNG", "without SOI"),
            (b"\xff\xd8junk", "no marker at byte 2"),
            (b"\xff\xd8\xff\xd9\0\0", "0xd9"),
            (b"\xff\xd8\xff\xd0\0\2", "0xd0"),
            (b"\xff\xd8\xff\x00\0\2", "0x00"),
            (b"\xff\xd8\xff\xe0\0\1", "0xe0 of 1 bytes at byte 2"),
            (b"\xff\xd8" + segment(0xDA, b""), "before its frame"),
            (b"\xff\xd8" + segment(0xFE, b"") * 20_001, "more than 20000 segments"),
            (b"\xff\xd8" + segment(0xFE, bytes(65_000)) * 520, "no scan within 33554432 bytes"),
        ],
    )
    def test_what_is_no_jpeg(self, data, told):
        with pytest.raises(HeaderError, match=told):
            parse_header(data)

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({3: 0, 4: 0}, "is 0 x 17 pixels"),
            ({1: 0, 2: 0}, "is 33 x 0 pixels"),
            ({5: 2}, "frame header of 9 bytes"),
            ({5: 0}, "frame header of 9 bytes"),
            ({7: 0x10}, "without or with too many samples"),
            ({7: 0x51}, "without or with too many samples"),
        ],
    )
    def test_a_broken_frame(self, change, told):
        data = bytearray(jpeg("L"))
        start = data.index(b"\xff\xc0") + 4
        for at, value in change.items():
            data[start + at] = value
        with pytest.raises(HeaderError, match=told):
            parse_header(data)

    def test_two_frames(self):
        data = jpeg("L")
        start = data.index(b"\xff\xc0")
        with pytest.raises(HeaderError, match="two frames"):
            parse_header(data[:start] + data[start : start + 13] + data[start:])


_WHOLE = jpeg(
    exif=exif_of(jpeg(size=(16, 8)), orientation=6), icc_profile=bytes(range(256)), comment=b"hello"
)


@given(
    st.lists(st.tuples(st.integers(0, len(_WHOLE) - 1), st.integers(0, 255)), max_size=12),
    st.integers(0, len(_WHOLE)),
)
def test_changed_bytes_give_a_header_or_its_error(changes, length):
    data = bytearray(_WHOLE)
    for at, value in changes:
        data[at] = value
    try:
        header = parse_header(data[:length])
    except HeaderError:
        return
    if header is not None:
        assert header.first_scan < length
        assert min(header.size) > 0
        assert 1 <= header.orientation <= 8
        assert header.components


@given(st.binary(max_size=300))
def test_any_bytes_give_no_other_error(data):
    with suppress(HeaderError):
        parse_header(b"\xff\xd8\xff" + data)


@given(st.binary(max_size=200), st.booleans())
def test_any_exif_is_read_or_named_broken(data, is_little):
    magic = b"II*\0" if is_little else b"MM\0*"
    header = parse_header(with_segments(segment(0xE1, b"Exif\0\0" + magic + data)))
    assert 1 <= header.orientation <= 8
    assert header.broken == ()
