"""Walks what a store holds in order of its keys, by pattern, and from any point on."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from typing import Generic, TypeVar

D = TypeVar("D")

TEMPORARY_PREFIX = ".thumbfarm-"
TEMPORARY_SUFFIX = ".tmp"

_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Listed:
    """One stored file: bytes, seconds since 1970 and the store's hash, the last two where known.

    `sha256` is what `put` was told of the content; listings do not tell it.
    """

    uri: str
    size: int
    mtime: float | None = None
    etag: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Node(Generic[D]):
    """One name in a folder, with what its store knows of it."""

    name: str
    is_folder: bool
    detail: D


class Pattern:
    """A glob over keys: `*`, `?` and `[..]` stay within a name, `**` spans any folders."""

    def __init__(self, text: str) -> None:
        self._segments = [
            None if part == "**" else re.compile(translate(part)) for part in text.split("/")
        ]

    def matches(self, key: str) -> bool:
        """Whether a file's key fits."""
        return _fits(key.split("/"), self._segments)

    def may_hold(self, folder: str) -> bool:
        """Whether a fitting key can lie below a folder."""
        parts = folder.rstrip("/").split("/")
        for part, segment in zip(parts, self._segments, strict=False):
            if segment is None:
                return True
            if not segment.match(part):
                return False
        return len(parts) < len(self._segments)


EVERYTHING = Pattern("**")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a listing covers: the keys below `root` that fit `pattern`.

    `root` ends in a slash or is empty; `literal` starts every fitting key.
    """

    root: str
    pattern: Pattern
    literal: str = ""

    def after(self, uri: str | None) -> str:
        """The key to go on after; raises ValueError for a URI that is not of this listing."""
        if uri is None or uri == self.root[:-1]:
            return ""
        if not uri.startswith(self.root):
            raise ValueError(f"expected a URI below {self.root!r} to list after")
        return uri[len(self.root) :]


def is_glob(uri: str) -> bool:
    """Whether a URI has a wildcard in it."""
    return _MAGIC.search(uri) is not None


def folder_scope(uri: str) -> Scope:
    """All below a folder, or a bucket, whatever its name."""
    return Scope(uri if uri.endswith("/") else f"{uri}/", EVERYTHING)


def glob_scope(uri: str) -> Scope:
    """All that fits a glob."""
    magic = _MAGIC.search(uri)
    if magic is None:
        raise ValueError(f"expected a wildcard in {uri!r}")
    cut = uri.rfind("/", 0, magic.start()) + 1
    return Scope(uri[:cut], Pattern(uri[cut:]), literal=uri[cut : magic.start()])


def is_temporary(name: str) -> bool:
    """Whether a name is that of a file which the farm has not finished writing."""
    return name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX)


def walk(
    scan: Callable[[str], Iterable[Node[D]]], *, pattern: Pattern, after: str
) -> Iterator[tuple[str, D]]:
    """Yields keys with their details in order of their bytes, holding open folders only.

    `scan` gives the nodes of a folder, whose key is empty or ends in a slash.
    """
    start = _order(after)
    waiting = _ordered("", scan(""))
    while waiting:
        key, node = waiting.pop()
        order = _order(key)
        if not node.is_folder:
            if order > start and pattern.matches(key):
                yield key, node.detail
        elif pattern.may_hold(key) and (order > start or start.startswith(order)):
            waiting += _ordered(key, scan(key))


def _ordered(folder: str, nodes: Iterable[Node[D]]) -> list[tuple[str, Node[D]]]:
    """The nodes, last one first; a folder counts as its name and a slash, as in a list of keys."""
    keyed = [(folder + node.name + ("/" if node.is_folder else ""), node) for node in nodes]
    return sorted(keyed, key=lambda pair: _order(pair[0]), reverse=True)


def _order(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _fits(parts: list[str], segments: list[re.Pattern[str] | None]) -> bool:
    if not segments:
        return not parts
    first, rest = segments[0], segments[1:]
    if first is None:
        if not rest:
            return True
        return any(_fits(parts[skipped:], rest) for skipped in range(len(parts)))
    return bool(parts) and first.match(parts[0]) is not None and _fits(parts[1:], rest)
