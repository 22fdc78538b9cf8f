"""Walks the boxes of an ISO base media file within their bounds (ISO/IEC 14496-12, 4.2)."""

import itertools
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

ReadAt: TypeAlias = Callable[[int, int], bytes]
"""Reads that many bytes from that offset of the file; fewer only at its end."""

HEADER_BYTES = 16
"""The longest box header that is understood."""

MOST_BOXES = 4096
"""The most boxes that are looked at side by side."""

_SHORT = struct.Struct(">I4s")
_LONG = struct.Struct(">Q")


class NotIndexedError(Exception):
    """The file's index is damaged, missing or of a kind that is left to libavformat."""


class Header(NamedTuple):
    """The start of a box: its kind, and the bytes of the header and of the whole.

    `size` is 0 where the box reaches to the end of what contains it.
    """

    kind: bytes
    head: int
    size: int


def read_header(data: bytes | memoryview, at: int = 0) -> Header | None:
    """The box header at that place of `data`; None where there is no whole, sane one."""
    if at + _SHORT.size > len(data):
        return None
    size, kind = _SHORT.unpack_from(data, at)
    if size >= _SHORT.size or size == 0:
        return Header(kind, _SHORT.size, size)
    if size != 1 or at + HEADER_BYTES > len(data):
        return None
    (size,) = _LONG.unpack_from(data, at + _SHORT.size)
    return Header(kind, HEADER_BYTES, size) if size >= HEADER_BYTES else None


def boxes(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of the boxes in `content`, up to the first that breaks the bounds.

    Raises NotIndexedError for more boxes than a person would put in one.
    """
    at, end = 0, len(content)
    for count in itertools.count():
        header = read_header(content, at)
        if header is None:
            return
        if count >= MOST_BOXES:
            raise NotIndexedError(f"more than {MOST_BOXES} boxes in one")
        stop = at + header.size if header.size else end
        if stop > end:
            return
        yield header.kind, content[at + header.head : stop]
        at = stop


def children(content: memoryview) -> dict[bytes, memoryview]:
    """The content of each child box by its kind; the first one counts where a kind comes twice."""
    found: dict[bytes, memoryview] = {}
    for kind, inner in boxes(content):
        found.setdefault(kind, inner)
    return found


def unpack(form: struct.Struct, content: memoryview, at: int = 0) -> tuple[int, ...]:
    """The numbers at that place of a box; raises NotIndexedError where the box ends before."""
    try:
        return form.unpack_from(content, at)
    except struct.error as error:
        raise NotIndexedError(f"a box ends too early: {error}") from error
