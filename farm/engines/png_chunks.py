"""Reads the chunks of a PNG (ISO/IEC 15948) and says whether it is a plain one."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from isal import isal_zlib

from farm.engines.profile import is_srgb
from farm.engines.still import OddError
from farm.geometry import Size

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_HEADER_BYTES = 4 << 20

_CHANNELS = {2: 3, 6: 4}  # by colour type: RGB, RGBA
_MOST_PROFILE_BYTES = 1 << 20

# They say nothing of the pixels, or nothing that decoders heed.
_HARMLESS = frozenset(
    {b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME", b"bKGD", b"sBIT", b"iDOT", b"IEND"}
)
# Texts that may hold tags of a camera, and an orientation among them.
_TAGS = (b"Raw profile type", b"XML:com.adobe.xmp")


@dataclass(frozen=True, slots=True)
class PngHeader:
    """A plain PNG: 8 bits a channel, 3 (RGB) or 4 (RGBA) channels, not interlaced.

    `profile` is its ICC profile where that is not sRGB.
    """

    size: Size
    channels: int
    profile: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk, or as much of it as there is."""

    name: bytes
    content: memoryview
    is_whole: bool
    checksum: int

    @property
    def is_sound(self) -> bool:
        return isal_zlib.crc32(self.content, isal_zlib.crc32(self.name)) == self.checksum


def parse_header(data: memoryview) -> PngHeader | None:
    """The header, or None where more bytes are needed; raises OddError at what is not plain."""
    if data[:8] != SIGNATURE:
        raise OddError("has no signature of PNG")
    header = None
    for chunk in _chunks(data):
        if chunk.name == b"IDAT":
            if header is None:
                raise OddError("begins without a header")
            return header
        if not chunk.is_whole:
            return None
        if not chunk.is_sound:
            raise OddError(f"has a damaged chunk {chunk.name!r}")
        if header is None:
            header = _header(chunk)
        elif chunk.name == b"iCCP":
            header = replace(header, profile=_profile(bytes(chunk.content)))
        else:
            _check(chunk)
    return None


def image_data(data: memoryview) -> list[memoryview]:
    """The parts of the zlib stream of a whole file; raises OddError at what is not plain."""
    parts, is_behind = [], False
    for chunk in _chunks(data):
        if not chunk.is_whole:
            raise OddError("ends early")
        if chunk.name == b"IDAT":
            parts.append(chunk.content)
        elif parts:
            is_behind = True
            _check(chunk)
    if not is_behind:
        raise OddError("ends early")
    return parts


def _chunks(data: memoryview) -> Iterator[_Chunk]:
    """The chunks up to IEND, the last one perhaps cut."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        is_whole = end + 4 <= len(data)
        checksum = struct.unpack_from(">I", data, end)[0] if is_whole else 0
        yield _Chunk(name, data[place + 8 : end], is_whole, checksum)
        if name == b"IEND":
            return
        place = end + 4


def _header(chunk: _Chunk) -> PngHeader:
    if chunk.name != b"IHDR" or len(chunk.content) != 13:
        raise OddError("begins without a header")
    width, height, bits, color, *methods = struct.unpack(">IIBBBBB", chunk.content)
    if bits != 8 or color not in _CHANNELS or any(methods) or not (width and height):
        raise OddError(f"has {bits} bits, colours of type {color} and methods {methods}")
    return PngHeader(Size(width, height), _CHANNELS[color])


def _check(chunk: _Chunk) -> None:
    """Raises OddError where the chunk may change what is to be seen, or is not known here."""
    name, content = chunk.name, chunk.content
    if name in _HARMLESS:
        return
    if name in (b"tEXt", b"iTXt"):
        keyword, _, text = bytes(content).partition(b"\0")
        is_plain = name == b"tEXt" or text[:1] == b"\0"
        if is_plain and not keyword.startswith(_TAGS):
            return
    raise OddError(f"has a chunk {name!r}")


def _profile(content: bytes) -> bytes | None:
    """The profile in a chunk iCCP: a name, NUL, the method 0, deflated; None for sRGB."""
    _, _, rest = content.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], _MOST_PROFILE_BYTES)
    except zlib.error as error:
        raise OddError("has a damaged profile") from error
    if rest[:1] != b"\0" or not inflater.eof:
        raise OddError("has a damaged profile")
    return None if is_srgb(profile) else profile
