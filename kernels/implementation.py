"""The implementations by name, loaded on first use, and which one serves a device."""

import os
from functools import cache
from importlib import import_module
from typing import cast

import torch

from kernels.separable import Implementation

# Triton's interpreter runs the kernels of a GPU on any machine, slowly: for tests.
_TRITON_SERVES = {"cuda", "cpu"} if os.environ.get("TRITON_INTERPRET") == "1" else {"cuda"}

# Name -> the module whose IMPLEMENTATION it is, and the device types that it serves.
_REGISTRY: dict[str, tuple[str, frozenset[str]]] = {
    "torch_cpu": ("kernels.torch_cpu", frozenset({"cpu"})),
    "triton": ("kernels.triton_fused", frozenset(_TRITON_SERVES)),
    "reference": ("kernels.reference", frozenset({"cpu", "cuda"})),
}


def implementations(device: torch.device) -> tuple[str, ...]:
    """The names that serve a device, the preferred one first."""
    return tuple(name for name, (_, served) in _REGISTRY.items() if device.type in served)


@cache
def load(name: str) -> Implementation:
    """The implementation of that name."""
    return cast(Implementation, import_module(_REGISTRY[name][0]).IMPLEMENTATION)


def implementation_for(device: torch.device, name: str | None = None) -> Implementation:
    """The named implementation, or the preferred one for the device.

    Raises ValueError where the name, or any name, does not serve the device.
    """
    allowed = implementations(device)
    if not allowed or name not in (None, *allowed):
        raise ValueError(
            f"expected an implementation for device {device.type!r}, one of {allowed}; "
            f"received {name!r}"
        )
    return load(name or allowed[0])
