"""The beginning of a source's bytes in one buffer, read once and only as far as needed."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from farm.engines import Source

_T = TypeVar("_T")

_MOST_READ_BYTES = 16 << 20  # of one read, which a worker may have to fetch and pass on


class Prefix:
    """Bytes of a source that are in memory; starts with none.

    What was handed out stays valid, and grows no more.
    """

    def __init__(self, source: Source) -> None:
        self._file = source.file
        # Unlike a bytearray it is not filled with zeros first.
        self._buffer = np.empty(source.size_bytes, np.uint8).data
        self._filled = 0
        self._end = source.size_bytes
        self._file.seek(0)

    @property
    def is_all(self) -> bool:
        """Whether no further byte can be had."""
        return self._filled == self._end

    def first(self, count: int) -> memoryview:
        """The first `count` bytes or more, fewer only at the end; raises what the file does."""
        view = self._buffer
        while self._filled < min(count, self._end):
            until = min(count, self._filled + _MOST_READ_BYTES)
            # Buffered and raw files have readinto, though BinaryIO does not say so.
            read: int = self._file.readinto(view[self._filled : until])  # type: ignore[attr-defined]
            if not read:
                self._end = self._filled  # shorter than the source was said to be
            self._filled += read
        return view[: self._filled]

    def parsed(
        self, parse: Callable[[memoryview], _T | None], *, first: int, most: int
    ) -> _T | None:
        """What `parse` makes of the first bytes, given more of them as long as it says None.

        It gets `first` bytes or more; None where `most`, or all there are, don't do either.
        """
        while (found := parse(self.first(first))) is None:
            if self.is_all or first > most:
                return None
            first *= 4
        return found

    def all(self) -> memoryview:
        """All bytes; raises what the file does."""
        return self.first(self._end)
