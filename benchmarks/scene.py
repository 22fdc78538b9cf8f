"""Makes pictures with the statistics of photographs: occluding shapes, 1/f texture, sensor noise.

Shapes that hide each other, with radii by a power law, have the scale invariance and the edges of
natural scenes (the dead leaves model: Lee, Mumford and Huang, "Occlusion models for
natural images", 2001). What a codec makes of fine detail depends on its strength alone, so that one
number, `detail`, sets the bytes per pixel.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[np.uint8]

_TILE_PIXELS = 1024
_LEAST_RADIUS = 0.003
_MOST_RADIUS = 0.3
_LEAVES = 2400
_LENS_BLUR_PIXELS = 0.7
_MOST_CORNERS = 5


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture without its fine detail, uint8 [H, W, 3], and that detail, int16 [H, W]."""

    base: Pixels
    texture: NDArray[np.int16]

    def render(self, detail: float) -> Image.Image:
        """The picture with so much of its detail."""
        height = self.base.shape[0]
        out = np.empty_like(self.base)
        for top in range(0, height, 512):
            rows = slice(top, top + 512)
            fine = (self.texture[rows] * np.float32(detail / 64))[..., None]
            out[rows] = np.clip(self.base[rows] + fine, 0, 255)
        return Image.fromarray(out)


def make_scene(width: int, height: int, seed: int) -> Scene:
    """A scene of that size; the same one for the same seed."""
    rng = np.random.default_rng(seed)
    colors, strength = _draw_leaves(width, height, rng)
    light = _pink(rng, 256, 1.6)
    shade = Image.fromarray((light * 18 + 128).clip(0, 255).astype(np.uint8))
    shading = np.asarray(shade.resize((width, height), Image.Resampling.BICUBIC), np.int16) - 128
    soft = np.asarray(colors.filter(ImageFilter.GaussianBlur(_LENS_BLUR_PIXELS)), np.int16)
    base = (soft + shading[..., None]).clip(24, 232).astype(np.uint8)
    tile = _pink(rng, _TILE_PIXELS, 0.9) * 40 + rng.normal(0, 24, (_TILE_PIXELS, _TILE_PIXELS))
    repeats = (math.ceil(height / _TILE_PIXELS), math.ceil(width / _TILE_PIXELS))
    texture = np.tile(tile.astype(np.float32), repeats)[:height, :width]
    return Scene(base, (texture * (np.asarray(strength, np.float32) / 96)).astype(np.int16))


def _draw_leaves(
    width: int, height: int, rng: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """Shapes from the large to the small ones, and how rough each of them is."""
    colors = Image.new("RGB", (width, height), (120, 130, 125))
    strength = Image.new("L", (width, height), 64)
    pens = ImageDraw.Draw(colors), ImageDraw.Draw(strength)
    sizes = rng.uniform(math.log(_LEAST_RADIUS), math.log(_MOST_RADIUS), _LEAVES)
    for radius in np.exp(sizes) * height:
        x, y = rng.random(2) * (width, height)
        hue = (rng.normal(114, 40) + rng.normal(0, 18, 3)).clip(30, 225).astype(int)
        rough = int(rng.integers(16, 160))
        corners = int(rng.integers(3, 9))
        angles = np.sort(rng.random(corners) * 2 * math.pi)
        spread = radius * rng.uniform(0.6, 1.2, corners)
        points = [
            (float(x + s * math.cos(a)), float(y + s * math.sin(a)))
            for a, s in zip(angles, spread, strict=True)
        ]
        _draw(pens[0], tuple(map(int, hue)), (x, y, radius), points)
        _draw(pens[1], rough, (x, y, radius), points)
    return colors, strength


def _draw(
    pen: ImageDraw.ImageDraw,
    fill: int | tuple[int, ...],
    circle: tuple[float, float, float],
    points: list[tuple[float, float]],
) -> None:
    """A disc where there would be many corners, else a polygon."""
    x, y, radius = circle
    if len(points) > _MOST_CORNERS:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    else:
        pen.polygon(points, fill=fill)


def _pink(rng: np.random.Generator, side: int, exponent: float) -> NDArray[np.float64]:
    """Noise of unit deviation whose amplitude falls with frequency to that power; it tiles."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) / frequency**exponent
    spectrum[0, 0] = 0.0
    noise: NDArray[np.float64] = np.fft.irfft2(spectrum, (side, side))
    return noise / float(noise.std())
