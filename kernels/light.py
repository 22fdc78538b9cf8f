"""Light in place of code values: sRGB's curve, for resizing as an eye or a lens would."""

from functools import cache

import torch
from torch import Tensor


@cache
def linear_table() -> Tensor:
    """The light, 0 to 1, of each of the 256 values, float32. Source: IEC 61966-2-1, 5.2."""
    coded = torch.arange(256, dtype=torch.float64) / 255
    light = torch.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return light.to(torch.float32)


def to_light(pictures: Tensor) -> Tensor:
    """uint8 values as light on a scale of 0 to 255, float32."""
    table = (linear_table() * 255).to(pictures.device)
    return table[pictures.to(torch.int32)]


def from_light(light: Tensor) -> Tensor:
    """Light on a scale of 0 to 255 as values of the same scale, not rounded."""
    linear = (light / 255).clamp_(0, 1)
    coded = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return coded * 255
