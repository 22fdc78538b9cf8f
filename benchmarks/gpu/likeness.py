"""How like two pictures of the test card are: noise, flat colours, shifted planes, frame number."""

import math
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from farm.samples.card import read_frame_number, read_patches

_MOST_DB = 99.0
_EDGE_PIXELS = 3
# Of BT.709, whose luma serves to tell brightness from colour, whatever matrix was stored.
_LUMA = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a picture differs by from another one.

    `psnr_db` is over all samples; `patch_levels` the most that the mean of a flat colour is off in
    a channel, of 255; the shifts are how far brightness and colour lie from where they should, in
    pixels of the source. `number` is that of the frame, None where none can be read; `expected` is
    the other picture's.
    """

    psnr_db: float
    patch_levels: float
    luma_shift_pixels: float
    chroma_shift_pixels: float
    number: int | None
    expected: int | None


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What two right decoders may differ by."""

    psnr_db: float
    patch_levels: float = 2.0
    shift_pixels: float = 0.25

    def faults(self, likeness: Likeness) -> list[str]:
        """What is wrong, in words; nothing where all is within bounds."""
        found = []
        if likeness.number != likeness.expected:
            found.append(f"frame {likeness.number} instead of {likeness.expected}")
        if likeness.patch_levels > self.patch_levels:
            found.append(f"flat colours off by {likeness.patch_levels:.1f} of 255")
        for name, shift in (
            ("luma", likeness.luma_shift_pixels),
            ("chroma", likeness.chroma_shift_pixels),
        ):
            if shift > self.shift_pixels:
                found.append(f"{name} shifted by {shift:.2f} pixels")
        if likeness.psnr_db < self.psnr_db:
            found.append(f"PSNR {likeness.psnr_db:.1f} dB, less than {self.psnr_db:g}")
        return found


def likeness(picture: Tensor, right: Tensor, *, source_pixels: float) -> Likeness:
    """Compares two pictures, uint8 [H, W, 3] of one size.

    `source_pixels` is how many pixels of the source one pixel of these is wide. Raises ValueError
    for pictures of different sizes.
    """
    if picture.shape != right.shape:
        raise ValueError(f"expected {list(right.shape)}, received {list(picture.shape)}")
    luma, chroma = _luma_chroma(picture)
    right_luma, right_chroma = _luma_chroma(right)
    return Likeness(
        psnr_db=psnr_db(picture, right),
        patch_levels=_patch_levels(picture, right),
        luma_shift_pixels=math.hypot(*shift(luma, right_luma)) * source_pixels,
        chroma_shift_pixels=math.hypot(*shift(chroma, right_chroma)) * source_pixels,
        number=frame_number(picture),
        expected=frame_number(right),
    )


def psnr_db(one: Tensor, other: Tensor) -> float:
    """The peak signal-to-noise ratio, at most 99 dB."""
    error = float((one.to(torch.float64) - other.to(torch.float64)).square().mean())
    return min(_MOST_DB, 10 * math.log10(255**2 / error)) if error else _MOST_DB


def shift(planes: Tensor, right: Tensor) -> tuple[float, float]:
    """How far `planes` [C, H, W] lie right of and below `right`, in pixels; for less than a pixel.

    The least squares of planes(x) - right(x) = -d * gradient(x), over all channels at once; (0, 0)
    where nothing varies. Source: Lucas and Kanade, "An iterative image registration technique",
    1981.
    """
    inner = slice(_EDGE_PIXELS, -_EDGE_PIXELS)
    down, across = torch.gradient(right, dim=(1, 2))
    slopes = torch.stack([across[:, inner, inner].flatten(), down[:, inner, inner].flatten()])
    change = (planes - right)[:, inner, inner].flatten()
    squares = slopes @ slopes.T
    # Less than a level of slope everywhere: a picture without colours, say.
    if float(squares.diagonal().min()) < change.numel() * 1e-3:
        return 0.0, 0.0
    x, y = torch.linalg.solve(squares, -(slopes @ change)).tolist()
    return x, y


def frame_number(picture: Tensor) -> int | None:
    """The number that the card shows; None where no strip can be read."""
    try:
        return read_frame_number(_image(picture))
    except ValueError:
        return None


def _patch_levels(picture: Tensor, right: Tensor) -> float:
    found, wanted = read_patches(_image(picture)), read_patches(_image(right))
    return max(
        abs(one - other)
        for name, colors in wanted.items()
        for one, other in zip(found[name], colors, strict=True)
    )


def _luma_chroma(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness [1, H, W], and blue and red against it [2, H, W], float64."""
    values = picture.to(torch.float64)
    luma = values @ torch.tensor(_LUMA, dtype=torch.float64)
    return luma[None], torch.stack([values[..., 2] - luma, values[..., 0] - luma])


def _image(picture: Tensor) -> Image.Image:
    return Image.fromarray(picture.numpy())
