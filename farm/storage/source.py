"""Opened sources: a descriptor where there is a file, else ranges through a block cache."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from farm.errors import SourceChangedError, SourceTooLargeError
from farm.range_file import RangeFile
from farm.settings import Limits
from farm.storage.failure import READ, attempt
from farm.storage.redaction import redact

BLOCK_BYTES = 256 << 10
CACHE_BLOCKS = 64
MOST_AHEAD_BLOCKS = 8

Fetch = Callable[[int, int], bytes]


class OpenedSource(Protocol):
    """The bytes of one source, for one reader, until it is closed."""

    @property
    def fd(self) -> int | None:
        """A descriptor of the file, or None where only ranges can be had."""

    @property
    def size(self) -> int:
        """All bytes of the source."""

    @property
    def requests(self) -> int:
        """Range requests sent so far; 0 for a file."""

    @property
    def bytes_read(self) -> int:
        """Bytes received from the store so far; 0 for a file."""

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end; raises a SourceError."""

    def close(self) -> None:
        """Frees the descriptor or the cache."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class _Closing:
    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class FileSource(_Closing):
    """A source that is a file of this machine; owns its descriptor."""

    requests = 0
    bytes_read = 0

    def __init__(self, fd: int, *, size: int, name: str) -> None:
        self.fd: int | None = fd
        self.size = size
        self._name = name

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end; raises a SourceError."""
        if self.fd is None:
            raise ValueError("the source is closed")
        return attempt(partial(os.pread, self.fd, length, offset), self._name, READ)

    def close(self) -> None:
        """Closes the descriptor; may be called again."""
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)


class RangeSource(_Closing):
    """A source read by ranges: whole blocks, neighbours in one request, further ahead the longer a
    reader goes straight on; the last `CACHE_BLOCKS` blocks are kept.
    """

    fd: int | None = None

    def __init__(
        self,
        fetch: Fetch,
        *,
        size: int,
        name: str,
        block_bytes: int = BLOCK_BYTES,
        head: bytes = b"",
    ) -> None:
        self.size = size
        self.requests = 0
        self.bytes_read = 0
        self._fetch = fetch
        self._name = name
        self._block_bytes = block_bytes
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next = -1
        self._ahead = 0
        self._lock = threading.Lock()
        if head and len(head) == min(size, block_bytes):
            self._blocks[0] = head

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end; raises a SourceError."""
        end = min(offset + length, self.size)
        if offset < 0 or offset >= end:
            return b""
        first, last = offset // self._block_bytes, (end - 1) // self._block_bytes
        with self._lock:
            if last - first >= CACHE_BLOCKS:  # would push itself out of the cache
                return self._request(offset, end - offset)
            self._load(first, self._read_ahead(first, last))
            data = b"".join(self._blocks[number] for number in range(first, last + 1))
        skipped = offset - first * self._block_bytes
        return data[skipped : skipped + end - offset]

    def close(self) -> None:
        """Frees the cache."""
        self._blocks.clear()

    def _read_ahead(self, first: int, last: int) -> int:
        """The last block to load. Reading straight on doubles the step; a jump ends it."""
        if first == self._next and first not in self._blocks:
            self._ahead = min(MOST_AHEAD_BLOCKS, max(1, self._ahead * 2))
        elif not self._next - 1 <= first <= self._next:
            self._ahead = 0
        self._next = last + 1
        if last in self._blocks:
            return last
        final = (self.size - 1) // self._block_bytes
        return min(last + self._ahead, final, first + CACHE_BLOCKS - 1)

    def _load(self, first: int, last: int) -> None:
        missing = []
        for number in range(first, last + 1):
            if number in self._blocks:
                self._blocks.move_to_end(number)
            else:
                missing.append(number)
        start = 0
        for index, number in enumerate(missing, 1):
            if index == len(missing) or missing[index] != number + 1:
                self._load_run(missing[start], number)
                start = index
        while len(self._blocks) > CACHE_BLOCKS:
            self._blocks.popitem(last=False)

    def _load_run(self, first: int, last: int) -> None:
        offset = first * self._block_bytes
        data = self._request(offset, min((last + 1) * self._block_bytes, self.size) - offset)
        for number in range(first, last + 1):
            start = (number - first) * self._block_bytes
            self._blocks[number] = data[start : start + self._block_bytes]

    def _request(self, offset: int, length: int) -> bytes:
        data = self._fetch(offset, length)
        self.requests += 1
        self.bytes_read += len(data)
        if len(data) != length:
            raise SourceChangedError(
                f"{redact(self._name)!r} gave {len(data)} of the {length} bytes at {offset}, "
                f"although it has {self.size}"
            )
        return data


class SourceStream(RangeFile):
    """A source as a seekable binary file; owns the source."""

    def __init__(self, source: OpenedSource) -> None:
        super().__init__(source.read_at, source.size)
        self._source = source

    def close(self) -> None:
        """Closes the source too."""
        if not self.closed:
            self._source.close()
        super().close()


def check_etag(uri: str, etag: str | None, expected: str | None) -> None:
    """Raises SourceChangedError where both hashes are known and differ: not all servers compare."""
    if expected and etag and etag != expected:
        raise SourceChangedError(f"{redact(uri)!r} was replaced while it was read")


def check_size(uri: str, size: int, *, expected_size: int | None, limits: Limits) -> None:
    """Raises SourceTooLargeError over the limit, SourceChangedError if listed otherwise."""
    if size > limits.source_bytes:
        raise SourceTooLargeError(
            f"{redact(uri)!r} has {size} bytes; at most {limits.source_bytes} are allowed"
        )
    if expected_size is not None and size != expected_size:
        raise SourceChangedError(
            f"{redact(uri)!r} has {size} bytes; it was listed with {expected_size}"
        )
