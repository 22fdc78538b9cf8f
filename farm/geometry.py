"""Where a picture's pixels come from: a box of the source, resampled to a size, on a canvas."""

import math
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

    @property
    def width(self) -> float:
        """The distance from left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """The distance from top to bottom."""
        return self.bottom - self.top

    def moved(self, x: float, y: float) -> "Box":
        """The same rectangle, `x` further right and `y` further down."""
        return Box(self.left + x, self.top + y, self.right + x, self.bottom + y)

    def scaled(self, x: float, y: float) -> "Box":
        """The same rectangle of a picture stored `x` times as wide and `y` times as high."""
        return Box(self.left * x, self.top * y, self.right * x, self.bottom * y)


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

    def needed_size(self, source: Size, *, margin: float = 1.0) -> Size:
        """The smallest stored size of the whole `source` whose `box` need not be enlarged.

        A decoder may shrink on load down to it; at most `source` itself. With a `margin` above 1,
        what it shrinks to is that many times as large as the picture, so that the last step of the
        way down is the resize's.
        """
        width, height = _turned(self.size.width, self.size.height, self.orientation)
        return Size(
            min(source.width, math.ceil(margin * source.width * width / self.box.width)),
            min(source.height, math.ceil(margin * source.height * height / self.box.height)),
        )


def fit_geometry(
    source: Size,
    *,
    orientation: int,
    pixel_aspect: float,
    fit: Fit,
    width: int | None,
    height: int | None,
) -> Geometry:
    """The geometry that brings a picture of coded size `source` to the asked width and height.

    The asked sides are as shown. A missing side is unbounded for `max` and keeps the aspect for
    `scale`; both missing ask for the shown size; `crop` and `pad` need both. Only `max` never
    enlarges. Sides are rounded to whole pixels, at least 1. Raises ValueError for numbers that no
    picture has.
    """
    _check(source, orientation, pixel_aspect, fit, (width, height))
    shown = _turned(source.width * pixel_aspect, source.height, orientation)
    box = Box(0.0, 0.0, float(source.width), float(source.height))
    size = _size(shown, fit, width, height)
    canvas = Size(width or size.width, height or size.height) if fit is Fit.PAD else size
    offset = ((canvas.width - size.width) // 2, (canvas.height - size.height) // 2)
    if fit is Fit.CROP:
        # A centred window stays centred under every orientation, so its sides alone are turned.
        scale = max(size.width / shown[0], size.height / shown[1])
        window = _turned(size.width / scale, size.height / scale, orientation)
        box = _centred(source, window[0] / pixel_aspect, window[1])
    return Geometry(box, size, canvas, offset, orientation)


def _check(
    source: Size,
    orientation: int,
    pixel_aspect: float,
    fit: Fit,
    asked: tuple[int | None, int | None],
) -> None:
    if min(source) < 1:
        raise ValueError(f"expected a source of at least 1x1 pixels; received {source}")
    if not 1 <= orientation <= 8:
        raise ValueError(f"expected an orientation of 1 to 8; received {orientation}")
    if not 0 < pixel_aspect < math.inf:
        raise ValueError(f"expected a pixel aspect above 0; received {pixel_aspect}")
    if any(side is not None and side < 1 for side in asked):
        raise ValueError(f"expected a width and height of at least 1; received {asked}")
    if fit in (Fit.CROP, Fit.PAD) and None in asked:
        raise ValueError(f"expected width and height with fit '{fit.value}'; received {asked}")


def _turned(width: float, height: float, orientation: int) -> tuple[float, float]:
    """Stored sides as shown, or the other way round: Exif codes 5 to 8 swap the axes."""
    return (height, width) if orientation >= 5 else (width, height)


def _size(shown: tuple[float, float], fit: Fit, width: int | None, height: int | None) -> Size:
    """The size, as shown, to which the box is resampled."""
    sides = list(zip((width, height), shown, strict=True))
    scale = min((asked / side for asked, side in sides if asked is not None), default=1.0)
    if fit is Fit.MAX:
        scale = min(1.0, scale)
    exact = fit in (Fit.CROP, Fit.SCALE)
    return Size(
        *(
            asked if exact and asked is not None else max(1, round(side * scale))
            for asked, side in sides
        )
    )


def _centred(source: Size, width: float, height: float) -> Box:
    width, height = min(width, source.width), min(height, source.height)
    left, top = (source.width - width) / 2, (source.height - height) / 2
    return Box(left, top, left + width, top + height)
