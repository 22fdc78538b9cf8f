"""Reads the header of a still and says whether it is a plain one, whole as far as can be seen."""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from farm.engines.fastwebp import parse_header as parse_webp
from farm.engines.jpeg_header import HeaderError, JpegHeader
from farm.engines.jpeg_header import parse_header as parse_jpeg
from farm.engines.png_chunks import image_data
from farm.engines.png_chunks import parse_header as parse_png
from farm.engines.prefix import Prefix
from farm.engines.profile import ProfileError, needed_profile
from farm.engines.still import OddError
from farm.engines.tiff_header import parse_tiff
from farm.geometry import Size

_HEAD_BYTES = 64 << 10
_MOST_BYTES = 256 << 20  # a TIFF may have its header at its end

_BASELINE = 0xC0
_FRAMES = frozenset({_BASELINE, 0xC1, 0xC2})  # baseline, extended and progressive, all by Huffman
_RGB_IDS = (0x52, 0x47, 0x42)

_EOI, _SOS = 0xD9, 0xDA
# What may stand between scans: DHT, DQT, DNL, DRI, APPn, COM.
_BETWEEN = frozenset({0xC4, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_SEGMENTS = _BETWEEN | {_SOS}
# The end of coded data: any marker but a restart. FF 00 stands for a byte FF.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_MOST_SCANS = 1000

_BMP_HEADER_BYTES = 54

Check: TypeAlias = Callable[[memoryview], None]


@dataclass(frozen=True, slots=True)
class StillHeader:
    """A still of 8 bits a channel: gray, RGB, or RGB with straight alpha.

    `profile` is an ICC profile that changes its colours; `ignored` names metadata of no use.
    `is_baseline` means a JPEG of three components that a hardware decoder takes. `check` raises
    OddError where a whole file shows that it is cut or damaged.
    """

    size: Size
    check: Check
    orientation: int = 1
    profile: bytes | None = None
    has_alpha: bool = False
    is_baseline: bool = False
    ignored: tuple[str, ...] = ()


def read_header(data: Prefix, *, format_name: str) -> StillHeader:
    """The header of one of `FORMATS`, of as few bytes as tell it.

    Raises OddError for what is not plain, and what the source's file does.
    """
    header = data.parsed(_PARSERS[format_name], first=_HEAD_BYTES, most=_MOST_BYTES)
    if header is None:
        raise OddError(f"has no header of a {format_name}")
    return header


def _jpeg(data: memoryview) -> StillHeader | None:
    try:
        header = parse_jpeg(data)
    except HeaderError as error:
        raise OddError(str(error)) from error
    if header is None:
        return None
    if odd := _odd_jpeg(header):
        raise OddError(odd)
    components = len(header.components)
    profile, ignored = _profile(header.profile, "L" if components == 1 else "RGB")
    return StillHeader(
        header.size,
        lambda whole: _check_scans(whole, header.first_scan),
        orientation=header.orientation,
        profile=profile,
        is_baseline=header.frame == _BASELINE and components == 3,
        ignored=(*header.broken, *ignored),
    )


def _odd_jpeg(header: JpegHeader) -> str | None:
    if header.frame not in _FRAMES:
        return f"has a frame of kind {header.frame:#04x}"
    if header.bits != 8:
        return f"has {header.bits} bits a sample"
    if len(header.components) not in (1, 3):
        return f"has {len(header.components)} components"
    ids = tuple(each.id for each in header.components)
    is_marked = header.jfif or header.adobe_transform is not None
    if header.adobe_transform == 0 or (not is_marked and ids == _RGB_IDS):
        return "holds RGB"  # which hardware takes for YCbCr
    return None


def _check_scans(data: memoryview, first_scan: int) -> None:
    """Raises OddError where coded data break off or hold markers that they may not.

    It walks from one marker to the next up to EOI. What it cannot see is damage without a marker in
    it: those bits make another picture, at which libjpeg would warn and nvJPEG says nothing.
    """
    at = first_scan
    for _ in range(_MOST_SCANS):
        if at + 4 > len(data):
            raise OddError("ends before its picture does")
        marker, end = data[at + 1], at + 2 + (data[at + 2] << 8 | data[at + 3])
        if data[at] != 0xFF or marker not in _SEGMENTS:
            raise OddError(f"has marker {marker:#04x} amid its data, at byte {at}")
        if marker in _BETWEEN:
            at = end
            continue
        found = _MARKER.search(data, end)
        if found is None:
            raise OddError("ends before its picture does")
        at = found.start()
        _check_restarts(data, end, at)
        if data[at + 1] == _EOI:
            return
    raise OddError(f"has more than {_MOST_SCANS} scans or tables")


def _check_restarts(data: memoryview, start: int, end: int) -> None:
    """Restart markers count from 0 to 7 over and over (ITU-T T.81, B.2.1)."""
    for number, found in enumerate(_RESTART.finditer(data, start, end)):
        if found[1][0] & 7 != number & 7:
            raise OddError(f"lacks a restart marker before byte {found.start()}")


def _png(data: memoryview) -> StillHeader | None:
    header = parse_png(data)
    if header is None:
        return None
    try:
        profile = needed_profile(header.profile, "RGB")
    except ProfileError as error:
        raise OddError("has a profile of no use") from error
    has_alpha = header.channels == 4
    return StillHeader(header.size, _check_chunks, profile=profile, has_alpha=has_alpha)


def _check_chunks(data: memoryview) -> None:
    image_data(data)


def _webp(data: memoryview) -> StillHeader:
    header = parse_webp(bytes(data[:30]))
    if header.is_extended:
        raise OddError("has a profile")
    return StillHeader(header.size, lambda whole: _check_end(whole, header.file_bytes))


def _tiff(data: memoryview) -> StillHeader | None:
    header = parse_tiff(data)
    if header is None:
        return None
    profile, ignored = _profile(header.profile, "L" if header.channels == 1 else "RGB")
    return StillHeader(
        header.size,
        lambda whole: _check_end(whole, header.end),
        orientation=header.orientation,
        profile=profile,
        ignored=ignored,
    )


def _bmp(data: memoryview) -> StillHeader:
    """A bitmap with the header of 40 bytes (BITMAPINFOHEADER): 24 bits, from below upwards."""
    if len(data) < _BMP_HEADER_BYTES:
        raise OddError("has no header of a BMP")
    start, header_bytes, width, height, planes, bits, compression = struct.unpack_from(
        "<IIiiHHI", data, 10
    )
    if (header_bytes, planes, bits, compression) != (40, 1, 24, 0) or min(width, height) < 1:
        raise OddError(
            f"has a header of {header_bytes} bytes, {bits} bits a pixel, compression "
            f"{compression} and {width} x {height} pixels"
        )
    row_bytes = (width * 3 + 3) // 4 * 4
    return StillHeader(
        Size(width, height), lambda whole: _check_end(whole, start + row_bytes * height)
    )


def _check_end(data: memoryview, end: int) -> None:
    if len(data) < end:
        raise OddError(f"has {len(data)} bytes of {end}")


def _profile(profile: bytes | None, mode: str) -> tuple[bytes | None, tuple[str, ...]]:
    """The profile by which to convert, and that one had to be ignored."""
    try:
        return needed_profile(profile, mode), ()
    except ProfileError:
        return None, ("icc",)


_PARSERS: dict[str, Callable[[memoryview], StillHeader | None]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "tiff": _tiff,
    "bmp": _bmp,
}

FORMATS = tuple(_PARSERS)
"""The names of the formats whose plain files are known here."""
