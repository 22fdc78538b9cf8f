"""The test card: draws a moving picture that says which frame it is, and reads that back."""

import math
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from farm.geometry import Box, Size

Planar = NDArray[np.uint8]
"""A picture as [3, height, width], sRGB."""

PATCHES: dict[str, tuple[int, int, int]] = {
    "red": (200, 32, 40),
    "green": (40, 160, 64),
    "blue": (40, 64, 192),
    "grey": (128, 128, 128),
    "skin": (224, 172, 144),
    "dark": (24, 24, 28),
}
"""The flat colours of the card, left to right, in sRGB."""

MIN_SIZE = Size(160, 90)
"""The smallest card whose strip survives lossy coding."""

_NUMBER_BITS = 12
_BAND = Box(0.04, 0.06, 0.96, 0.24)
_STRIP = Box(0.10, 0.28, 0.90, 0.38)
_SIGN = Box(0.10, 0.42, 0.24, 0.74)
_FIELD = Box(0.28, 0.42, 0.90, 0.74)
_PATCH_ROW = Box(0.10, 0.78, 0.90, 0.94)
_LEAST_CONTRAST = 60.0


def timecode(seconds: float, number: int) -> str:
    """The caption of a video frame: `HH:MM:SS.mmm #NNN`."""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03} #{number:03}"


def patch_boxes() -> dict[str, Box]:
    """Where each flat colour may be measured, in fractions of the upright picture.

    The boxes keep away from the patches' edges, so that a resample does not blur into them.
    """
    cells = _cells(_PATCH_ROW, len(PATCHES))
    return {name: _inset(cell) for name, cell in zip(PATCHES, cells, strict=True)}


class Card:
    """A test card of one size: a drifting photograph-like ground, caption, number strip, colours.

    `size` is in stored pixels; `pixel_aspect`, the width of one over its height, makes what is
    drawn look right as shown. Raises ValueError below `MIN_SIZE`.
    """

    def __init__(self, size: Size, *, pixel_aspect: float = 1.0, seed: int = 0) -> None:
        if size.width < MIN_SIZE.width or size.height < MIN_SIZE.height:
            raise ValueError(
                f"expected a card of at least {MIN_SIZE.width}x{MIN_SIZE.height} pixels; "
                f"received {size.width}x{size.height}"
            )
        self.size = size
        self._pixel_aspect = pixel_aspect
        self._ground = _make_ground(size, seed)
        self._sign = self._tile(_SIGN, _draw_sign)

    def draw(self, number: int, caption: str) -> Planar:
        """The card as frame `number` (0 to 4095): uint8 [3, height, width]."""
        # The ground is periodic, so it drifts for ever without a seam.
        picture = np.roll(self._ground, (-2 * number, -4 * number), axis=(1, 2))
        band = self._tile(_BAND, lambda canvas: _draw_caption(canvas, caption))
        self._slot(picture, _BAND)[...] = band
        self._slot(picture, _SIGN)[...] = self._sign
        for cell, bit in zip(_cells(_STRIP, _NUMBER_BITS + 4), _encode(number), strict=True):
            self._slot(picture, cell)[...] = 255 if bit else 0
        for cell, color in zip(_cells(_PATCH_ROW, len(PATCHES)), PATCHES.values(), strict=True):
            self._slot(picture, cell)[...] = np.array(color, np.uint8)[:, None, None]
        self._draw_ball(self._slot(picture, _FIELD), number)
        return picture

    def _slot(self, picture: Planar, box: Box) -> Planar:
        left, top, right, bottom = _pixels(box, self.size)
        return picture[:, top:bottom, left:right]

    def _tile(self, box: Box, draw: Callable[[Image.Image], None]) -> Planar:
        left, top, right, bottom = _pixels(box, self.size)
        width, height = right - left, bottom - top
        tile = Image.new("L", (max(1, round(width * self._pixel_aspect)), height), 16)
        draw(tile)
        return np.asarray(tile.resize((width, height), Image.Resampling.BILINEAR))[None]

    def _draw_ball(self, field: Planar, number: int) -> None:
        """Draws a ball that bounces through `field`, round as shown."""
        _, height, width = field.shape
        radius = height * 0.22
        across, down = radius / self._pixel_aspect, radius
        x = across + _bounce(number * height * 0.05 / self._pixel_aspect, width - 2 * across)
        y = down + _bounce(number * height * 0.03, height - 2 * down)
        left, right = int(x - across), math.ceil(x + across)
        top, bottom = int(y - down), math.ceil(y + down)
        spot = field[:, top:bottom, left:right]
        columns = (np.arange(spot.shape[2]) + left + 0.5 - x) / across
        rows = (np.arange(spot.shape[1]) + top + 0.5 - y) / down
        distance = np.hypot(rows[:, None], columns)
        ball = np.array((250, 210, 60))[:, None, None] * np.where(distance < 0.8, 1.0, 0.3)
        np.copyto(spot, ball.astype(np.uint8), where=distance < 1)


def to_image(picture: Planar) -> Image.Image:
    """A drawn card as an RGB image."""
    return Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))


