"""Turns samples of H.264 and HEVC from an MP4 into a byte stream with start codes (Annex B)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

START_CODE = b"\0\0\0\1"

_EMULATED = b"\0\0\1"
_RECORD_VERSION = 1
_AVCC_LENGTH_AT, _HVCC_LENGTH_AT = 4, 21


class BitstreamError(Exception):
    """The bytes are not what ITU-T H.264 or H.265 and ISO/IEC 14496-15 say, or not for us."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """A codec's units by the numbers of their kinds (nal_unit_type).

    `starts` are the kinds of pictures with which decoding may begin, `header_bytes` what comes
    before a unit's content.
    """

    codec: str
    header_bytes: int
    delimiter: int
    sequence: int
    message: int
    starts: frozenset[int]
    enhancements: frozenset[int]

    def kind_of(self, unit: bytes) -> int:
        """The kind of a unit, which is not empty."""
        return unit[0] & 0x1F if self.header_bytes == 1 else unit[0] >> 1 & 0x3F


H264 = Syntax(
    "h264",
    header_bytes=1,
    delimiter=9,
    sequence=7,
    message=6,
    starts=frozenset([5]),
    enhancements=frozenset([14, 15, 20, 21]),
)
# Kinds 62 and 63 are left open by the standard, and are Dolby Vision's wherever they come.
HEVC = Syntax(
    "hevc",
    header_bytes=2,
    delimiter=35,
    sequence=33,
    message=39,
    starts=frozenset(range(16, 22)),
    enhancements=frozenset([62, 63]),
)
SYNTAXES = {syntax.codec: syntax for syntax in (H264, HEVC)}


@dataclass(frozen=True, slots=True)
class Config:
    """A decoder configuration record: what comes before all samples, and how they are parted.

    `length_bytes` is the size of the length before each unit of a sample: 1, 2 or 4.
    """

    syntax: Syntax
    length_bytes: int
    units: tuple[bytes, ...]


def read_config(syntax: Syntax, record: bytes) -> Config:
    """Reads an avcC or hvcC record (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1).

    Raises BitstreamError where the record ends too early or has another version.
    """
    if record[:1] != bytes([_RECORD_VERSION]):
        raise BitstreamError(
            f"expected a configuration record of version {_RECORD_VERSION}; "
            f"received {record[:4].hex() or 'none'}"
        )
    is_h264 = syntax is H264
    cursor = _Cursor(record, _AVCC_LENGTH_AT if is_h264 else _HVCC_LENGTH_AT)
    length_bytes = (cursor.number(1) & 3) + 1
    if length_bytes == 3:
        raise BitstreamError("expected lengths of 1, 2 or 4 bytes; received 3")
    units = tuple(_avcc_units(cursor) if is_h264 else _hvcc_units(cursor))
    for unit in units:
        _check_unit(unit, syntax)
    return Config(syntax, length_bytes, units)


def units_of(sample: bytes, config: Config) -> list[bytes]:
    """The units of a sample, without their lengths.

    Raises BitstreamError where the lengths do not add up to the sample, for units too short to have
    a kind, and for those with a start code inside: as a byte stream they would be others.
    """
    units, at = list[bytes](), 0
    while at < len(sample):
        start = at + config.length_bytes
        at = start + int.from_bytes(sample[at:start], "big")
        if at > len(sample):
            raise BitstreamError(f"a unit ends at byte {at} of a sample of {len(sample)} bytes")
        unit = sample[start:at]
        _check_unit(unit, config.syntax)
        units.append(unit)
    if not units:
        raise BitstreamError("a sample without any unit")
    return units


def byte_stream(units: Sequence[bytes], config: Config, *, begins: bool) -> bytes:
    """The units of one sample with start codes.

    The first sample of all (`begins`) gets the record's parameter sets, behind its delimiter if it
    has one. Sets of the sample's own, as in avc3 and hev1, come after those and so replace them.
    """
    if begins:
        has_delimiter = config.syntax.kind_of(units[0]) == config.syntax.delimiter
        units = [*units[:has_delimiter], *config.units, *units[has_delimiter:]]
    return b"".join(START_CODE + unit for unit in units)


def messages_of(unit: bytes, syntax: Syntax) -> list[int]:
    """The types of the messages (SEI) in a unit of that kind (H.264, 7.3.2.3; H.265, 7.3.5).

    They end where the unit does, or where a length would go beyond it.
    """
    content = unit[syntax.header_bytes :].replace(b"\0\0\3", b"\0\0")
    types, at = list[int](), 0
    while at + 2 < len(content):
        kind, at = _message_number(content, at)
        size, at = _message_number(content, at)
        types.append(kind)
        at += size
    return types


def _message_number(content: bytes, at: int) -> tuple[int, int]:
    """A number of bytes of 255 and one below, and the place behind it."""
    found = 0
    while content[at : at + 1] == b"\xff":
        found, at = found + 255, at + 1
    return found + sum(content[at : at + 1]), at + 1


def _check_unit(unit: bytes, syntax: Syntax) -> None:
    if len(unit) <= syntax.header_bytes:
        raise BitstreamError(f"a unit of {len(unit)} bytes, which has no content")
    if _EMULATED in unit:
        raise BitstreamError("a start code inside a unit")


def _avcc_units(cursor: "_Cursor") -> Iterator[bytes]:
    """The sequence parameter sets, then the picture parameter sets."""
    for mask in (0x1F, 0xFF):
        for _ in range(cursor.number(1) & mask):
            yield cursor.take(cursor.number(2))


def _hvcc_units(cursor: "_Cursor") -> Iterator[bytes]:
    for _ in range(cursor.number(1)):
        cursor.take(1)
        for _ in range(cursor.number(2)):
            yield cursor.take(cursor.number(2))


class _Cursor:
    """Reads a record from a place on."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def take(self, length: int) -> bytes:
        start, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise BitstreamError(
                f"a configuration record of {len(self._data)} bytes ends before byte {self._at}"
            )
        return self._data[start : self._at]

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")
