"""Reads boxes of a file's first level with few reads, one of which may bring many of them."""

from collections.abc import Iterator
from typing import NamedTuple

from farm.engines.mp4.box import (
    HEADER_BYTES,
    MOST_BOXES,
    Header,
    NotIndexedError,
    ReadAt,
    read_header,
)

MOST_HEADER_BYTES = 64 << 20
"""The longest box that is read whole; the movie header of a day of video takes half of it."""

# A fragment's header and the header of the box behind it mostly come in one read.
_HOP_BYTES = 16 << 10
# What follows the media data is mostly the movie header, so one read may bring it whole: that of
# half an hour, mostly.
_TAIL_BYTES = 1 << 20


class _Block(NamedTuple):
    """Bytes that were read, and where they stand in the file."""

    start: int
    data: bytes

    def get(self, at: int, length: int) -> bytes:
        """As many of the bytes from `at` on as this block holds."""
        begin = at - self.start
        return self.data[begin : begin + length] if begin >= 0 else b""


class BoxFile:
    """A file seen as boxes; `head` are its first bytes, as far as they were read already."""

    def __init__(self, read_at: ReadAt, size_bytes: int, *, head: bytes = b"") -> None:
        self.size_bytes = size_bytes
        self._read_at = read_at
        self._head = _Block(0, head)
        self._block = self._tail = self._head

    def boxes(self, at: int = 0, *, looks_for_tail: bool = False) -> Iterator[tuple[int, Header]]:
        """Offset and header of the boxes from `at` on, with their true sizes.

        `looks_for_tail` reads more where the movie header may stand at the end. Raises
        NotIndexedError for more boxes than a person would look at.
        """
        for _ in range(MOST_BOXES):
            header = self.header(at, looks_for_tail=looks_for_tail)
            if header is None:
                return
            yield at, header
            at += header.size
        raise NotIndexedError(f"more than {MOST_BOXES} boxes before the wanted one")

    def header(self, at: int, *, looks_for_tail: bool = False) -> Header | None:
        """The box header at that offset; None at the end of the file and where there is none."""
        left = self.size_bytes - at
        if left < 8:
            return None
        wanted = min(HEADER_BYTES, left)
        data = self._known(at, wanted)
        if len(data) < wanted:
            is_tail = looks_for_tail and at > 0 and left <= MOST_HEADER_BYTES
            length = min(left, _TAIL_BYTES if is_tail else _HOP_BYTES)
            self._block = _Block(at, self._read_at(at, length))
            data = self._known(at, wanted)
        found = read_header(data)
        return found and found._replace(size=found.size or left)

    def content(self, at: int, header: Header) -> memoryview:
        """What a box holds; raises NotIndexedError where the file ends before, or it is too big."""
        return memoryview(self.read(at + header.head, header.size - header.head))

    def read(self, at: int, length: int) -> bytes:
        """That many bytes, of which those at hand are not read again."""
        if length > MOST_HEADER_BYTES or at + length > self.size_bytes:
            raise NotIndexedError(f"a box of {length} bytes, which is too long")
        known = self._known(at, length)
        rest = length - len(known)
        found = known + self._read_at(at + len(known), rest) if rest else known
        if len(found) < length:
            raise NotIndexedError("the file is shorter than it was said to be")
        return found

    def tail(self, length: int) -> bytes:
        """The last bytes of the file."""
        length = min(length, self.size_bytes)
        at = self.size_bytes - length
        self._tail = _Block(at, self.read(at, length))
        return self._tail.data

    def _known(self, at: int, length: int) -> bytes:
        blocks = (self._head, self._block, self._tail)
        return max((block.get(at, length) for block in blocks), key=len)
