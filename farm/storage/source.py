"""Opened sources: a descriptor where there is a file, else ranges, one request each."""

import os
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from farm.errors import SourceChangedError, SourceTooLargeError
from farm.range_file import RangeFile, ReadAt, read_beyond
from farm.settings import Limits
from farm.storage.failure import READ, attempt
from farm.storage.redaction import redact

# Of a still nearly all bytes are needed, and a request takes longer than this many.
STILL_HEAD_BYTES = 512 << 10
# Of a video little is needed: the head of its index, which often stands at the end instead.
HEAD_BYTES = 64 << 10
_STILLS = frozenset(
    {
        *("avif", "bmp", "gif", "heic", "heif", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff"),
        "webp",
    }
)


class OpenedSource(Protocol):
    """The bytes of one source, for one reader, until it is closed."""

    @property
    def fd(self) -> int | None:
        """A descriptor of the file, or None where only ranges can be had."""

    @property
    def size(self) -> int:
        """All bytes of the source."""

    @property
    def head(self) -> bytes:
        """The first bytes, as many as opening it brought; none for a file."""

    @property
    def requests(self) -> int:
        """Requests sent so far, those to open it included; 0 for a file of this machine."""

    @property
    def bytes_read(self) -> int:
        """Bytes received from the store so far; 0 for a file of this machine."""

    @property
    def held_seconds(self) -> float:
        """How long reads were held back by a gate, for no fault of the source or its reader."""

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end; raises a SourceError."""

    def close(self) -> None:
        """Frees the descriptor."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Closing:
    """What closes itself at the end of a `with`."""

    @property
    def held_seconds(self) -> float:
        """How long reads were held back; those of a source without a gate never are."""
        return 0.0

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


class FileSource(Closing):
    """A source that is a file of this machine, or was made one by `requests`.

    Owns its descriptor.
    """

    head = b""

    def __init__(self, fd: int, *, size: int, name: str, requests: int = 0) -> None:
        self.fd: int | None = fd
        self.size = size
        self.requests = requests
        self.bytes_read = size if requests else 0
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


class RangeSource(Closing):
    """A source read by ranges, each of them one request, but for what came with opening it.

    `requests` is how many that took, `head` the first bytes that it brought.
    """

    fd: int | None = None

    def __init__(
        self, fetch: ReadAt, *, size: int, name: str, head: bytes = b"", requests: int = 0
    ) -> None:
        self.size = size
        self.head = head
        self.requests = requests
        self.bytes_read = len(head)
        self._fetch = fetch
        self._name = name

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end; raises a SourceError."""
        length = min(length, self.size - offset)
        if offset < 0 or length <= 0:
            return b""
        return read_beyond(self.head, self._request, offset, length)

    def close(self) -> None:
        """Nothing is held open."""

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

    def __init__(self, source: OpenedSource, *, window_bytes: int) -> None:
        super().__init__(source.read_at, source.size, head=source.head, window_bytes=window_bytes)
        self._source = source

    def close(self) -> None:
        """Closes the source too."""
        if not self.closed:
            self._source.close()
        super().close()


def head_bytes_for(uri: str, size: int | None) -> int:
    """How many first bytes to ask for on opening, as far as a name and a size can tell."""
    suffix = uri.partition("?")[0].rpartition(".")[2].lower()
    if suffix not in _STILLS:
        return HEAD_BYTES
    # Rather a little more than a request for the rest.
    if size is not None and STILL_HEAD_BYTES < size <= 2 * STILL_HEAD_BYTES:
        return size
    return STILL_HEAD_BYTES


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