def read_frame_number(image: Image.Image) -> int:
    """The number that an upright card of any size carries in its strip.

    Serves down to some 120 pixels of width. Raises ValueError where no valid strip is seen: a wrong
    crop, a turned picture, or one that is damaged.
    """
    grey = np.asarray(image.convert("L"), np.float32)
    size = Size(*image.size)
    means = [_mean(grey, _inset(cell), size) for cell in _cells(_STRIP, _NUMBER_BITS + 4)]
    white, black = means[0], means[1]
    if white - black < _LEAST_CONTRAST:
        raise ValueError(f"expected a white and a black cell; received {white:.0f} and {black:.0f}")
    bits = tuple(mean > (white + black) / 2 for mean in means)
    number = sum(bit << place for place, bit in enumerate(reversed(bits[2:-2])))
    if bits != _encode(number):
        raise ValueError(f"expected a strip of right parity; received {bits}")
    return number


def read_patches(image: Image.Image) -> dict[str, tuple[float, float, float]]:
    """The mean sRGB colour of each patch of an upright card of any size."""
    pixels = np.asarray(image.convert("RGB"), np.float32)
    size = Size(*image.size)
    found = {}
    for name, box in patch_boxes().items():
        red, green, blue = (_mean(pixels[..., channel], box, size) for channel in range(3))
        found[name] = (red, green, blue)
    return found


def noise(size: Size, *, seed: int, exponent: float = 1.3) -> NDArray[np.float32]:
    """Periodic noise whose amplitude falls as 1/f**exponent, as photographs do: 0 to 1, mean 0.5.

    Spectrum of natural images: D. J. Field, J. Opt. Soc. Am. A 4, 2379 (1987).
    """
    shape = (size.height, size.width // 2 + 1)
    random = np.random.default_rng(seed)
    spectrum = np.empty(shape, np.complex64)
    spectrum.real = random.standard_normal(shape, np.float32)
    spectrum.imag = random.standard_normal(shape, np.float32)
    rows = np.fft.fftfreq(size.height).astype(np.float32) * size.height
    columns = np.arange(shape[1], dtype=np.float32)
    frequency = np.hypot(rows[:, None], columns)
    frequency[0, 0] = np.inf
    spectrum /= frequency**exponent
    field = np.fft.irfft2(spectrum, s=(size.height, size.width)).astype(np.float32)
    field *= 0.18 / field.std()
    return np.asarray(np.clip(field + 0.5, 0, 1))


def _make_ground(size: Size, seed: int) -> Planar:
    """A cloudy landscape of blues, greens and browns: [3, height, width]."""
    light = noise(size, seed=seed)
    small = Size(max(8, size.width // 4), max(8, size.height // 4))
    hue = _enlarge(noise(small, seed=seed + 1, exponent=1.8), size)
    warm = np.array((214, 170, 120), np.float32)[:, None, None]
    cold = np.array((96, 150, 190), np.float32)[:, None, None]
    picture = (cold + (warm - cold) * hue) * (0.35 + 0.95 * light)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def _enlarge(field: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(field).resize(size, Image.Resampling.BICUBIC))


def _draw_caption(canvas: Image.Image, caption: str) -> None:
    _draw_text(canvas, caption, middle=canvas.height / 2, height=canvas.height * 0.8)


def _draw_sign(canvas: Image.Image) -> None:
    """An arrow that points up, above a word that no turn and no mirror keeps."""
    width, height = canvas.size
    arrow = [(width * x, height * y) for x, y in ((0.5, 0.05), (0.9, 0.45), (0.1, 0.45))]
    ImageDraw.Draw(canvas).polygon(arrow, 255)
    _draw_text(canvas, "UP", middle=height * 0.72, height=height * 0.4)


def _draw_text(canvas: Image.Image, text: str, *, middle: float, height: float) -> None:
    """Writes `text` centred, as high as asked where its width allows."""
    # Digits count as zeros, so that the text of a running clock does not breathe.
    model = "".join("0" if letter.isdigit() else letter for letter in text)
    height = min(height, 94.0 * canvas.width / _font(100).getlength(model))
    font = _font(max(4, int(height)))
    ImageDraw.Draw(canvas).text((canvas.width / 2, middle), text, 255, font, anchor="mm")


@cache
def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)


def _encode(number: int) -> tuple[bool, ...]:
    """The strip's cells, True for white: white, black, the bits from the highest, parity, black."""
    if not 0 <= number < 1 << _NUMBER_BITS:
        raise ValueError(
            f"expected a number from 0 to {(1 << _NUMBER_BITS) - 1}; received {number}"
        )
    bits = [bool(number >> place & 1) for place in reversed(range(_NUMBER_BITS))]
    return (True, False, *bits, sum(bits) % 2 == 1, False)


def _cells(row: Box, count: int) -> Iterator[Box]:
    step = (row.right - row.left) / count
    for index in range(count):
        left = row.left + index * step
        yield Box(left, row.top, left + step, row.bottom)


def _inset(box: Box) -> Box:
    across, down = (box.right - box.left) / 4, (box.bottom - box.top) / 4
    return Box(box.left + across, box.top + down, box.right - across, box.bottom - down)


def _pixels(box: Box, size: Size) -> tuple[int, int, int, int]:
    left, right = (round(side * size.width) for side in (box.left, box.right))
    top, bottom = (round(side * size.height) for side in (box.top, box.bottom))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _mean(plane: NDArray[np.float32], box: Box, size: Size) -> float:
    left, top, right, bottom = _pixels(box, size)
    return float(plane[top:bottom, left:right].mean())


def _bounce(way: float, room: float) -> float:
    """The place, 0 to `room`, of what has gone `way` back and forth."""
    return room - abs(way % (2 * room) - room)
