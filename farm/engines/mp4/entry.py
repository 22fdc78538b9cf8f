"""Reads descriptions of video samples: codec, configuration, shape and colour (`stsd`)."""

import struct
from fractions import Fraction

from farm.engines.mp4.box import boxes, children, unpack
from farm.engines.mp4.movie import Color, DolbyVision, Hdr, SampleEntry
from farm.geometry import Box, Size

_ENTRY = struct.Struct(">6xH16xHH46xH2x")
_COUNT = struct.Struct(">4xI")
_MOST_ENTRIES = 256
_PASP = struct.Struct(">II")
_CLAP = struct.Struct(">IIIIiIiI")
_COLR = struct.Struct(">4xHHH")
_DOLBY = struct.Struct(">HHB")
# Boxes whose content, from that byte on, libavcodec takes as extradata.
_CONFIGS = {b"avcC": 0, b"hvcC": 0, b"av1C": 0, b"vvcC": 4, b"glbl": 0, b"dvc1": 7}
_PROTECTED = {"encv": "", "drmi": "FairPlay"}
_ES_DESCRIPTOR, _DECODER_CONFIG, _DECODER_SPECIFIC = 3, 4, 5


def read_entries(stsd: memoryview) -> tuple[SampleEntry, ...]:
    """The descriptions of a video track's samples; raises NotIndexedError where one is cut off."""
    (count,) = unpack(_COUNT, stsd)
    found: list[SampleEntry] = []
    for kind, content in boxes(stsd[8:]):
        if len(found) < min(count, _MOST_ENTRIES):
            found.append(_read_entry(kind.decode("latin-1"), content))
    return tuple(found)


def _read_entry(fourcc: str, content: memoryview) -> SampleEntry:
    reference, width, height, depth = unpack(_ENTRY, content)
    inner = children(content[_ENTRY.size :])
    protection = ""
    if fourcc in _PROTECTED:
        fourcc, protection = _unwrap(fourcc, inner)
    extradata, object_type = _config(inner)
    return SampleEntry(
        fourcc=fourcc,
        size=Size(width, height),
        extradata=extradata,
        bits=depth,
        data_reference=reference,
        object_type=object_type,
        pixel_aspect=_pixel_aspect(inner),
        clean_aperture=_clean_aperture(inner, width, height),
        color=_color(inner),
        hdr=_hdr(inner),
        dolby_vision=_dolby_vision(inner),
        protection=protection,
    )


def _unwrap(fourcc: str, inner: dict[bytes, memoryview]) -> tuple[str, str]:
    """The coded data's own fourcc, and the name of what protects it."""
    sinf = children(inner.get(b"sinf", memoryview(b"")))
    scheme = bytes(sinf.get(b"schm", memoryview(b""))[4:8]).decode("latin-1")
    original = bytes(sinf.get(b"frma", memoryview(b""))[:4]).decode("latin-1")
    return original or fourcc, scheme or _PROTECTED[fourcc] or "unknown"


def _config(inner: dict[bytes, memoryview]) -> tuple[bytes, int]:
    """The extradata, and for an `esds` the object type that names its codec."""
    for kind, skipped in _CONFIGS.items():
        if kind in inner:
            return bytes(inner[kind][skipped:]), 0
    if b"esds" in inner:
        return _elementary_stream(inner[b"esds"][4:])
    return b"", 0


def _elementary_stream(content: memoryview) -> tuple[bytes, int]:
    """DecoderSpecificInfo and object type, ISO/IEC 14496-1, 7.2.6: descriptors in descriptors."""
    object_type = 0
    while len(content) >= 2:
        tag, size, at = content[0], 0, 1
        while at < min(len(content), 5):
            size = size << 7 | content[at] & 0x7F
            at += 1
            if not content[at - 1] & 0x80:
                break
        body = content[at : at + size]
        if tag == _DECODER_SPECIFIC:
            return bytes(body), object_type
        if tag == _ES_DESCRIPTOR and len(body) >= 3:
            content = body[_es_header_bytes(body) :]
        elif tag == _DECODER_CONFIG and len(body) >= 13:
            object_type, content = body[0], body[13:]
        else:
            break
    return b"", object_type


def _es_header_bytes(body: memoryview) -> int:
    flags, size = body[2], 3
    if flags & 0x80:
        size += 2
    if flags & 0x40 and len(body) > size:
        size += 1 + body[size]
    return size + (2 if flags & 0x20 else 0)


def _pixel_aspect(inner: dict[bytes, memoryview]) -> Fraction | None:
    if len(inner.get(b"pasp", b"")) < _PASP.size:
        return None
    width, height = _PASP.unpack_from(inner[b"pasp"])
    return Fraction(width, height) if width and height else None


def _clean_aperture(inner: dict[bytes, memoryview], width: int, height: int) -> Box | None:
    """The box of `clap`, whose offsets are between the centres (ISO/IEC 14496-12, 12.1.4)."""
    if len(inner.get(b"clap", b"")) < _CLAP.size:
        return None
    numbers = _CLAP.unpack_from(inner[b"clap"])
    if not all(numbers[1::2]):
        return None
    w, h, right, down = (a / b for a, b in zip(numbers[::2], numbers[1::2], strict=True))
    box = Box(
        (width - w) / 2 + right,
        (height - h) / 2 + down,
        (width + w) / 2 + right,
        (height + h) / 2 + down,
    )
    inside = 0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height
    return box if inside else None


def _color(inner: dict[bytes, memoryview]) -> Color | None:
    colr = inner.get(b"colr", memoryview(b""))
    kind = bytes(colr[:4])
    if kind in (b"prof", b"rICC"):
        return Color(icc=bytes(colr[4:]))
    if kind not in (b"nclx", b"nclc") or len(colr) < _COLR.size:
        return _vp_color(inner)
    full_range = bool(colr[10] & 0x80) if kind == b"nclx" and len(colr) > 10 else None
    primaries, transfer, matrix = _COLR.unpack_from(colr)
    return Color(primaries, transfer, matrix, full_range=full_range)


def _vp_color(inner: dict[bytes, memoryview]) -> Color | None:
    """The colour tags that VP8 and VP9 keep in their `vpcC`, version 1."""
    config = inner.get(b"vpcC", memoryview(b""))
    if len(config) < 10 or config[0] != 1:
        return None
    return Color(config[7], config[8], config[9], full_range=bool(config[6] & 1))


def _hdr(inner: dict[bytes, memoryview]) -> Hdr:
    mastering = inner.get(b"mdcv") or inner.get(b"SmDm") or b""
    return Hdr(bytes(mastering), bytes(inner.get(b"clli") or inner.get(b"CoLL") or b""))


def _dolby_vision(inner: dict[bytes, memoryview]) -> DolbyVision | None:
    """The record of `dvcC`, `dvvC` or `dvwC` (Dolby Vision streams within ISOBMFF, 3.2)."""
    record = inner.get(b"dvcC") or inner.get(b"dvvC") or inner.get(b"dvwC")
    if record is None or len(record) < _DOLBY.size:
        return None
    _, packed, compatibility = _DOLBY.unpack_from(record)
    return DolbyVision(packed >> 9, packed >> 3 & 63, compatibility >> 4)
