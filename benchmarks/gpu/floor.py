"""The least time that a resize can take on a device: each byte moved once, at copy speed."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

import kernels

_COPY_BYTES = 1 << 30


def moved_bytes(items: Sequence[kernels.Item]) -> int:
    """The bytes that must be read and written: every source sample once, every result once.

    Samples that several items share, such as two sizes made of one frame, count once.
    """
    sources = {plane.data_ptr(): plane.nbytes for item in items for plane in item.planes}
    return sum(sources.values()) + made_bytes(items)


def made_bytes(items: Sequence[kernels.Item]) -> int:
    """The bytes of the results."""
    total = 0
    for item in items:
        height, width, channels = item.made_shape
        total += height * width * channels
    return total


def floor_seconds(bytes_moved: int, bytes_per_second: float) -> float:
    """The time that moving so many bytes takes."""
    return bytes_moved / bytes_per_second


def copy_bandwidth(
    device: torch.device, seconds_of: Callable[[Callable[[], object]], float]
) -> float:
    """Bytes a second, read and written together, of copying a GiB within the device's memory."""
    source = torch.empty(_COPY_BYTES, dtype=torch.uint8, device=device)
    target: Tensor = torch.empty_like(source)
    return 2 * _COPY_BYTES / seconds_of(lambda: target.copy_(source))
