"""The web as a source: by ranges where the server gives them, else downloaded once."""

import importlib
import ipaddress
import os
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, BinaryIO, NoReturn, cast

from farm.errors import SourceTooLargeError
from farm.settings import Limits
from farm.storage.failure import READ, NotAllowedError, NotUsableError, attempt
from farm.storage.filesystem import filesystem
from farm.storage.listing import Listed
from farm.storage.location import Location
from farm.storage.redaction import redact
from farm.storage.source import FileSource, OpenedSource, RangeSource, check_etag, check_size

MOST_REDIRECTS = 5
CONNECT_SECONDS = 10
SILENCE_SECONDS = 30

_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<size>\d+)")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Answer:
    """`size` is None where the server gives no ranges or does not tell the size.

    Then `file` may be all of the source.
    """

    data: bytes
    size: int | None
    etag: str | None
    mtime: float | None
    file: BinaryIO | None = None


class HttpStore:
    """Web addresses, to read from only."""

    def get(self, place: Location) -> bytes:
        """The whole body."""
        with tempfile.TemporaryFile() as file:
            _sync(_download, place, file, Limits().source_bytes)
            file.seek(0)
            return file.read()

    def exists(self, place: Location) -> bool:
        """Whether the address answers."""
        try:
            self.stat(place)
        except FileNotFoundError:
            return False
        return True

    def stat(self, place: Location) -> Listed:
        """Size, time and hash as the headers tell; downloads where they do not tell the size."""
        answer = _sync(_range, place, 0, 1, None)
        size = answer.size if answer.size is not None else len(self.get(place))
        return Listed(place.uri, size, answer.mtime, answer.etag)

    def open_source(
        self, place: Location, *, expected_size: int | None, limits: Limits, head_bytes: int
    ) -> OpenedSource:
        """The source by ranges, or in a nameless temporary file where the server has no ranges."""
        answer = _sync(_range, place, 0, head_bytes, None, limits.source_bytes)
        if answer.size is None:
            return _downloaded(place, answer.file, expected_size=expected_size, limits=limits)
        check_size(place.uri, answer.size, expected_size=expected_size, limits=limits)

        def fetch(offset: int, length: int) -> bytes:
            ask = partial(_sync, _range, place, offset, length, answer.etag)
            found: _Answer = attempt(ask, place.uri, READ)
            return found.data

        return RangeSource(fetch, size=answer.size, name=place.uri, head=answer.data, requests=1)

    def list_files(self, place: Location, after: str | None) -> Iterator[Listed]:
        """Nothing: the web has no listings."""
        return attempt(lambda: _refuse("list"), place.uri, READ)

    def put(
        self, place: Location, data: bytes, *, content_type: str | None, sha256: str | None
    ) -> None:
        """Refused."""
        _refuse("write to")

    def put_new(self, place: Location, data: bytes, *, again: bool) -> bool:
        """Refused."""
        _refuse("write to")

    def delete(self, place: Location) -> None:
        """Refused."""
        _refuse("delete from")


def _refuse(verb: str) -> NoReturn:
    raise NotUsableError(f"cannot {verb} a web address; it can only be read")


def _downloaded(
    place: Location, whole: BinaryIO | None, *, expected_size: int | None, limits: Limits
) -> FileSource:
    """The source as a file: `whole`, else by one request more."""
    with whole or tempfile.TemporaryFile() as file:
        if whole is None:
            _sync(_download, place, file, limits.source_bytes)
        size = file.tell()
        check_size(place.uri, size, expected_size=expected_size, limits=limits)
        file.flush()
        fd = os.dup(file.fileno())
    return FileSource(fd, size=size, name=place.uri, requests=1 if whole else 2)


def _filesystem(place: Location) -> Any:
    return filesystem(place, get_client=_client)


def _sync(ask: Callable[..., Awaitable[Any]], place: Location, *arguments: object) -> Any:
    """What a coroutine function gives; it runs in fsspec's own thread."""
    asyn = importlib.import_module("fsspec.asyn")
    return asyn.sync(_filesystem(place).loop, ask, place, *arguments)


