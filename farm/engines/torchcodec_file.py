"""Several readers of one file, each with a place of its own; one of them is called from C."""

import io
import os
from typing import Any, BinaryIO


class FileView(io.RawIOBase):
    """A view of a seekable file that nobody moves but its owner; closing it leaves the file open.

    For readers that take turns on one thread.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
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
        if whence == os.SEEK_CUR:
            offset, whence = self._offset + offset, os.SEEK_SET
        self._offset = self._file.seek(offset, whence)
        return self._offset

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer as far as the file goes."""
        self._file.seek(self._offset)
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)


class CallbackFile(FileView):
    """A view of a file for C code, through which no exception may pass.

    A failed read looks like the end of the file there; `check` raises what it was.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._error: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end, and none after a failure."""
        if self._error is not None:
            return b""
        try:
            return super().read(size) or b""
        except Exception as error:  # noqa: BLE001 - whatever it is, `check` raises it
            self._error = error
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new offset, or -1 where there is none such: demuxers try some before the start."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError):
            return -1
        except Exception as error:  # noqa: BLE001 - whatever it is, `check` raises it
            self._error = error
            return -1

    def check(self) -> None:
        """Raises the error of the first read that failed, once more at every call."""
        if self._error is not None:
            raise self._error
