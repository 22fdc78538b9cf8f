"""Tensor functions of the farm: resize, crop, colour; the torch reference defines what is right."""

from kernels.canvas import flatten_alpha, is_opaque, orient, pad
from kernels.color import MATRICES, SITINGS
from kernels.filter import Filter
from kernels.functional import resize_crop, yuv_to_rgb
from kernels.implementation import implementations
from kernels.tone import PRIMARIES, TRANSFERS, Light, tone_map

__all__ = [
    "MATRICES",
    "PRIMARIES",
    "SITINGS",
    "TRANSFERS",
    "Filter",
    "Light",
    "flatten_alpha",
    "implementations",
    "is_opaque",
    "orient",
    "pad",
    "resize_crop",
    "tone_map",
    "yuv_to_rgb",
]
