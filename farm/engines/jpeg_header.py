"""Reads what precedes the first scan of a JPEG: frame, colours, Exif, colour profile."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from farm.geometry import Size

Buffer = bytes | bytearray | memoryview

MOST_HEADER_BYTES = 32 << 20
"""What precedes the first scan is looked at up to here: a profile alone may have 16 MB."""

_MOST_SEGMENTS = 20_000

_SOI, _EOI, _SOS, _DNL, _TEM = 0xD8, 0xD9, 0xDA, 0xDC, 0x01
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_RESTARTS = range(0xD0, 0xD8)
# DHT, JPG and DAC lie among the frame markers (ITU-T T.81, table B.1).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')

_ORIENTATION, _THUMBNAIL_OFFSET, _THUMBNAIL_BYTES = 0x112, 0x201, 0x202
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # TIFF's BYTE, SHORT and LONG


class HeaderError(ValueError):
    """What precedes the first scan is not what ITU-T T.81 says, or goes on past the bounds."""


@dataclass(frozen=True, slots=True)
class Component:
    """One colour component: its id and how its samples lie in a minimum coded unit."""

    id: int
    across: int
    down: int


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """The JPEG in the second directory of an Exif segment, and that directory's orientation."""

    data: bytes
    orientation: int | None


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What stands before the first scan.

    `frame` is the second byte of the frame's marker: 0xC0 baseline, 0xC1 extended, 0xC2
    progressive, further ones lossless, hierarchical or arithmetic. `profile` is None where there is
    none; `broken` names metadata that cannot be used. The first SOS marker is at `first_scan`.
    """

    frame: int
    size: Size
    bits: int
    components: tuple[Component, ...]
    first_scan: int
    jfif: bool
    adobe_transform: int | None
    orientation: int
    profile: bytes | None
    thumbnail: Thumbnail | None
    broken: tuple[str, ...]

    @property
    def is_progressive(self) -> bool:
        """Whether its scans refine one another, coded by Huffman."""
        return self.frame == 0xC2


def parse_header(data: Buffer) -> JpegHeader | None:
    """The header at the start of `data`, or None where it goes on behind its end.

    Raises HeaderError for what is no JPEG, and for bytes between segments, which libjpeg skips with
    a warning.
    """
    found = _Found()
    for marker, start, end in _segments(data):
        if marker == _SOS:
            return found.header(data, first_scan=start - 4)
        found.add(marker, data, start, end)
    return None


def _segments(data: Buffer) -> Iterator[tuple[int, int, int]]:
    """Marker and body of each segment up to SOS; ends early where the data do."""
    if bytes(data[:2]) != b"\xff\xd8"[: len(data)]:
        raise HeaderError("begins without SOI")
    at = 2
    for _ in range(_MOST_SEGMENTS):
        while at + 1 < len(data) and data[at] == data[at + 1] == 0xFF:
            at += 1  # any marker may be preceded by fill bytes
        if at > MOST_HEADER_BYTES:
            raise HeaderError(f"has no scan within {MOST_HEADER_BYTES} bytes")
        if at < len(data) and data[at] != 0xFF:
            raise HeaderError(f"has no marker at byte {at}")
        if at + 4 > len(data):
            return
        marker, length = data[at + 1], data[at + 2] << 8 | data[at + 3]
        if marker in (0, _TEM, _SOI, _EOI) or marker in _RESTARTS or length < 2:
            raise HeaderError(f"has marker {marker:#04x} of {length} bytes at byte {at}")
        if at + 2 + length > len(data):
            return
        yield marker, at + 4, at + 2 + length
        at += 2 + length
    raise HeaderError(f"has more than {_MOST_SEGMENTS} segments before a scan")


class _Found:
    """What the segments gave so far."""

    def __init__(self) -> None:
        self.frame: tuple[int, bytes] | None = None
        self.jfif = False
        self.adobe_transform: int | None = None
        self.exif = b""
        self.xmp = b""
        self.icc: list[bytes] = []

    def add(self, marker: int, data: Buffer, start: int, end: int) -> None:
        if marker in _FRAMES:
            if self.frame:
                raise HeaderError("has two frames before its first scan")
            self.frame = marker, bytes(data[start:end])
        elif marker == _APP0:
            self.jfif = self.jfif or bytes(data[start : start + 5]) == b"JFIF\0"
        elif marker == _APP1:
            self._add_app1(bytes(data[start:end]))
        elif marker == _APP2 and bytes(data[start : start + len(_ICC)]) == _ICC:
            self.icc.append(bytes(data[start + len(_ICC) : end]))
        elif marker == _APP14 and end - start >= 12 and bytes(data[start : start + 5]) == b"Adobe":
            self.adobe_transform = data[start + 11]

    def _add_app1(self, body: bytes) -> None:
        if body.startswith(_EXIF):
            self.exif += body.removeprefix(_EXIF)  # it may span segments
        elif body.startswith(_XMP):
            self.xmp = body.removeprefix(_XMP)

    def header(self, data: Buffer, *, first_scan: int) -> JpegHeader:
        if self.frame is None:
            raise HeaderError("has a scan before its frame")
        frame, body = self.frame
        bits, size, components = _parse_frame(body)
        broken: list[str] = []
        profile = _join_profile(self.icc)
        if self.icc and profile is None:
            broken.append("icc")
        try:
            orientation, thumbnail = _parse_exif(self.exif)
        except HeaderError:
            orientation, thumbnail = None, None
            broken.append("exif")
        if orientation is None and (told := _XMP_ORIENTATION.search(self.xmp)):
            orientation = int(told[1])
        if orientation is None or not 1 <= orientation <= 8:
            orientation = 1
        return JpegHeader(
            frame=frame,
            size=size,
            bits=bits,
            components=components,
            first_scan=first_scan,
            jfif=self.jfif,
            adobe_transform=self.adobe_transform,
            orientation=orientation,
            profile=profile,
            thumbnail=thumbnail,
            broken=tuple(broken),
        )


def _parse_frame(body: bytes) -> tuple[int, Size, tuple[Component, ...]]:
    """Bits per sample, size and components of a frame header (ITU-T T.81, B.2.2)."""
    if len(body) < 6 or len(body) != 6 + 3 * body[5] or not body[5]:
        raise HeaderError(f"has a frame header of {len(body)} bytes")
    components = tuple(
        Component(body[at], body[at + 1] >> 4, body[at + 1] & 15) for at in range(6, len(body), 3)
    )
    if not all(1 <= each.across <= 4 and 1 <= each.down <= 4 for each in components):
        raise HeaderError("has a component without or with too many samples")
    height, width = struct.unpack_from(">HH", body, 1)
    if not width or not height:
        raise HeaderError(f"is {width} x {height} pixels by its frame header")
    return body[0], Size(width, height), components


def _join_profile(chunks: list[bytes]) -> bytes | None:
    """The ICC profile: each chunk begins with its number, from 1, and how many there are."""
    chunks = sorted(chunks)
    if not chunks or any(len(chunk) < 2 for chunk in chunks) or chunks[0][1] != len(chunks):
        return None
    return b"".join(chunk[2:] for chunk in chunks)


def _parse_exif(exif: bytes) -> tuple[int | None, Thumbnail | None]:
    """Orientation by the first directory, and the thumbnail of the second."""
    exif = exif.removeprefix(_EXIF)  # some writers say it twice
    if not exif:
        return None, None
    order: Literal["<", ">"]
    if exif[:4] in (b"II*\0", b"MM\0*"):
        order = "<" if exif[:2] == b"II" else ">"
    else:
        raise HeaderError("has Exif tags in no known order")
    first, after = _parse_directory(exif, 4, order)
    if after is None:
        return first.get(_ORIENTATION), None
    second, _ = _parse_directory(exif, after, order)
    offset, length = second.get(_THUMBNAIL_OFFSET), second.get(_THUMBNAIL_BYTES)
    data = exif[offset : offset + length] if offset and length else b""
    thumbnail = Thumbnail(data, second.get(_ORIENTATION)) if data[:2] == b"\xff\xd8" else None
    return first.get(_ORIENTATION), thumbnail


def _parse_directory(exif: bytes, link: int, order: str) -> tuple[dict[int, int], int | None]:
    """The tags of one integer each of the directory to which the four bytes at `link` point.

    The second value is where the link to the next directory stands; None where the data end first,
    whose tags count up to there. TIFF 6.0, section 2, has the structure.
    """
    tags: dict[int, int] = {}
    (start,) = struct.unpack_from(order + "I", exif, link) if link + 4 <= len(exif) else (0,)
    if not 8 <= start <= len(exif) - 2:
        return tags, None
    (count,) = struct.unpack_from(order + "H", exif, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        if at + 12 > len(exif):
            return tags, None
        tag, kind, length = struct.unpack_from(order + "HHI", exif, at)
        if length == 1 and kind in _INTEGERS:
            (tags[tag],) = struct.unpack_from(order + _INTEGERS[kind], exif, at + 8)
    return tags, start + 2 + 12 * count
