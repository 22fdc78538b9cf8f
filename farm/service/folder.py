"""Puts results into local folders, and never outside those that the operator named."""

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from farm.errors import InvalidEntryError, StoreDeniedError
from farm.storage.failure import WRITE, translate
from farm.storage.listing import TEMPORARY_PREFIX, TEMPORARY_SUFFIX

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LEADING = frozenset({"", ".", ".."})  # names that lead elsewhere than into a folder


def put_below(roots: Sequence[Path], uri: str, data: bytes | Path) -> Path:
    """Stores bytes or a file at `file:///ROOT/...`, whole or not at all; makes folders on demand.

    Below the root every folder is entered from the one above it, and no link is followed: whoever
    can make links there cannot lead out of it. Raises InvalidEntryError, StoreDeniedError outside
    all roots, or another StoreError.
    """
    root, parts = _split(roots, uri)
    try:
        with _opened(root, parts[:-1]) as folder:
            _write(folder, parts[-1], data)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise StoreDeniedError(
                f"cannot write {uri!r}: a folder in it is a link or a file, which is refused"
            ) from None
        raise translate(error, uri, WRITE) from None
    return root.joinpath(*parts)


def _split(roots: Sequence[Path], uri: str) -> tuple[Path, list[str]]:
    """The root that a URI is below, and the names from there on."""
    parts = urlsplit(uri)
    path = unquote(parts.path, errors="surrogateescape")
    is_file = parts.scheme == "file" and parts.netloc in ("", "localhost")
    if not is_file or path.endswith("/") or "\0" in path:
        raise InvalidEntryError(f"expected file:///FOLDER/NAME, received {uri!r:.200}")
    for root in roots:
        prefix = f"{os.path.abspath(root).rstrip('/')}/"
        names = path.removeprefix(prefix).split("/")
        if path.startswith(prefix) and not _LEADING.intersection(names):
            return Path(prefix), names
    raise StoreDeniedError(
        f"cannot write {uri!r:.200}: expected a path below one of the folders "
        f"{[str(root) for root in roots]}"
    )


@contextmanager
def _opened(root: Path, names: Sequence[str]) -> Iterator[int]:
    """A descriptor of the folder that the names lead to, step by step."""
    # The root itself is the operator's, who may make it a link.
    folder = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    try:
        for name in names:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
            below = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def _write(folder: int, name: str, data: bytes | Path) -> None:
    """Writes beside the name, then renames, which replaces a link and does not follow it."""
    temporary = f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
    try:
        with open(os.open(temporary, _FILE, 0o666, dir_fd=folder), "wb") as file:
            _fill(file, data)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _fill(file: BinaryIO, data: bytes | Path) -> None:
    if isinstance(data, bytes):
        file.write(data)
    else:
        with data.open("rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)
