"""Tensor functions of the farm: resize, crop, colour; the torch reference defines what is right."""

from kernels.canvas import flatten_alpha, is_opaque, orient, pad, tile
from kernels.color import MATRICES, SITINGS, Color
from kernels.filter import Filter
from kernels.functional import resample, resize_crop, yuv_to_rgb
from kernels.implementation import implementations
from kernels.item import Item, Resize
from kernels.saliency import saliency, salient_box
from kernels.score import Scores, score_frames
from kernels.tone import PRIMARIES, TRANSFERS, Light, tone_map

__all__ = [
    "MATRICES",
    "PRIMARIES",
    "SITINGS",
    "TRANSFERS",
    "Color",
    "Filter",
    "Item",
    "Light",
    "Resize",
    "Scores",
    "flatten_alpha",
    "implementations",
    "is_opaque",
    "orient",
    "pad",
    "resample",
    "resize_crop",
    "saliency",
    "salient_box",
    "score_frames",
    "tile",
    "tone_map",
    "yuv_to_rgb",
]
