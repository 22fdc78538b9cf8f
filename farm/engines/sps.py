"""Reads sequence parameter sets of H.264 and HEVC: size, samples, colour and progressive or not."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from farm.engines.annexb import H264, BitstreamError, Syntax
from farm.geometry import Size

UNSPECIFIED = 2
"""The number of ITU-T H.273 for a colour tag that tells nothing."""

_MOST_BYTES = 4096
_MOST_GOLOMB_ZEROS = 32
# Profiles of H.264 whose sets tell of chroma and bits (7.3.2.1.1).
_HIGH_PROFILES = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244))
_PLANAR_CHROMA = 3
_MOST_SIDE = 1 << 16
_MOST_REFERENCE_SETS, _MOST_REFERENCES, _MOST_LONG_TERM = 64, 16, 32
_MOST_CYCLE = 255
# Of aspect_ratio_idc (H.264, table E-1).
_ASPECTS = (
    *((0, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11)),
    *((80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1)),
)
_OTHER_ASPECT = 255


@dataclass(frozen=True, slots=True)
class Signal:
    """What a stream tells of how its samples are to be shown; tags by the numbers of H.273.

    `full_range` and `tags` (primaries, transfer, matrix) are None where nothing is told.
    """

    aspect: Fraction | None = None
    full_range: bool | None = None
    tags: tuple[int, int, int] | None = None
    has_fields: bool = False


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """What a sequence parameter set tells of its pictures.

    `chroma` is chroma_format_idc: 0 gray, 1 4:2:0, 2 4:2:2, 3 4:4:4. Of the `coded` picture the
    part of size `shown` that begins at `origin` (left, top) is shown.
    """

    chroma: int
    bits: int
    coded: Size
    shown: Size
    origin: tuple[int, int]
    is_progressive: bool
    signal: Signal


@lru_cache(maxsize=256)
def read_sequence(syntax: Syntax, unit: bytes) -> SequenceHeader:
    """Reads one unit (H.264, 7.3.2.1.1; H.265, 7.3.2.2); raises BitstreamError."""
    bits = Bits(unit[syntax.header_bytes :])
    return _read_h264(bits) if syntax is H264 else _read_hevc(bits)


class Bits:
    """Reads the content of a unit bit by bit (H.264, 7.2 and 9.1)."""

    def __init__(self, content: bytes) -> None:
        if len(content) > _MOST_BYTES:
            raise BitstreamError(f"a parameter set of {len(content)} bytes")
        # Bytes put in lest a start code arises (7.4.1) are no content.
        content = content.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(content, "big")
        self._left = 8 * len(content)

    def take(self, count: int) -> int:
        """The next bits as a number."""
        self._left -= count
        if self._left < 0:
            raise BitstreamError("a parameter set ends too early")
        return self._value >> self._left & (1 << count) - 1

    def flag(self) -> bool:
        """The next bit."""
        return self.take(1) == 1

    def golomb(self, most: int = 1 << 32) -> int:
        """The next ue(v); raises BitstreamError beyond `most`."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > _MOST_GOLOMB_ZEROS:
                raise BitstreamError("a number of a parameter set is too long")
        found = (1 << zeros) - 1 + self.take(zeros)
        if found > most:
            raise BitstreamError(f"expected at most {most} in a parameter set; received {found}")
        return found

    def skip_golombs(self, count: int) -> None:
        """Leaves out ue(v) and se(v), which are as long as each other."""
        for _ in range(count):
            self.golomb()

    def signed(self) -> int:
        """The next se(v)."""
        found = self.golomb()
        return (found + 1) // 2 if found & 1 else -(found // 2)


