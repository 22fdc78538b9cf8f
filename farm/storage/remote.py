"""The store behind any fsspec filesystem: memory, SFTP, Google, Azure and the like."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from farm.settings import Limits
from farm.storage.failure import READ, attempt
from farm.storage.filesystem import filesystem
from farm.storage.listing import Listed, Node, Scope, folder_scope, glob_scope, is_glob, walk
from farm.storage.location import Location, parse
from farm.storage.source import OpenedSource, RangeSource, check_size

# What filesystems call the time of the last change and the hash.
_TIMES = ("mtime", "LastModified", "last_modified", "modified", "updated", "created")
_ETAGS = ("ETag", "etag", "md5Hash")


class RemoteStore:
    """Files of an fsspec filesystem, by nothing but what all of them can do."""

    def get(self, place: Location) -> bytes:
        """The whole file."""
        fs, path = _open(place)
        return bytes(fs.cat_file(path))

    def put(
        self, place: Location, data: bytes, *, content_type: str | None, sha256: str | None
    ) -> None:
        """Writes the file; whether a reader can see half of it is the store's affair."""
        del content_type, sha256
        fs, path = _open(place)
        try:
            fs.pipe_file(path, data)
        except FileNotFoundError:
            fs.makedirs(fs._parent(path), exist_ok=True)
            fs.pipe_file(path, data)

    def put_new(self, place: Location, data: bytes, *, again: bool) -> bool:
        """Writes exclusively where the filesystem can; else looks first, as two may at once."""
        fs, path = _open(place)
        try:
            fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return again and self.get(place) == data
        except FileNotFoundError:
            fs.makedirs(fs._parent(path), exist_ok=True)
            return self.put_new(place, data, again=again)
        except (NotImplementedError, ValueError):
            if self.exists(place):
                return False
            self.put(place, data, content_type=None, sha256=None)
        return True

    def exists(self, place: Location) -> bool:
        """Whether there is a file of that name."""
        try:
            self.stat(place)
        except (FileNotFoundError, IsADirectoryError):
            return False
        return True

    def delete(self, place: Location) -> None:
        """Removes the file, if there is one."""
        fs, path = _open(place)
        with suppress(FileNotFoundError):
            fs.rm_file(path)

    def stat(self, place: Location) -> Listed:
        """Size, time and hash of the file, as far as the store tells."""
        fs, path = _open(place)
        info = fs.info(path)
        if info["type"] == "directory":
            raise IsADirectoryError(path)
        return _listed(place.uri, info)

    def list_files(self, place: Location, after: str | None) -> Iterator[Listed]:
        """The file itself, files below a folder, or those of a glob."""
        if is_glob(place.uri):
            yield from self.list_scope(glob_scope(place.uri), after)
            return
        if after is None and attempt(lambda: self.exists(place), place.uri, READ):
            yield attempt(lambda: self.stat(place), place.uri, READ)
        yield from self.list_scope(folder_scope(place.uri), after)

    def list_scope(self, scope: Scope, after: str | None) -> Iterator[Listed]:
        """What a scope covers, one folder at a time."""

        def scan(folder: str) -> list[Node[dict[str, Any]]]:
            place = parse(scope.root + folder)
            return attempt(lambda: _scan(place), place.uri, READ)

        for key, info in walk(scan, pattern=scope.pattern, after=scope.after(after)):
            yield _listed(scope.root + key, info)

    def open_source(
        self, place: Location, *, expected_size: int | None, limits: Limits, head_bytes: int
    ) -> OpenedSource:
        """The source, read by ranges."""
        found = self.stat(place)
        check_size(place.uri, found.size, expected_size=expected_size, limits=limits)

        fs, path = _open(place)

        def read(offset: int, length: int) -> bytes:
            return bytes(fs.cat_file(path, start=offset, end=offset + length))

        def fetch(offset: int, length: int) -> bytes:
            return attempt(lambda: read(offset, length), place.uri, READ)

        opened = RangeSource(fetch, size=found.size, name=place.uri, requests=1)
        opened.head = opened.read_at(0, head_bytes)
        return opened


def _open(place: Location) -> tuple[Any, str]:
    fs = filesystem(place)
    return fs, fs._strip_protocol(place.path)


def _scan(place: Location) -> list[Node[dict[str, Any]]]:
    fs, path = _open(place)
    try:
        found = fs.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    names = ((info["name"].rstrip("/").rpartition("/")[2], info) for info in found)
    # Some filesystems list a folder's own marker, or the file itself, among its contents.
    return [
        Node(name, info["type"] == "directory", info)
        for name, info in names
        if name and info["name"].strip("/") != path.strip("/")
    ]


def _listed(uri: str, info: dict[str, Any]) -> Listed:
    times = (info.get(key) for key in _TIMES)
    etags = (info.get(key) for key in _ETAGS)
    time = next(filter(None, times), None)
    etag = next(filter(None, etags), None)
    return Listed(
        uri, int(info.get("size") or 0), _seconds(time), str(etag).strip('"') if etag else None
    )


def _seconds(time: object) -> float | None:
    if isinstance(time, str):
        with suppress(ValueError):
            time = datetime.fromisoformat(time)
    if isinstance(time, datetime):
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return float(time) if isinstance(time, int | float) else None
