"""Storage: one set of functions over local files, S3, the web and every fsspec filesystem.

A URI is a plain path, `file://`, `s3://`, `http(s)://` (to read only) or of any other scheme that
fsspec knows; `scheme://profile@bucket/key` names credentials of this machine, see
`farm.storage.profile`. What only reads raises a SourceError, what serves writing a
StoreError. All of it may be called from many threads at once.
"""

import io
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from typing import BinaryIO, Protocol, TypeVar, cast

from farm.settings import Limits
from farm.storage.failure import READ, WRITE, Side, attempt
from farm.storage.listing import Listed
from farm.storage.location import Location, join, parse
from farm.storage.paced import host_of, open_paced
from farm.storage.redaction import redact
from farm.storage.source import OpenedSource, SourceStream, head_bytes_for
from farm.throttle import Gate

__all__ = [
    "Listed",
    "OpenedSource",
    "delete",
    "exists",
    "get",
    "join",
    "list_files",
    "open_source",
    "open_stream",
    "put",
    "put_new",
    "redact",
    "stat",
]

T = TypeVar("T")

_STREAM_WINDOW_BYTES = 1 << 20

# Each is loaded on first use: fsspec and s3fs cost a second that local runs need not pay.
_STORES = {
    "file": "farm.storage.local:LocalStore",
    "s3": "farm.storage.s3:S3Store",
    "s3a": "farm.storage.s3:S3Store",
    "http": "farm.storage.http:HttpStore",
    "https": "farm.storage.http:HttpStore",
}
_OTHER_STORE = "farm.storage.remote:RemoteStore"


class Store(Protocol):
    """One way to store; raises whatever its library raises, which `attempt` translates."""

    def get(self, place: Location) -> bytes: ...

    def put(
        self, place: Location, data: bytes, *, content_type: str | None, sha256: str | None
    ) -> None: ...

    def put_new(self, place: Location, data: bytes, *, again: bool) -> bool: ...

    def exists(self, place: Location) -> bool: ...

    def delete(self, place: Location) -> None: ...

    def stat(self, place: Location) -> Listed: ...

    def list_files(self, place: Location, after: str | None) -> Iterator[Listed]: ...

    def open_source(
        self, place: Location, *, expected_size: int | None, limits: Limits, head_bytes: int
    ) -> OpenedSource: ...


def get(uri: str) -> bytes:
    """The whole content of a file that is known to be small, such as a ledger part."""
    return _do(uri, READ, lambda store, place: store.get(place))


def put(
    uri: str, data: bytes, *, content_type: str | None = None, sha256: str | None = None
) -> None:
    """Stores a file whole, over whatever was there; makes folders on demand.

    `content_type` and `sha256` (in hexadecimal) are kept where the store keeps such things.
    """
    _do(
        uri,
        WRITE,
        lambda store, place: store.put(place, data, content_type=content_type, sha256=sha256),
    )


def put_new(uri: str, data: bytes) -> bool:
    """Stores a file only where there is none, durably: True if this call made it."""
    tries = iter(range(1_000))
    return _do(uri, WRITE, lambda store, place: store.put_new(place, data, again=next(tries) > 0))


def exists(uri: str) -> bool:
    """Whether there is a file; a folder is none."""
    return _do(uri, WRITE, lambda store, place: store.exists(place))


def delete(uri: str) -> None:
    """Removes a file; none there is fine."""
    _do(uri, WRITE, lambda store, place: store.delete(place))


def stat(uri: str) -> Listed:
    """What identifies a file's present content: size, time and the store's hash."""
    return _do(uri, READ, lambda store, place: store.stat(place))


def list_files(uri: str, *, after: str | None = None) -> Iterator[Listed]:
    """Yields the file, or all files below the folder or bucket, or those that fit the glob.

    In order of their keys' bytes, page by page or folder by folder, from behind the URI `after` on,
    which is one that this listing gave. Globs know `*`, `?`, `[..]` and `**`, which spans folders;
    `[[]` is a bracket. Nothing there gives nothing.
    """
    store, place = _do(uri, READ, lambda store, place: (store, place))
    yield from store.list_files(place, after)


def open_source(
    uri: str,
    *,
    expected_size: int | None = None,
    limits: Limits | None = None,
    gate: Gate | None = None,
) -> OpenedSource:
    """Opens a file to read parts of it; use it in a `with`.

    The request that opens a remote file brings its first bytes, all of a small one. With a `gate`
    it is opened and read as fast as that allows, and never by a descriptor.
    Raises SourceTooLargeError over `limits.source_bytes`, and SourceChangedError where the size is
    not the expected one, or where a remote file is replaced while it is read.
    """
    head_bytes = head_bytes_for(uri, expected_size)
    opened = partial(_open, uri, expected_size, limits or Limits(), head_bytes)
    if gate is None:
        return opened()
    host = _do(uri, READ, lambda _, place: host_of(place))
    return open_paced(opened, gate, host=host, head_bytes=head_bytes)


def open_stream(uri: str) -> BinaryIO:
    """Opens a file to read from start to end, or by seeking; of any size."""
    source = _open(uri, None, Limits(source_bytes=1 << 62), _STREAM_WINDOW_BYTES)
    stream = SourceStream(source, window_bytes=_STREAM_WINDOW_BYTES)
    return cast(BinaryIO, io.BufferedReader(stream, _STREAM_WINDOW_BYTES))


def _open(uri: str, expected_size: int | None, limits: Limits, head_bytes: int) -> OpenedSource:
    return _do(
        uri,
        READ,
        lambda store, place: store.open_source(
            place, expected_size=expected_size, limits=limits, head_bytes=head_bytes
        ),
    )


def _do(uri: str, side: Side, act: Callable[[Store, Location], T]) -> T:
    def call() -> T:
        place = parse(uri)
        return act(_store(place.scheme), place)

    return attempt(call, uri, side)


@cache
def _store(scheme: str) -> Store:
    module, _, name = _STORES.get(scheme, _OTHER_STORE).partition(":")
    return cast(Store, getattr(import_module(module), name)())
