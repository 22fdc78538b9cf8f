"""Turns decoded frames into finished pictures: resampled, upright, RGB(A), on their canvas."""

from collections.abc import Sequence

from torch import Tensor

import kernels
from farm.engines.frame import FrameBatch
from farm.engines.profile import apply_profile
from farm.geometry import Geometry, Size
from farm.spec import Fidelity, ImageFormat, ThumbnailSpec

# How many times as large as the picture a decoder must leave what it shrinks on load. By
# benchmarks/fidelity.py, PSNR against the ideal is 49 dB in the mean and 41 at worst with 1.0, 52
# and 46 with 1.25, 53 and 48 with 1.5, and 54 and 52 with 2.0, past which hardly more is won. The
# resize is the same for all: other filters and integer arithmetic save next to no time.
DECODE_MARGINS = {Fidelity.FAST: 1.0, Fidelity.BALANCED: 1.25, Fidelity.BEST: 2.0}

_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)


def finish(
    batch: FrameBatch, picks: Sequence[int], *, geometry: Geometry, spec: ThumbnailSpec
) -> Tensor:
    """The pictures of `batch` at `picks`, ready to encode: uint8 [len(picks), H, W, 3 or 4].

    Transparency stays where the format has it and the output names no background; under it comes
    the background, else white. The canvas around a padded picture is the background, else black.
    """
    pictures = _resampled(batch, picks, geometry)
    if batch.profile is not None:
        pictures = apply_profile(pictures, batch.profile)
    background = _rgb(spec.background)
    if pictures.shape[-1] == 4 and (background or spec.format is ImageFormat.JPG):
        pictures = kernels.flatten_alpha(pictures, color=background or _WHITE)
    if geometry.canvas == geometry.size:
        return pictures
    left, top = geometry.offset
    width, height = geometry.canvas
    opaque = (255,) if pictures.shape[-1] == 4 else ()
    color = (*(background or _BLACK), *opaque)
    return kernels.pad(pictures, left=left, top=top, height=height, width=width, color=color)


def _resampled(batch: FrameBatch, picks: Sequence[int], geometry: Geometry) -> Tensor:
    planes = batch.planes
    if len(picks) < len(batch.answers):
        planes = tuple(plane[list(picks)] for plane in planes)
    rows, columns = planes[0].shape[1:3]
    # Where the decoder shrank on load, the box shrinks with the planes.
    box = geometry.box.scaled(*_scale(batch.full_size, Size(columns, rows)))
    width, height = geometry.size
    color = batch.color
    light = kernels.Light(color.transfer, color.primaries, color.peak_nits)
    if len(planes) != 3:
        pictures = kernels.resize_crop(
            planes[0], box=box, height=height, width=width, orientation=geometry.orientation
        )
        return kernels.tone_map(pictures, light=light)
    return kernels.yuv_to_rgb(
        planes,
        box=box,
        height=height,
        width=width,
        matrix=color.matrix,
        full_range=color.full_range,
        siting=color.siting,
        bits=color.bits,
        light=light,
        orientation=geometry.orientation,
    )


def _scale(full: Size, stored: Size) -> tuple[float, float]:
    """How long a pixel of the source is in the planes, in both directions.

    Codecs that shrink by 2, 4 or 8 make one sample of each block of so many pixels, and of what is
    left of a block at the right and lower edges: there, the samples reach beyond the picture.
    """
    for shrink in (1, 2, 4, 8):
        if stored == (-(-full.width // shrink), -(-full.height // shrink)):
            return 1 / shrink, 1 / shrink
    return stored.width / full.width, stored.height / full.height


def _rgb(color: str | None) -> tuple[int, int, int] | None:
    """The values of `#rrggbb`."""
    if color is None:
        return None
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
