"""The local store: files by the operating system, written whole or not at all."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from farm.errors import FarmError
from farm.settings import Limits
from farm.storage.failure import READ, NotUsableError, attempt
from farm.storage.listing import (
    TEMPORARY_PREFIX,
    TEMPORARY_SUFFIX,
    Listed,
    Node,
    Scope,
    folder_scope,
    glob_scope,
    is_glob,
    is_temporary,
    walk,
)
from farm.storage.location import Location, parse
from farm.storage.source import FileSource, check_size

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe without a writer must not block


class LocalStore:
    """Files of this machine."""

    def get(self, place: Location) -> bytes:
        """The whole file."""
        fd, _ = _open(place)
        with open(fd, "rb") as file:
            return file.read()

    def put(
        self, place: Location, data: bytes, *, content_type: str | None, sha256: str | None
    ) -> None:
        """Writes beside the name, then renames; a reader sees the old file or the new one, whole.

        There is no place for the type and the hash. Nothing is flushed to the disk: a run that lost
        its machine makes uncommitted outputs again.
        """
        del content_type, sha256
        temporary = _write_beside(place.path, data, durable=False)
        try:
            os.replace(temporary, place.path)
        except (OSError, ValueError):
            _remove(temporary)
            raise

    def put_new(self, place: Location, data: bytes, *, again: bool) -> bool:
        """Writes and flushes beside the name, then links it, which fails for a taken name."""
        del again
        temporary = _write_beside(place.path, data, durable=True)
        try:
            os.link(temporary, place.path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            if os.path.lexists(place.path):
                return False
            os.replace(temporary, place.path)
        finally:
            _remove(temporary)
        _flush_folder(os.path.dirname(place.path) or ".")
        return True

    def exists(self, place: Location) -> bool:
        """Whether there is a file of that name."""
        try:
            return stat.S_ISREG(os.stat(place.path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def delete(self, place: Location) -> None:
        """Removes the file, if there is one."""
        with suppress(FileNotFoundError):
            os.unlink(place.path)

    def stat(self, place: Location) -> Listed:
        """Size and time of the file."""
        return _listed(place.uri, os.stat(place.path))

    def list_files(self, place: Location, after: str | None) -> Iterator[Listed]:
        """Files of a folder and all below it, or of a glob; links to folders are not followed."""
        literal = attempt(lambda: _kind(place.path), place.uri, READ)
        if literal == stat.S_IFREG:
            if after is None:
                yield attempt(lambda: self.stat(place), place.uri, READ)
        elif literal == stat.S_IFDIR:
            yield from _walk(folder_scope(place.uri), after)
        elif is_glob(place.uri):
            yield from _walk(glob_scope(place.uri), after)

    def open_source(
        self, place: Location, *, expected_size: int | None, limits: Limits, head_bytes: int
    ) -> FileSource:
        """The opened file."""
        del head_bytes
        fd, size = _open(place)
        try:
            check_size(place.uri, size, expected_size=expected_size, limits=limits)
        except FarmError:
            os.close(fd)
            raise
        return FileSource(fd, size=size, name=place.uri)


def temporary_files(folder: str) -> Iterator[Listed]:
    """Yields what is being written below a folder, or was by a process that died."""
    for path, _, names in os.walk(folder):
        for name in filter(is_temporary, names):
            uri = os.path.join(path, name)
            with suppress(OSError, NotUsableError):  # finished by now
                yield _listed(uri, os.lstat(uri))


def _open(place: Location) -> tuple[int, int]:
    """A descriptor and a size; only of a regular file, since a device may have no end."""
    fd = os.open(place.path, _OPEN)
    try:
        return fd, _listed(place.uri, os.fstat(fd)).size
    except (OSError, NotUsableError):
        os.close(fd)
        raise


def _kind(path: str) -> int | None:
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _walk(scope: Scope, after: str | None) -> Iterator[Listed]:
    def scan(folder: str) -> list[Node[os.DirEntry[str]]]:
        place = parse(scope.root + folder)
        return attempt(lambda: _scan(place.path or "."), place.uri, READ)

    for key, entry in walk(scan, pattern=scope.pattern, after=scope.after(after)):
        if found := _found(scope.root + key, entry):
            yield found


def _scan(folder: str) -> list[Node[os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as entries:
            return [
                Node(entry.name, entry.is_dir(follow_symlinks=False), entry)
                for entry in entries
                if not is_temporary(entry.name)
            ]
    except (FileNotFoundError, NotADirectoryError):  # gone since its parent was read
        return []


def _found(uri: str, entry: os.DirEntry[str]) -> Listed | None:
    with suppress(OSError, NotUsableError):  # gone by now, a dead link, a link to a folder, a pipe
        return _listed(uri, entry.stat())
    return None


def _listed(uri: str, found: os.stat_result) -> Listed:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise NotUsableError("it is a pipe, a socket or a device, not a file")
    return Listed(uri, found.st_size, found.st_mtime)


def _write_beside(path: str, data: bytes, *, durable: bool) -> str:
    """A new file with the data beside `path`, in a folder made on demand."""
    folder = os.path.dirname(path)
    name = f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
    temporary = os.path.join(folder, name)
    try:
        try:
            _write(temporary, data, durable=durable)
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            _write(temporary, data, durable=durable)
    except OSError:
        _remove(temporary)
        raise
    return temporary


def _remove(temporary: str) -> None:
    with suppress(OSError):  # renamed, or the same fault that stopped the write
        os.unlink(temporary)


def _write(path: str, data: bytes, *, durable: bool) -> None:
    # Not `open`: each picture is a file, and what that does besides, such as seeking, adds up.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def _flush_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
