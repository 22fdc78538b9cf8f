"""Cuts a stream, compressed or not, into numbered lines, holding one line and one chunk at most."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from farm.errors import InvalidManifestError

MOST_LINE_BYTES = 1 << 20

_CHUNK_BYTES = 256 << 10
# Zstandard blows 4 bytes up to 128 KiB at most, so that this much gives 32 MiB at most.
_ZSTD_CHUNK_BYTES = 1 << 10

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class LineError(Exception):
    """One line cannot be used; the text says why."""


class Lines:
    """An iterator of text lines without their ends.

    `number` counts from 1 and is that of the line given last. A line that is too long or not UTF-8
    raises LineError, and the iterator goes on behind it.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.number = 0
        self._lines = _cut(chunks)

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if line is None:
            raise LineError(f"expected a line of at most {MOST_LINE_BYTES} bytes")
        if self.number == 1:
            line = line.removeprefix(_UTF8_BOM)
        try:
            return line.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise LineError(f"expected UTF-8, received a broken byte at {error.start}") from None


def unpacked(file: BinaryIO, name: str) -> Iterator[bytes]:
    """The chunks of a file, decompressed where its first bytes say so.

    Raises InvalidManifestError where the compressed data is damaged or cut off, and for UTF-16.
    """
    head = file.read(4)
    file.seek(0)
    if head.startswith(_UTF16_BOMS):
        raise InvalidManifestError(f"{name!r} is UTF-16; save it as UTF-8")
    try:
        if head.startswith(_GZIP):
            yield from _read(gzip.GzipFile(fileobj=file).read1)
        elif head.startswith(_ZSTD):
            yield from _unzstd(file)
        else:
            yield from _read(file.read)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidManifestError(f"{name!r} is damaged or cut off: {error}") from None


def _read(read: Callable[[int], bytes]) -> Iterator[bytes]:
    return iter(lambda: read(_CHUNK_BYTES), b"")


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    """Decompresses frame by frame; a stream reader would take a cut-off frame for the end."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    parts: list[bytes] = []
    used = False
    try:
        for chunk in iter(lambda: file.read(_ZSTD_CHUNK_BYTES), b""):
            rest = chunk
            while rest:
                if frame.eof:
                    frame = decompressor.decompressobj()
                parts.append(frame.decompress(rest))
                rest = frame.unused_data
            if sum(map(len, parts)) >= _CHUNK_BYTES:
                yield b"".join(parts)
                parts = []
            used = True
    except zstandard.ZstdError as error:
        raise EOFError(str(error)) from None
    yield b"".join(parts)
    if used and not frame.eof:
        raise EOFError("the last frame has no end")


def _cut(chunks: Iterator[bytes]) -> Iterator[bytes | None]:
    """Lines without their line feeds, None for each that is too long."""
    tail, dropping = b"", False
    for chunk in chunks:
        *lines, tail = (tail + chunk).split(b"\n")
        for line in lines:
            yield None if dropping or len(line) > MOST_LINE_BYTES else line
            dropping = False
        if len(tail) > MOST_LINE_BYTES:
            tail, dropping = b"", True
    if dropping:
        yield None
    elif tail:
        yield tail
