"""Which stills the `dali` engine takes, by their headers: opaque ones of 8 bits, gray or RGB."""

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from farm.engines.fastwebp import parse_header as parse_webp
from farm.engines.jpeg_header import MOST_HEADER_BYTES as MOST_JPEG_HEADER_BYTES
from farm.engines.jpeg_header import HeaderError
from farm.engines.jpeg_header import parse_header as parse_jpeg
from farm.engines.pillow_errors import PLUGIN_ERRORS
from farm.engines.png_chunks import MOST_HEADER_BYTES as MOST_PNG_HEADER_BYTES
from farm.engines.png_chunks import parse_header as parse_png
from farm.engines.prefix import Prefix
from farm.engines.profile import ProfileError, needed_profile
from farm.engines.still import OddError
from farm.geometry import Size

_HEAD_BYTES = 64 << 10
_WEBP_HEAD_BYTES = 30
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive, all by Huffman
_STORED_AS_RGB = b"RGB"  # the ids of its components
_ORIENTATION = 0x112

# Formats whose headers Pillow's plug-ins read.
_PLUGINS = {"bmp": "BMP", "j2k": "JPEG2000", "jp2": "JPEG2000", "ppm": "PPM", "tiff": "TIFF"}


@dataclass(frozen=True, slots=True)
class StillHeader:
    """What is known of a still before it is decoded."""

    size: Size
    orientation: int = 1
    profile: bytes | None = None


def read_header(data: Prefix, *, format_name: str) -> StillHeader:
    """The header of a still; raises OddError for what DALI would show wrong, or not at all."""
    if read := _READERS.get(format_name):
        return read(data)
    return _by_pillow(data, _PLUGINS[format_name])


def _jpeg(data: Prefix) -> StillHeader:
    try:
        header = data.parsed(parse_jpeg, first=_HEAD_BYTES, most=MOST_JPEG_HEADER_BYTES)
    except HeaderError as error:
        raise OddError(str(error)) from error
    if header is None:
        raise OddError("has no scan")
    ids = bytes(component.id for component in header.components)
    if header.frame not in _JPEG_FRAMES or header.bits != 8 or len(ids) not in (1, 3):
        raise OddError(
            f"has {len(ids)} components of {header.bits} bits in a frame of kind {header.frame:#x}"
        )
    if len(ids) == 3 and (ids == _STORED_AS_RGB or header.adobe_transform == 0):
        raise OddError("is stored as RGB")
    if header.broken:
        raise OddError(f"has broken metadata: {', '.join(header.broken)}")
    mode = "L" if len(ids) == 1 else "RGB"
    return StillHeader(header.size, header.orientation, _profile(header.profile, mode))


def _png(data: Prefix) -> StillHeader:
    header = data.parsed(parse_png, first=_HEAD_BYTES, most=MOST_PNG_HEADER_BYTES)
    if header is None:
        raise OddError("has no image data")
    if header.channels != 3:
        raise OddError("has transparency, which DALI drops")
    return StillHeader(header.size, profile=_profile(header.profile, "RGB"))


def _webp(data: Prefix) -> StillHeader:
    header = parse_webp(bytes(data.first(_WEBP_HEAD_BYTES)[:_WEBP_HEAD_BYTES]))
    if header.is_extended:
        raise OddError("is extended by a profile")
    return StillHeader(header.size)


_READERS: dict[str, Callable[[Prefix], StillHeader]] = {"jpeg": _jpeg, "png": _png, "webp": _webp}

FORMATS = frozenset({*_READERS, *_PLUGINS})
"""The formats that are taken, as they are sniffed."""


def _by_pillow(data: Prefix, plugin: str) -> StillHeader:
    try:
        # The plug-in itself: `Image.open` would heed settings that all threads share.
        picture = Image.OPEN[plugin][0](io.BytesIO(data.all()), "")
        size, mode, info = Size(*picture.size), picture.mode, picture.info
        turned = plugin == "TIFF" and picture.getexif().get(_ORIENTATION, 1) != 1
        frames = getattr(picture, "n_frames", 1)
    except PLUGIN_ERRORS as error:
        raise OddError(f"has a header that Pillow cannot read: {error}") from error
    if mode not in ("L", "RGB") or "transparency" in info:
        raise OddError(f"has pixels of the kind {mode}")
    if turned or frames != 1:
        raise OddError("is turned" if turned else f"has {frames} pages")
    return StillHeader(size, profile=_profile(info.get("icc_profile"), mode))


def _profile(profile: bytes | None, mode: str) -> bytes | None:
    try:
        return needed_profile(profile, mode)
    except ProfileError as error:
        raise OddError("has a profile of no use") from error
