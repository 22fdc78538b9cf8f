"""Walks the boxes of an ISO base media file within their bounds (ISO/IEC 14496-12, 4.2)."""

from collections.abc import Callable
from typing import TypeAlias

ReadAt: TypeAlias = Callable[[int, int], bytes]
"""Reads that many bytes from that offset of the file; fewer only at its end."""


class NotIndexedError(Exception):
    """The file's index is damaged, missing or of a kind that is left to libavformat."""
