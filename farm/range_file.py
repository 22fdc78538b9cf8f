"""A binary file made of range reads: whoever can fetch bytes at an offset gets a seekable file."""

import io
import os
from collections.abc import Callable
from typing import Any

ReadAt = Callable[[int, int], bytes]
"""Gives `length` bytes from `offset`, fewer only at the end."""

# Measured on files of all containers: as much as a jump of libavformat needs, mostly.
WINDOW_BYTES = 128 << 10
GROWTH = 4
MOST_WINDOWS = 8
KEPT_BYTES = 16 << 20


class RangeFile(io.RawIOBase):
    """A read-only file of `size` bytes for a reader that hops about, by few calls of `read_at`.

    Each call brings a window, and one that follows another is `GROWTH` times as long as that, up to
    `MOST_WINDOWS`. The windows used last are kept. `head` are the file's first bytes, where they
    are known already.
    """

    def __init__(
        self, read_at: ReadAt, size: int, *, head: bytes = b"", window_bytes: int = WINDOW_BYTES
    ) -> None:
        self._fetch = read_at
        self._size = size
        self._offset = 0
        self._window_bytes = window_bytes
        self._windows = {0: head} if head else {}  # by where they start, the one used last at last

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The offset of the next byte."""
        return self._offset

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to an offset from the start, the present place or the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"expected an offset of 0 or more, received {base + offset}")
        self._offset = base + offset
        return self._offset

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer as far as one window goes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._size - self._offset)
        if length <= 0:
            return 0
        found = self._kept() or self._read(length)
        found = found[:length]
        view[: len(found)] = found
        self._offset += len(found)
        return len(found)

    def _kept(self) -> memoryview | None:
        """What a kept window has from the present place on."""
        for start, data in self._windows.items():
            if start <= self._offset < start + len(data):
                self._windows[start] = self._windows.pop(start)
                return memoryview(data)[self._offset - start :]
        return None

    def _read(self, length: int) -> memoryview:
        """A new window, of that length at least where no kept one begins before its end."""
        ends = {start + len(data): len(data) for start, data in self._windows.items()}
        ahead = max(self._window_bytes, GROWTH * ends.get(self._offset, 0))
        length = max(length, min(ahead, MOST_WINDOWS * self._window_bytes))
        begun = min((start for start in self._windows if start > self._offset), default=self._size)
        end = min(self._offset + length, begun, self._size)
        data = self._fetch(self._offset, end - self._offset)
        self._windows[self._offset] = data
        while sum(map(len, self._windows.values())) > KEPT_BYTES:
            del self._windows[next(iter(self._windows))]
        return memoryview(data)


def read_beyond(head: bytes, read_at: ReadAt, offset: int, length: int) -> bytes:
    """What `read_at` gives, of which it is not asked what `head`, the first bytes, has."""
    known = head[offset : offset + length]
    rest = length - len(known)
    return known + read_at(offset + len(known), rest) if rest else known
