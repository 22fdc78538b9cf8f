"""How three planes become RGB: matrices, ranges, where chroma samples lie, and what light it is."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from kernels.tone import Light

# Kr and Kb of ITU-T H.273, table 4.
_LUMA_WEIGHTS = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.30, 0.11),
}
MATRICES = (*_LUMA_WEIGHTS, "ycgco")

# Whether chroma samples coincide with luma samples: horizontally, vertically.
_COSITED = {"left": (True, False), "center": (False, False), "top_left": (True, True)}
SITINGS = tuple(_COSITED)


@dataclass(frozen=True, slots=True)
class Color:
    """What the samples of three planes mean."""

    matrix: str
    full_range: bool
    siting: str
    bits: int
    light: Light = Light()


@lru_cache(maxsize=32)
def rgb_transform(color: Color) -> tuple[Tensor, Tensor]:
    """The float64 matrix [3, 3] and offset [3] from coded Y, U, V to R, G, B in 0 to 255.

    Limited range is Y in 16..235 and chroma in 16..240, shifted left by bits - 8; full range is
    0..2^bits - 1. The chroma of YCgCo spans as many steps as its luma. Source: ITU-T H.273, 8.3.
    """
    step = 1 << (color.bits - 8)
    black = 0 if color.full_range else 16 * step
    luma_steps = (1 << color.bits) - 1 if color.full_range else 219 * step
    is_ycgco = color.matrix == "ycgco"
    chroma_steps = luma_steps if color.full_range or is_ycgco else 224 * step
    steps = torch.tensor([luma_steps, chroma_steps, chroma_steps], dtype=torch.float64)
    zero = torch.tensor([black, 128 * step, 128 * step], dtype=torch.float64)
    matrix = _ycgco() if is_ycgco else _from_luma_weights(*_LUMA_WEIGHTS[color.matrix])
    matrix = matrix * 255 / steps
    return matrix, -matrix @ zero


def _from_luma_weights(red: float, blue: float) -> Tensor:
    green = 1 - red - blue
    by_u, by_v = 2 * (1 - blue), 2 * (1 - red)
    return torch.tensor(
        [
            [1, 0, by_v],
            [1, -by_u * blue / green, -by_v * red / green],
            [1, by_u, 0],
        ],
        dtype=torch.float64,
    )


def _ycgco() -> Tensor:
    return torch.tensor([[1, -1, 1], [1, 1, 0], [1, -1, -1]], dtype=torch.float64)


def subsampling(luma: int, chroma: int) -> int | None:
    """How many luma samples one chroma sample stands for on an axis: 1, 2, 4, or None.

    An odd luma length leaves the last chroma sample covering a luma sample more.
    """
    return next((ratio for ratio in (1, 2, 4) if chroma == -(-luma // ratio)), None)


def chroma_origin(siting: str, *, ratio: int, horizontal: bool) -> float:
    """Where luma coordinate 0 lies in sample-edge coordinates of a chroma axis.

    A chroma coordinate is this plus the luma coordinate / ratio. Centred samples share the luma's
    edges; cosited ones lie half a luma sample after each luma edge that they start from.
    """
    cosited = _COSITED[siting][0 if horizontal else 1]
    return (ratio - 1) / (2 * ratio) if cosited else 0.0
