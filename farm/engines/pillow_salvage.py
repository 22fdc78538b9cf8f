"""Makes what is left of a still that cannot be decoded to its end: the rows above the fault."""

import errno
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.Image import Transpose

from farm.engines.pillow_errors import BOMBS, PLUGIN_ERRORS

LEAST_ROWS_FRACTION = 0.5
"""A picture of which fewer rows are left is not shown."""

FORMATS = frozenset({"jpeg", "png"})
"""Pillow's other decoders keep nothing of what they have decoded when they fail."""

_END_OF_JPEG = b"\xff\xd9"
_BAND_ROWS = 64


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
    picture, is_whole = _decoded(open_picture(file), fill=0)
    rows = picture.height
    if not is_whole:
        other, _ = _decoded(open_picture(file), fill=255)
        rows = _leading(map(np.array_equal, _rows(picture), _rows(other)))
    if is_jpeg:
        left = picture.crop((0, 0, picture.width, rows)).transpose(Transpose.FLIP_TOP_BOTTOM)
        rows -= _leading(map(_is_gray, _rows(left)))
    return Salvaged(picture, rows) if rows >= LEAST_ROWS_FRACTION * picture.height else None


def _decoded(picture: ImageFile.ImageFile, *, fill: int) -> tuple[Image.Image, bool]:
    """The picture as far as it can be decoded onto a colour, and whether that was to its end."""
    picture.im = Image.new(picture.mode, picture.size, fill).im
    try:
        picture.load()
    except PLUGIN_ERRORS:
        picture.tile = []  # else Pillow would try again at each use
        return picture, False
    return picture, True


def _rows(picture: Image.Image) -> Iterator[NDArray[Any]]:
    """The rows as arrays, without one of the whole picture."""
    for top in range(0, picture.height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, picture.height)
        yield from np.asarray(picture.crop((0, top, picture.width, bottom)))


def _is_gray(row: NDArray[Any]) -> bool:
    """Whether a row is what zeros of a JPEG become, in any of its modes."""
    return bool(((row == 127) | (row == 128)).all())


def _leading(truths: Iterable[bool]) -> int:
    """How many truths there are before the first falsehood."""
    return sum(1 for _ in takewhile(bool, truths))
