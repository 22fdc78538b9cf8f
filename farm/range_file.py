"""A binary file made of range reads: whoever can fetch bytes at an offset gets a seekable file."""

import io
import os
from collections.abc import Callable
from typing import Any


class RangeFile(io.RawIOBase):
    """A read-only file of `size` bytes, each read one call of `read_at(offset, length)`.

    `bytes_read` counts what was handed out.
    """

    def __init__(self, read_at: Callable[[int, int], bytes], size: int) -> None:
        self.bytes_read = 0
        self._read_at = read_at
        self._size = size
        self._offset = 0

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
        """Fills the buffer; 0 at the end."""
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._size - self._offset)
        if length <= 0:
            return 0
        data = self._read_at(self._offset, length)
        view[: len(data)] = data
        self._offset += len(data)
        self.bytes_read += len(data)
        return len(data)
