"""Where a picture's pixels come from: one box of the source, resampled to one size, on one canvas."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Fit(StrEnum):
    """How a picture is brought to the asked width and height.

    `max` fits inside and never enlarges; `crop` covers and cuts what sticks out; `scale` stretches;
    `pad` fits inside a canvas of exactly the asked size.
    """

    MAX = "max"
    CROP = "crop"
    SCALE = "scale"
    PAD = "pad"


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


class Box(NamedTuple):
    """A half-open rectangle in pixel-edge coordinates: a pixel k covers [k, k + 1)."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Geometry:
    """Resample `box` of the coded picture to `size`, and lay it on `canvas` at `offset`.

    `box` is in pixels of the coded (stored) luma plane, before `orientation`; `size`, `canvas` and
    `offset` (left, top) are in pixels as shown, after it. `orientation` is an Exif code, 1 to 8.
    """

    box: Box
    size: Size
    canvas: Size
    offset: tuple[int, int] = (0, 0)
    orientation: int = 1
