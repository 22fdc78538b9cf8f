"""Inflates the rows of a PNG with ISA-L and undoes their filters with FFmpeg, band by band."""

import struct
from collections.abc import Sequence
from typing import TypeAlias

import av
import torch
from isal import isal_zlib
from isal.igzip_lib import DECOMP_ZLIB, IgzipDecompressor
from torch import Tensor

from farm.engines.png_chunks import SIGNATURE, PngHeader
from farm.engines.still import OddError

Buffer: TypeAlias = bytes | memoryview

# A band and its copies stay in the cache of a core: a fifth faster than all rows at once.
_BAND_BYTES = 256 << 10
_MOST_STORED_BYTES = 65_535  # of one stored block (RFC 1951, 3.2.4)
_LAST_FILTER = 4
_FORMATS = {3: (2, "rgb24"), 4: (6, "rgba")}  # by channels: colour type, FFmpeg's name
_END = b"\0\0\0\0" + struct.pack(">I4sI", 0, b"IEND", 0)


def decode_rows(parts: Sequence[memoryview], header: PngHeader) -> Tensor:
    """The picture [H, W, C] of a plain PNG's zlib stream; raises OddError at any fault.

    Of the time that libpng takes, two fifths go into zlib and the rest into undoing the filters;
    ISA-L does the one in a third of the time, FFmpeg's decoder the other in half. So it is given
    the rows as PNGs of stored blocks, whose checksums it does not look at.
    """
    width, height = header.size
    row_bytes = 1 + width * header.channels
    band_rows = max(1, _BAND_BYTES // row_bytes)
    rows = torch.empty((height, width * header.channels), dtype=torch.uint8)
    inflater = _Inflater(parts)
    decoder = av.CodecContext.create("png", "r")
    decoder.thread_count = 1
    above = b""
    for top in range(0, height, band_rows):
        count = min(band_rows, height - top)
        lines = inflater.read(count * row_bytes)
        if max(lines[::row_bytes]) > _LAST_FILTER:
            raise OddError("has a row of an unknown filter")
        file = _band_file(above, lines, width=width, channels=header.channels)
        band = _decoded(decoder, file, header)[-count:]
        rows[top : top + count] = band
        # The filters of the next band's first row look back on this one.
        above = b"\0" + band[-1].numpy().tobytes()
    inflater.finish()
    return rows.view(height, width, header.channels)


class _Inflater:
    """A zlib stream, in parts, that is read in pieces."""

    def __init__(self, parts: Sequence[memoryview]) -> None:
        self._stream = IgzipDecompressor(DECOMP_ZLIB)
        self._parts = filter(len, parts)

    def read(self, count: int) -> bytes:
        """The next `count` bytes; raises OddError where there are fewer."""
        pieces: list[bytes] = []
        while count:
            pieces.append(self._next(count))
            count -= len(pieces[-1])
            if count and self._stream.eof:
                raise OddError("has too few rows")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> None:
        """Reads the checksum; raises OddError where it is wrong or more data come before it."""
        while not self._stream.eof:
            if self._next(1):
                raise OddError("has too many rows")

    def _next(self, most: int) -> bytes:
        """Up to `most` bytes; perhaps none, where one more part was taken in."""
        given: Buffer = b""
        if self._stream.needs_input and not (given := next(self._parts, b"")):
            raise OddError("has too few data")
        try:
            return self._stream.decompress(given, most)
        # isal's stubs take the class of the error for an error.
        except (isal_zlib.error, EOFError) as error:  # type: ignore[misc]
            raise OddError(f"cannot be inflated: {error}") from error


def _band_file(above: bytes, lines: bytes, *, width: int, channels: int) -> bytes:
    """A PNG of some filtered lines, and before them the row `above` where there is one."""
    pieces = [*_pieces(above), *_pieces(lines)]
    blocks: list[Buffer] = [b"\x78\x01"]
    for number, piece in enumerate(pieces, start=1):
        size, is_last = len(piece), number == len(pieces)
        blocks += (struct.pack("<BHH", is_last, size, size ^ 0xFFFF), piece)
    size = sum(map(len, blocks))
    rows = (len(above) + len(lines)) // (1 + width * channels)
    header = (13, b"IHDR", width, rows, 8, _FORMATS[channels][0], 0, 0, 0, 0)
    head = struct.pack(">I4sIIBBBBBI", *header)
    return b"".join((SIGNATURE, head, struct.pack(">I4s", size, b"IDAT"), *blocks, _END))


def _pieces(data: bytes) -> list[memoryview]:
    view = memoryview(data)
    return [
        view[start : start + _MOST_STORED_BYTES]
        for start in range(0, len(view), _MOST_STORED_BYTES)
    ]


def _decoded(decoder: av.VideoCodecContext, file: bytes, header: PngHeader) -> Tensor:
    """The rows of a PNG, [H, W * C]."""
    packet = av.Packet(file)
    packet.is_keyframe = True  # else FFmpeg adds it to the band before, as the next of a film
    try:
        (frame,) = decoder.decode(packet)
    except (av.FFmpegError, ValueError) as error:
        raise OddError(f"cannot be decoded: {error}") from error
    if frame.format.name != _FORMATS[header.channels][1]:
        raise OddError(f"is {frame.format.name} to FFmpeg")
    plane = frame.planes[0]
    lines = torch.frombuffer(plane, dtype=torch.uint8).view(-1, plane.line_size)
    return lines[: frame.height, : header.size.width * header.channels]
