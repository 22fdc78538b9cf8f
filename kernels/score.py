"""What makes a frame a good thumbnail, as numbers: to choose among several."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Shades of each of red, green and blue that a picture's colours are counted in.
_SHADES = 4
# Luma of BT.709.
_LUMA = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True, slots=True)
class Scores:
    """Float32 [N] each: 0 is the least, and 1 the most that there can be.

    `brightness` is the mean luma and `contrast` its standard deviation, doubled. `sharpness` is the
    mean distance of a pixel's luma from that of its four neighbours: it depends on the size, so
    compare frames of one size. `entropy` is that of a histogram of 64 colours.
    """

    brightness: Tensor
    contrast: Tensor
    sharpness: Tensor
    entropy: Tensor


def score_frames(pictures: Tensor) -> Scores:
    """Scores of RGB pictures, uint8 [N, H, W, 3], on any device.

    Raises ValueError for other shapes and types.
    """
    if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
        raise ValueError(
            "expected pictures as uint8 [N, H, W, 3], "
            f"received {str(pictures.dtype).removeprefix('torch.')} {list(pictures.shape)}"
        )
    weights = torch.tensor(_LUMA, device=pictures.device)
    luma = (pictures.to(torch.float32) @ weights) / 255
    return Scores(
        brightness=luma.mean(dim=(1, 2)),
        contrast=(luma.std(dim=(1, 2), correction=0) * 2).clamp_(max=1),
        sharpness=_sharpness(luma),
        entropy=_entropy(pictures),
    )


def _sharpness(luma: Tensor) -> Tensor:
    """The mean absolute difference of each inner pixel to the mean of its four neighbours."""
    if min(luma.shape[1:]) < 3:
        return luma.new_zeros(luma.shape[0])
    inner = luma[:, 1:-1, 1:-1]
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    return (inner - around / 4).abs_().mean(dim=(1, 2))


def _entropy(pictures: Tensor) -> Tensor:
    shade = (pictures // (256 // _SHADES)).to(torch.int64)
    colors = (shade[..., 0] * _SHADES + shade[..., 1]) * _SHADES + shade[..., 2]
    colors = colors.flatten(1)
    counts = torch.zeros(len(pictures), _SHADES**3, device=pictures.device)
    counts.scatter_add_(1, colors, torch.ones_like(colors, dtype=torch.float32))
    share = counts / max(1, colors.shape[1])
    return -(share * share.clamp(min=1e-12).log2()).sum(dim=1) / math.log2(_SHADES**3)