def _read_h264(bits: Bits) -> SequenceHeader:
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    chroma, depth = _read_h264_samples(bits) if profile in _HIGH_PROFILES else (1, 8)
    bits.golomb()
    _skip_order_count(bits)
    bits.golomb()
    bits.take(1)
    width, height = (16 * (bits.golomb(_MOST_SIDE // 16) + 1) for _ in range(2))
    is_progressive = bits.flag()
    if not is_progressive:
        height *= 2
        bits.take(1)
    bits.take(1)
    across = 2 if chroma in (1, 2) else 1
    down = (2 if chroma == 1 else 1) * (1 if is_progressive else 2)
    edges = _read_edges(bits, across, down)
    signal = _read_signal(bits) if bits.flag() else Signal()
    return _header(chroma, depth, Size(width, height), edges, signal, is_progressive)


def _read_h264_samples(bits: Bits) -> tuple[int, int]:
    chroma = _read_chroma(bits)
    depth = _read_depth(bits)
    bits.take(1)
    if bits.flag():
        for index in range(12 if chroma == _PLANAR_CHROMA else 8):
            if bits.flag():
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma, depth


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _skip_order_count(bits: Bits) -> None:
    kind = bits.golomb(2)
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.take(1)
        bits.skip_golombs(2)
        bits.skip_golombs(bits.golomb(_MOST_CYCLE))


def _read_hevc(bits: Bits) -> SequenceHeader:
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    _skip_profile(bits, layers)
    bits.golomb()
    chroma = _read_chroma(bits)
    width, height = (bits.golomb(_MOST_SIDE) for _ in range(2))
    across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
    edges = _read_edges(bits, across, down)
    depth = _read_depth(bits)
    order_bits = bits.golomb(12) + 4
    bits.skip_golombs(3 * (layers + 1 if bits.flag() else 1) + 6)
    if bits.flag() and bits.flag():
        _skip_scaling_lists(bits)
    bits.take(2)
    if bits.flag():
        bits.take(8)
        bits.skip_golombs(2)
        bits.take(1)
    _skip_reference_sets(bits)
    if bits.flag():
        bits.take((order_bits + 1) * bits.golomb(_MOST_LONG_TERM))
    bits.take(2)
    signal = _read_signal(bits, is_hevc=True) if bits.flag() else Signal()
    return _header(chroma, depth, Size(width, height), edges, signal, not signal.has_fields)


def _skip_profile(bits: Bits, layers: int) -> None:
    """Leaves out profile_tier_level of one layer and `layers` more (7.3.3)."""
    bits.take(96)
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for has_profile, has_level in present:
        bits.take(88 * has_profile + 8 * has_level)


def _skip_scaling_lists(bits: Bits) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if bits.flag():
                bits.skip_golombs(min(64, 16 << 2 * size) + (size > 1))
            else:
                bits.golomb()


def _skip_reference_sets(bits: Bits) -> None:
    """Leaves out st_ref_pic_set (7.3.7), whose length depends on those before."""
    count = 0
    for index in range(bits.golomb(_MOST_REFERENCE_SETS)):
        if index and bits.flag():
            bits.take(1)
            bits.golomb()
            count = sum(bits.flag() or bits.flag() for _ in range(count + 1))
        else:
            parts = bits.golomb(_MOST_REFERENCES), bits.golomb(_MOST_REFERENCES)
            count = sum(parts)
            for _ in range(count):
                bits.golomb()
                bits.take(1)


def _read_chroma(bits: Bits) -> int:
    chroma = bits.golomb(_PLANAR_CHROMA)
    if chroma == _PLANAR_CHROMA and bits.flag():
        raise BitstreamError("three colour planes coded apart")
    return chroma


def _read_depth(bits: Bits) -> int:
    luma, chroma = (8 + bits.golomb(8) for _ in range(2))
    if luma != chroma:
        raise BitstreamError(f"luma of {luma} bits with chroma of {chroma}")
    return luma


def _read_edges(bits: Bits, across: int, down: int) -> tuple[int, int, int, int]:
    """What is not shown at the left, right, top and bottom, in pixels."""
    if not bits.flag():
        return 0, 0, 0, 0
    left, right, top, bottom = (bits.golomb(_MOST_SIDE) for _ in range(4))
    return across * left, across * right, down * top, down * bottom


def _header(
    chroma: int,
    bits: int,
    coded: Size,
    edges: tuple[int, int, int, int],
    signal: Signal,
    is_progressive: bool,
) -> SequenceHeader:
    left, right, top, bottom = edges
    shown = Size(coded.width - left - right, coded.height - top - bottom)
    if min(shown) < 1:
        raise BitstreamError(f"nothing is shown of pictures of {coded.width}x{coded.height}")
    return SequenceHeader(chroma, bits, coded, shown, (left, top), is_progressive, signal)


def _read_signal(bits: Bits, *, is_hevc: bool = False) -> Signal:
    """The start of vui_parameters, which both codecs share (H.264, E.1.1; H.265, E.2.1)."""
    aspect, full_range, tags, has_fields = None, None, None, False
    if bits.flag():
        number = bits.take(8)
        told = _ASPECTS[number] if number < len(_ASPECTS) else (0, 1)
        width, height = (bits.take(16), bits.take(16)) if number == _OTHER_ASPECT else told
        aspect = Fraction(width, height) if width and height else None
    if bits.flag():
        bits.take(1)
    if bits.flag():
        bits.take(3)
        full_range = bits.flag()
        if bits.flag():
            tags = bits.take(8), bits.take(8), bits.take(8)
    if is_hevc:
        if bits.flag():
            bits.skip_golombs(2)
        bits.take(1)
        has_fields = bits.flag()
    return Signal(aspect, full_range, tags, has_fields)