async def _client(**options: Any) -> Any:
    """A session that bounds silence but not length, and refuses link-local addresses."""
    options.pop("loop", None)
    aiohttp = importlib.import_module("aiohttp")
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
    )
    connector = aiohttp.TCPConnector(limit=64, socket_factory=_socket)
    return aiohttp.ClientSession(**({"timeout": timeout, "connector": connector} | options))


def _socket(address: Any) -> Any:
    """A socket for an address, unless it is link-local: there clouds hand out credentials."""
    family, kind, protocol, _, where = address
    if ipaddress.ip_address(where[0].partition("%")[0]).is_link_local:
        raise NotAllowedError("it leads to a link-local address, which is refused")
    socket = importlib.import_module("socket").socket(family, kind, protocol)
    socket.setblocking(False)
    return socket


def _request(fs: Any, session: Any, url: str, headers: dict[str, str]) -> Any:
    options = dict(fs.kwargs)
    # Bytes as stored: a range of a compressed body would be of no use.
    headers = {**options.pop("headers", {}), "Accept-Encoding": "identity", **headers}
    redirects = MOST_REDIRECTS + 1  # aiohttp counts the one that is not followed, too
    return session.get(fs.encode_url(url), headers=headers, max_redirects=redirects, **options)


async def _range(
    place: Location, offset: int, length: int, etag: str | None, most_bytes: int | None = None
) -> _Answer:
    """A range; with `most_bytes` also the whole body, where the server gives that instead."""
    fs = _filesystem(place)
    headers = {"Range": f"bytes={offset}-{offset + length - 1}"}
    if etag:
        headers["If-Match"] = f'"{etag}"'
    async with _request(fs, await fs.set_session(), place.path, headers) as response:
        span = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status == 416 and span and int(span["size"]) == 0:
            return _Answer(b"", 0, None, None)
        if response.status == 404:
            raise FileNotFoundError(place.path)
        response.raise_for_status()
        found = _etag(response.headers.get("ETag", ""))
        check_etag(place.uri, found, etag)
        mtime = _mtime(response.headers.get("Last-Modified"))
        is_part = response.status == 206 and "Content-Encoding" not in response.headers
        if not is_part or span is None or span["first"] != str(offset):
            if response.status == 200 and most_bytes is not None:
                return _Answer(b"", None, found, mtime, await _saved(place, response, most_bytes))
            response.close()  # the whole body would follow
            return _Answer(b"", None, found, mtime)
        return _Answer(await _read(response, length), int(span["size"]), found, mtime)


async def _read(response: Any, length: int) -> bytes:
    """The body, but no more of it than was asked for."""
    data = bytearray()
    while len(data) < length and (chunk := await response.content.read(length - len(data))):
        data += chunk
    return bytes(data)


async def _download(place: Location, file: BinaryIO, most_bytes: int) -> None:
    fs = _filesystem(place)
    async with _request(fs, await fs.set_session(), place.path, {}) as response:
        response.raise_for_status()
        await _save(place, response, file, most_bytes)


async def _saved(place: Location, response: Any, most_bytes: int) -> BinaryIO:
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - goes to the caller
    try:
        await _save(place, response, file, most_bytes)
    except BaseException:
        file.close()
        raise
    return file


async def _save(place: Location, response: Any, file: BinaryIO, most_bytes: int) -> None:
    while chunk := await response.content.read(_CHUNK_BYTES):
        file.write(chunk)
        if file.tell() > most_bytes:
            raise SourceTooLargeError(
                f"{redact(place.uri)!r} has more than the {most_bytes} bytes that are allowed"
            )


def _etag(header: str) -> str | None:
    """A strong ETag; a weak one says nothing of bytes."""
    return None if header.startswith("W/") else header.strip('"') or None


def _mtime(header: str | None) -> float | None:
    with suppress(ValueError, TypeError):
        return parsedate_to_datetime(header or "").timestamp()
    return None
