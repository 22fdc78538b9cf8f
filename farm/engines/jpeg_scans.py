"""Leaves out the scans of a progressive JPEG that a picture shrunk on load does not need.

A progressive JPEG tells each coefficient of its 8x8 blocks in several scans: the first ones a range
of coefficients without its lowest bits, later ones these bits (ITU-T T.81, annex G). libjpeg must
decode every scan that it is given, in 4 times the time of a baseline file, but computes N x N
pixels of a block for a picture shrunk to N/8. For N = 1 it takes nothing but the mean, the
coefficient 0; for other N it takes most of them. Subsampled chroma is shrunk less: 4:2:0 at 1/8
takes N = 2.

libjpeg smoothes over blocks whose first coefficients it was not told, even the means. Where they
are not needed, a scan of zeros, which takes few bytes, stands for all that was left out.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from farm.engines.jpeg_header import Buffer, JpegHeader

_DHT, _EOI, _SOS, _DQT, _DRI, _COM = 0xC4, 0xD9, 0xDA, 0xDB, 0xDD, 0xFE
_TABLES = frozenset({_DHT, _DQT, _DRI, _COM, *range(0xE0, 0xF0)})

# The end of coded data: any marker but a restart. FF 00 stands for a byte FF.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")

_RUN_BLOCKS = 0x7FFF
_MOST_SCANS = 1000

# The zigzag indices of the coefficients in the first N x N of a block.
_LOW = {1: (0,), 2: (0, 1, 2, 4), 4: (0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 17, 18, 24)}


@dataclass(frozen=True, slots=True)
class Cut:
    """A JPEG of some scans of another one, of which `seen` were found."""

    data: bytes
    kept: int
    seen: int


@dataclass(frozen=True, slots=True)
class _Scan:
    """One scan: its tables from `tables` on, its SOS marker at `start`, its data up to `end`.

    It tells the coefficients `first` to `last` of the `components` (by id) down to bit `low`;
    `high` is the bit down to which they were known before, 0 where they were not.
    """

    tables: int
    start: int
    end: int
    components: tuple[int, ...]
    first: int
    last: int
    high: int
    low: int


def cut_exactly(data: Buffer, header: JpegHeader, *, shrink: int) -> Cut | None:
    """Leaves out what does not change a picture shrunk by `shrink`; `data` is the whole file.

    None where everything is needed, or the file is not whole and well-formed.
    """
    means = _means(header, shrink)
    if not means:
        return None
    scans, is_all = _find_scans(data, header)
    known = _known(scans, header)
    if not is_all or known is None or any(any(bits) for bits in known.values()):
        return None
    kept = [scan for scan in scans if scan.first == 0 or not means.issuperset(scan.components)]
    return _cut(data, header, scans, kept=kept, zeroed=means)


def cut_early(data: Buffer, header: JpegHeader, *, shrink: int) -> Cut | None:
    """Keeps the first scans that tell what matters most: N x N coefficients for N/8 of the size.

    `data` is the beginning of the file. None where these scans are not all in it, and for full
    size.
    """
    low = _LOW.get(8 // shrink)
    scans, _ = _find_scans(data, header)
    known = _known(scans, header)
    if low is None or known is None:
        return None
    if any(bits[index] < 0 for bits in known.values() for index in low):
        return None
    kept = [
        scan
        for scan in scans
        if scan.high == 0 and any(scan.first <= index <= scan.last for index in low)
    ]
    return _cut(data, header, scans, kept=kept, zeroed=_means(header, shrink))


def _cut(
    data: Buffer,
    header: JpegHeader,
    scans: Sequence[_Scan],
    *,
    kept: Sequence[_Scan],
    zeroed: set[int],
) -> Cut:
    """The kept scans, the tables of all, and at the end zeros for some components."""
    view = memoryview(data)
    parts: tuple[Buffer, ...] = (
        view[: header.first_scan],
        *(view[scan.tables : scan.end if scan in kept else scan.start] for scan in scans),
        *_zeros(header, zeroed),
        b"\xff\xd9",
    )
    return Cut(b"".join(parts), len(kept), len(scans))


def _find_scans(data: Buffer, header: JpegHeader) -> tuple[list[_Scan], bool]:
    """The scans that lie wholly in `data`, and whether they are all of a well-formed picture."""
    scans: list[_Scan] = []
    tables = at = header.first_scan
    while at + 4 <= len(data) and data[at] == 0xFF and len(scans) < _MOST_SCANS:
        marker, end = data[at + 1], at + 2 + (data[at + 2] << 8 | data[at + 3])
        if marker in _TABLES:
            at = end
            continue
        scan = _parse_scan(data, tables, at, end) if marker == _SOS else None
        if scan is None:
            break
        scans.append(scan)
        tables = at = scan.end
        if data[at + 1] == _EOI:
            return scans, True
    return scans, False


def _parse_scan(data: Buffer, tables: int, start: int, body_end: int) -> _Scan | None:
    """The scan whose SOS marker is at `start`; None where it is broken or its end not in `data`."""
    body = bytes(data[start + 4 : body_end])
    end = _MARKER.search(data, body_end)
    if end is None or not body or len(body) != 4 + 2 * body[0]:
        return None
    first, last, bits = body[-3:]
    ids = tuple(body[1:-3:2])
    return _Scan(tables, start, end.start(), ids, first, last, bits >> 4, bits & 15)


def _known(scans: Sequence[_Scan], header: JpegHeader) -> dict[int, list[int]] | None:
    """Down to which bit each coefficient of each component is told; -1: not at all.

    None where the scans do not follow from one another.
    """
    known = {component.id: [-1] * 64 for component in header.components}
    if len(known) < len(header.components):
        return None
    for scan in scans:
        span = slice(scan.first, scan.last + 1)
        if not scan.first <= scan.last < 64 or not known.keys() >= set(scan.components):
            return None
        for id in scan.components:
            expected = {-1} if scan.high == 0 else {scan.high}
            if set(known[id][span]) != expected:
                return None
            known[id][span] = [scan.low] * (scan.last + 1 - scan.first)
    return known


def _means(header: JpegHeader, shrink: int) -> set[int]:
    """The components of whose blocks libjpeg takes the mean only.

    At 1/8, unless they have half as many samples in both directions: then their blocks are shrunk
    to 2 x 2 instead of being enlarged afterwards (jdmaster.c).
    """
    if shrink < 8:
        return set()
    across, down = _samples(header)
    return {
        each.id
        for each in header.components
        if across % (each.across * 2) or down % (each.down * 2)
    }


def _samples(header: JpegHeader) -> tuple[int, int]:
    """The most samples that a component has in a minimum coded unit."""
    return (
        max(each.across for each in header.components),
        max(each.down for each in header.components),
    )


def _zeros(header: JpegHeader, ids: set[int]) -> list[bytes]:
    """For each component a scan that tells all its coefficients but the mean: they are 0."""
    most_across, most_down = _samples(header)
    scans = []
    for each in header.components:
        if each.id in ids:
            across = -(-header.size.width * each.across // (most_across * 8))
            down = -(-header.size.height * each.down // (most_down * 8))
            scans.append(_zero_scan(each.id, across * down))
    return scans


def _zero_scan(id: int, blocks: int) -> bytes:
    """A scan whose every block is part of a run without coefficients.

    Its Huffman table has one code, a single bit 0, which is a run of 2^14 blocks and as many more
    as the next 14 bits say (ITU-T T.81, G.1.2.2). Restart markers are switched off.
    """
    bits = ("0" + "1" * 14) * -(-blocks // _RUN_BLOCKS)
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    restarts = struct.pack(">BBHH", 0xFF, _DRI, 4, 0)
    table = struct.pack(">BBHB16BB", 0xFF, _DHT, 20, 0x10, 1, *[0] * 15, 0xE0)
    return restarts + table + struct.pack(">BBHBBBBBB", 0xFF, _SOS, 8, 1, id, 0, 1, 63, 0) + coded
