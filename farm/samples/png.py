"""Writes PNG files that Pillow does not: 16 bits per channel, and headers that promise too much."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

RGB = 2
"""The colour type of red, green and blue (ISO/IEC 15948, table 11.1)."""


def encode_rgb16(picture: NDArray[np.uint16]) -> bytes:
    """A PNG of `picture`, [height, width, 3], with 16 bits per channel."""
    height, width, _ = picture.shape
    rows = picture.astype(">u2").reshape(height, -1).view(np.uint8)
    # Each row names its filter first: 1, the difference to the pixel on the left, 6 bytes before.
    filtered = rows.copy()
    filtered[:, 6:] -= rows[:, :-6]
    lines = np.pad(filtered, ((0, 0), (1, 0)), constant_values=1)
    return encode_png(width, height, bits=16, color_type=RGB, lines=lines.tobytes())


def encode_png(width: int, height: int, *, bits: int, color_type: int, lines: bytes) -> bytes:
    """A PNG with that header and those filtered lines, whether or not they agree."""
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)
