"""Reads the first directory of a TIFF (TIFF 6.0, section 2), as far as it decides about pixels."""

import struct
from dataclasses import dataclass

from farm.engines.still import OddError
from farm.geometry import Size

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIPS, _ORIENTATION, _SAMPLES, _STRIP_BYTES, _PLANAR = 273, 274, 277, 279, 284
_TILES, _TILE_BYTES, _EXTRA, _FORMAT, _PROFILE = 324, 325, 338, 339, 34675

_GRAY, _RGB = 1, 2  # photometric interpretations; a gray of 0 is black
# Plain, LZW, deflate by either number, PackBits: nothing is lost in these.
_COMPRESSIONS = frozenset({1, 5, 8, 32_946, 32_773})

_KINDS = {1: "B", 3: "H", 4: "I", 7: "B"}  # BYTE, SHORT, LONG, UNDEFINED
_MOST_VALUES = 16 << 20


@dataclass(frozen=True, slots=True)
class TiffHeader:
    """A plain page: gray or RGB of 8 bits, without further samples, uncompressed or without loss.

    `end` is where the last strip or tile ends by what the header says, `profile` any ICC profile.
    """

    size: Size
    channels: int
    orientation: int
    profile: bytes | None
    end: int


def parse_tiff(data: memoryview) -> TiffHeader | None:
    """The header of the first page, or None where it goes on behind the end of `data`.

    Raises OddError for what is not plain, a BigTIFF among it.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None:
        raise OddError("has no header of a classic TIFF")
    try:
        tags = _parse_directory(data, order)
    except struct.error:
        return None
    channels = {_GRAY: 1, _RGB: 3}.get(_one(tags, _PHOTOMETRIC, -1))
    width, height = _one(tags, _WIDTH, 0), _one(tags, _LENGTH, 0)
    facts = {
        "bits a sample": (set(tags.get(_BITS, (1,))), {8}),
        "a compression": ({_one(tags, _COMPRESSION, 1)} - _COMPRESSIONS, set()),
        "samples a pixel": (_one(tags, _SAMPLES, 1), channels),
        "a planar configuration": (_one(tags, _PLANAR, 1), 1),
        "a fill order": (_one(tags, _FILL_ORDER, 1), 1),
        "a sample format": (set(tags.get(_FORMAT, (1,))), {1}),
        "extra samples": (tags.get(_EXTRA, ()), ()),
    }
    for what, (found, wanted) in facts.items():
        if found != wanted:
            raise OddError(f"has {what} of {found}")
    if channels is None or not (width and height):
        raise OddError("has no size, or neither gray nor RGB")
    orientation = _one(tags, _ORIENTATION, 1)
    return TiffHeader(
        size=Size(width, height),
        channels=channels,
        orientation=orientation if 1 <= orientation <= 8 else 1,
        profile=bytes(tags.get(_PROFILE, ())) or None,
        end=_end(tags),
    )


def _parse_directory(data: memoryview, order: str) -> dict[int, tuple[int, ...]]:
    """The integer tags of the first directory; raises struct.error where they are not in `data`."""
    tags: dict[int, tuple[int, ...]] = {}
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", data, at)
        if kind not in _KINDS:
            continue
        if length > _MOST_VALUES:
            raise OddError(f"has tag {tag} of {length} values")
        layout = f"{order}{length}{_KINDS[kind]}"
        place = at + 8
        if struct.calcsize(layout) > 4:
            (place,) = struct.unpack_from(order + "I", data, place)
        tags[tag] = struct.unpack_from(layout, data, place)
    return tags


def _one(tags: dict[int, tuple[int, ...]], tag: int, default: int) -> int:
    """The first value of a tag."""
    return next(iter(tags.get(tag, ())), default)


def _end(tags: dict[int, tuple[int, ...]]) -> int:
    """Where the last byte of a strip or tile lies, plus one; 0 where there is neither."""
    starts = tags.get(_STRIPS) or tags.get(_TILES) or ()
    lengths = tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES) or ()
    if len(starts) != len(lengths):
        raise OddError(f"has {len(starts)} strips or tiles and {len(lengths)} lengths of such")
    return max((start + length for start, length in zip(starts, lengths, strict=True)), default=0)
