"""Headers of stills: plain ones are told, odd ones refused, cut and damaged files noticed."""

import struct
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from farm.engines.prefix import Prefix
from farm.engines.still import OddError
from farm.engines.still_header import FORMATS, StillHeader, read_header
from tests.engines.contract import source_of
from tests.engines.test_pillow import profile_of, saved, scene, swapped_primaries


def header_of(data: bytes, format: str) -> StillHeader:
    return read_header(Prefix(source_of(data)), format_name=format.lower())


def check(data: bytes, format: str) -> None:
    header_of(data, format).check(memoryview(data))


@pytest.mark.parametrize("format", FORMATS)
def test_plain_files_are_told_and_whole(format):
    data = saved(scene(), format)
    header = header_of(data, format)
    assert header.size == (64, 48)
    assert (header.orientation, header.profile, header.has_alpha) == (1, None, False)
    assert header.ignored == ()
    header.check(memoryview(data))


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_anywhere_is_noticed(format):
    data = saved(scene(), format)
    # A TIFF by Pillow ends in nothing but its strips, a JPEG in its last marker.
    for length in [*range(0, len(data) - 2, max(1, len(data) // 60)), len(data) - 2]:
        with pytest.raises(OddError):
            check(data[:length], format)


class TestJpeg:
    @pytest.mark.parametrize(
        ("options", "is_baseline"),
        [({}, True), ({"progressive": True}, False), ({"restart_marker_blocks": 3}, True)],
    )
    def test_kinds(self, options, is_baseline):
        data = saved(scene(), "JPEG", **options)
        assert header_of(data, "jpeg").is_baseline is is_baseline
        check(data, "jpeg")

    def test_gray_is_for_no_hardware(self):
        assert not header_of(saved(scene().convert("L"), "JPEG"), "jpeg").is_baseline

    @pytest.mark.parametrize("code", range(1, 9))
    def test_orientation(self, code):
        exif = Image.Exif()
        exif[0x112] = code
        assert header_of(saved(scene(), "JPEG", exif=exif), "jpeg").orientation == code

    def test_profile(self):
        profile = swapped_primaries()
        assert header_of(saved(scene(), "JPEG", icc_profile=profile), "jpeg").profile == profile
        assert header_of(saved(scene(), "JPEG", icc_profile=b"rubbish"), "jpeg").ignored == ("icc",)

    @pytest.mark.parametrize(
        ("picture", "options", "words"),
        [
            (Image.new("CMYK", (16, 16)), {}, "has 4 components"),
            (scene(), {"keep_rgb": True}, "holds RGB"),
        ],
    )
    def test_odd_ones(self, picture, options, words):
        with pytest.raises(OddError, match=words):
            header_of(saved(picture, "JPEG", **options), "jpeg")

    def test_a_marker_amid_the_data(self):
        data = bytearray(saved(scene((640, 480)), "JPEG", quality=95))
        start = data.index(b"\xff\xda") + 2000
        data[start : start + 2] = b"\xff\x67"
        with pytest.raises(OddError, match=f"marker 0x67 amid its data, at byte {start}"):
            check(bytes(data), "jpeg")

    def test_a_lost_restart(self):
        data = saved(scene((640, 480)), "JPEG", restart_marker_blocks=40)
        first, second = data.index(b"\xff\xd1"), data.index(b"\xff\xd2")
        with pytest.raises(OddError, match="lacks a restart marker"):
            check(data[:first] + data[second:], "jpeg")

    def test_what_follows_the_picture_does_not_matter(self):
        check(saved(scene(), "JPEG") + b"\xff\x67" * 100, "jpeg")


class TestPng:
    def test_alpha(self):
        assert header_of(saved(scene().convert("RGBA"), "PNG"), "png").has_alpha

    @pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16"])
    def test_odd_ones(self, mode):
        with pytest.raises(OddError):
            header_of(saved(Image.new(mode, (8, 8)), "PNG"), "png")


class TestWebp:
    @pytest.mark.parametrize("options", [{"lossless": True}, {"icc_profile": profile_of("sRGB")}])
    def test_odd_ones(self, options):
        with pytest.raises(OddError):
            header_of(saved(scene(), "WEBP", **options), "webp")


class TestBmp:
    @pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA"])
    def test_odd_ones(self, mode):
        with pytest.raises(OddError, match="bits a pixel"):
            header_of(saved(Image.new(mode, (8, 8)), "BMP"), "bmp")

    def test_from_above(self):
        data = bytearray(saved(scene(), "BMP"))
        struct.pack_into("<i", data, 22, -48)
        with pytest.raises(OddError, match="64 x -48 pixels"):
            header_of(bytes(data), "bmp")


class TestTiff:
    @pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_kinds(self, mode, compression):
        data = saved(scene().convert(mode), "TIFF", compression=compression)
        assert header_of(data, "tiff").size == (64, 48)
        check(data, "tiff")

    @pytest.mark.parametrize("code", range(1, 9))
    def test_orientation(self, code):
        assert header_of(saved(scene(), "TIFF", tiffinfo={0x112: code}), "tiff").orientation == code

    @pytest.mark.parametrize("mode", ["RGB", "L"])
    def test_profile(self, mode):
        profile = swapped_primaries()
        data = saved(scene().convert(mode), "TIFF", icc_profile=profile)
        assert header_of(data, "tiff").profile == profile

    @pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK", "I;16", "F"])
    def test_odd_ones(self, mode):
        with pytest.raises(OddError):
            header_of(saved(Image.new(mode, (8, 8)), "TIFF"), "tiff")

    def test_lossy_compression(self):
        with pytest.raises(OddError, match="has a compression of"):
            header_of(saved(scene(), "TIFF", compression="jpeg"), "tiff")

    def test_a_header_behind_the_pixels(self):
        pixels = np.array(scene()).tobytes()
        entries = [(256, 4, 64), (257, 4, 48), (259, 3, 1), (262, 3, 2), (273, 4, 8)]
        entries += [(277, 3, 3), (279, 4, len(pixels))]
        place = 8 + len(pixels)
        bits = place + 2 + 12 * (len(entries) + 1) + 4
        entries.insert(2, (258, 3, bits))
        directory = struct.pack("<H", len(entries)) + b"".join(
            struct.pack("<HHII", tag, kind, 3 if tag == 258 else 1, value)
            for tag, kind, value in entries
        )
        data = b"II*\0" + struct.pack("<I", place) + pixels + directory + bytes(4)
        data += struct.pack("<3H", 8, 8, 8)
        assert header_of(data, "tiff").size == (64, 48)
        check(data, "tiff")

    @pytest.mark.parametrize("at", range(0, 200, 7))
    def test_damaged_headers_are_odd_or_harmless(self, at):
        data = bytearray(saved(scene(), "TIFF", compression="tiff_lzw"))
        start = int.from_bytes(data[4:8], "little")
        data[start + at % 120] ^= 0xFF
        with suppress(OddError):
            check(bytes(data), "tiff")
