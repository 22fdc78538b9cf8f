"""Makes what is left of a still that cannot be decoded to its end: the rows above the fault."""

import errno
import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from farm.engines.pillow_errors import BOMBS, PLUGIN_ERRORS

LEAST_ROWS_FRACTION = 0.5
"""A picture of which fewer rows are left is not shown."""

FORMATS = frozenset({"jpeg", "png"})
"""Pillow's other decoders keep nothing of what they have decoded when they fail."""

_END_OF_JPEG = b"\xff\xd9"
_FILLS = (0, 255)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """A picture of which the first `rows` are sound; what follows is black, clear or gray."""

    picture: Image.Image
    rows: int


def is_damage(error: Exception) -> bool:
    """Whether the file is to blame, and not the store it is read from or a limit."""
    if isinstance(error, OSError):
        return error.errno in (None, errno.EINVAL)
    return not isinstance(error, BOMBS)


def salvage(
    file: BinaryIO, open_picture: Callable[[BinaryIO], ImageFile.ImageFile], *, is_jpeg: bool
) -> Salvaged | None:
    """What is left of the picture that `open_picture` opens; None where that is too little.

    Decoded twice onto different colours, the rows that come out alike are those that were decoded.
    A JPEG is given an end first, as libjpeg then fills what is missing with zeros, which are a
    medium gray, and also shows a progressive one of which only the coarse scans are there.
    """
    if is_jpeg:
        file.seek(0)
        file = io.BytesIO(file.read() + _END_OF_JPEG)
    picture, other = (_decoded(open_picture(file), fill) for fill in _FILLS)
    pixels: NDArray[Any] = np.asarray(picture)
    rows = _leading(np.equal(pixels, np.asarray(other)))
    if is_jpeg:
        rows -= _leading(np.abs(pixels[:rows][::-1] - 127.5) < 1)
    return Salvaged(picture, rows) if rows >= LEAST_ROWS_FRACTION * len(pixels) else None


def _decoded(picture: ImageFile.ImageFile, fill: int) -> Image.Image:
    """The picture as far as it can be decoded onto a colour."""
    picture.im = Image.new(picture.mode, picture.size, fill).im
    with suppress(*PLUGIN_ERRORS):
        picture.load()
    picture.tile = []  # else Pillow would try again at each use
    return picture


def _leading(truths: NDArray[np.bool_]) -> int:
    """How many rows of nothing but truths come before any other row."""
    rows: NDArray[np.bool_] = np.logical_and.reduce(truths, axis=tuple(range(1, truths.ndim)))
    return len(rows) if rows.all() else int(rows.argmin())
