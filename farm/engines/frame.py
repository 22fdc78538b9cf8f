"""Decoded pictures on their way to the resize: planes, colour tags and what they answer."""

from dataclasses import dataclass

from torch import Tensor

from farm.geometry import Box, Size
from farm.media import ColorTags


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """N decoded pictures of one shape.

    `planes` is one uint8 tensor [N, H, W, C] with C = 3 (RGB) or 4 (RGBA, not premultiplied), or
    three planes Y [N, H, W], U and V [N, h, w] as coded (uint8, or int16/int32/uint16 holding
    `color.bits` bits, `shift` bits higher up), or Y and UV [N, h, w, 2], as video engines leave
    them; all on one device. `full_size` is the coded size of the source, larger than the planes
    where the decoder shrank on load; geometry is counted in it. `region` is the part of it that the
    planes show, where that is not all. `orientation` is an Exif code,
    `pixel_aspect` the width of a pixel over its height. `profile` is an ICC profile that
    `needed_profile` found to fit: the colours are its, and become sRGB when the pictures are small.
    `answers[n]` are the indices of the targets that picture n is for; `pts_seconds[n]` is its own
    time, 0 for a still.
    """

    planes: tuple[Tensor, ...]
    color: ColorTags
    full_size: Size
    answers: tuple[tuple[int, ...], ...]
    pts_seconds: tuple[float, ...]
    orientation: int = 1
    pixel_aspect: float = 1.0
    profile: bytes | None = None
    shift: int = 0
    region: Box | None = None

    @property
    def is_yuv(self) -> bool:
        """Whether the planes are Y, U and V, or Y and UV."""
        return len(self.planes) > 1
