"""A source that is read no faster than a gate allows."""

import urllib.parse
from collections.abc import Callable

from farm.range_file import read_beyond
from farm.storage.location import Location
from farm.storage.source import Closing, OpenedSource
from farm.throttle import Gate


def host_of(place: Location) -> str:
    """What requests are counted by: host and port, or the bucket; nothing for a local file."""
    return "" if place.is_local else urllib.parse.urlsplit(place.path).netloc.lower()


def open_paced(
    opened: Callable[[], OpenedSource], gate: Gate, *, host: str, head_bytes: int
) -> OpenedSource:
    """The source that `opened` gives, behind a gate, which counts what opening it takes, too.

    A file that came whole, because its server has no ranges, is held back only when it is there.
    """
    if host:
        gate.request(host)
    source = opened()
    try:
        for _ in range(source.requests - 1):
            gate.request(host)
        gate.read(source.bytes_read)
        if source.requests and source.fd is not None:
            return source
        return PacedSource(source, gate, host=host, head_bytes=head_bytes)
    except BaseException:
        source.close()
        raise


class PacedSource(Closing):
    """A source behind a gate; owns the source.

    It has no descriptor: by that a lane would read as fast as it can.
    """

    fd: int | None = None

    def __init__(self, source: OpenedSource, gate: Gate, *, host: str, head_bytes: int) -> None:
        self._source = source
        self._gate = gate
        self._host = host
        self.size = source.size
        self.head = source.head
        if not self.head:
            self.head = self.read_at(0, head_bytes)

    @property
    def requests(self) -> int:
        """Requests sent so far; 0 for a file of this machine."""
        return self._source.requests

    @property
    def bytes_read(self) -> int:
        """Bytes received from the store so far; 0 for a file of this machine."""
        return self._source.bytes_read

    @property
    def held_seconds(self) -> float:
        """How long its reader had to wait."""
        return self._gate.held_seconds

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end; raises a SourceError."""
        length = min(length, self.size - offset)
        if offset < 0 or length <= 0:
            return b""
        return read_beyond(self.head, self._read, offset, length)

    def close(self) -> None:
        """Closes the source."""
        self._source.close()

    def _read(self, offset: int, length: int) -> bytes:
        if self._host:
            self._gate.request(self._host)
        self._gate.read(length)
        return self._source.read_at(offset, length)
