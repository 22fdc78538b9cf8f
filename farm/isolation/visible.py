"""Which GPUs a worker may use, asked without loading CUDA into it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

_ASK_SECONDS = 60.0
_COUNT = "import torch; print(*range(torch.cuda.device_count()), sep='\\n')"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU: what CUDA_VISIBLE_DEVICES calls it, and where its process computes.

    On the device `cpu` the same code runs without a GPU: for tests.
    """

    name: str
    device: Literal["cuda", "cpu"] = "cuda"


def visible_gpus() -> list[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES grants; without it those that nvidia-smi or torch names.

    Whether they work is not known yet. FARM_PRETEND_GPUS=N gives N that compute on the CPU.
    """
    pretended = int(os.environ.get("FARM_PRETEND_GPUS") or 0)
    if pretended:
        return [Gpu(f"pretended-{number}", "cpu") for number in range(pretended)]
    granted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if granted is not None:
        return [Gpu(name) for name in _before_invalid(granted)]
    # By UUID, because numbers mean another order to CUDA.
    words = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    names = _lines(words) or _lines([sys.executable, "-P", "-c", _COUNT])
    return [Gpu(name) for name in names]


def _before_invalid(granted: str) -> list[str]:
    """The names up to the first that is none, where CUDA stops reading too."""
    names: list[str] = []
    for word in granted.split(","):
        name = word.strip()
        if not name or name.startswith("-"):
            break
        names.append(name)
    return names


def _lines(words: list[str]) -> list[str]:
    """What a program prints; nothing where it is missing, fails or takes too long."""
    try:
        asked = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=_ASK_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in asked.stdout.splitlines() if line.strip()]
