"""Pictures and comparisons that the kernel tests share."""

import torch
from torch import Tensor

from kernels.tolerance import MAX_DIFFERENCE

BY_IMPLEMENTATION = ("torch_cpu", "reference")


def noise(*shape: int, low: int = 0, high: int = 255, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, shape, generator=generator, dtype=torch.uint8)


def whole(pictures: Tensor) -> tuple[float, float, float, float]:
    return (0.0, 0.0, float(pictures.shape[2]), float(pictures.shape[1]))


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one.to(torch.float64) - other.to(torch.float64)).abs().max())


def assert_near(one: Tensor, other: Tensor) -> None:
    """Asserts that `one` equals `other` within the tolerance for the type of `one`."""
    assert difference(one, other) <= MAX_DIFFERENCE[one.dtype]
