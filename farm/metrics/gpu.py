"""What NVIDIA's management library tells of GPUs, where it is there and can be asked.

`pynvml` comes with the package nvidia-ml-py. *Nothing here has been verified on a GPU yet.*
"""

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from prometheus_client.core import Metric

from farm.metrics.family import gauges

_logger = logging.getLogger(__name__)


def gpu_use(names: Sequence[str]) -> Iterator[Metric]:
    """How busy GPUs are, by the names that `CUDA_VISIBLE_DEVICES` knows; nothing where unknown."""
    library = _library()
    if library is None:
        return
    used: dict[str, dict[str, float]] = {}
    for name in names:
        try:
            used[name] = _use(library, name)
        except (library.NVMLError, ValueError) as error:
            # A driver that was updated, a GPU that fell off the bus: its lanes find out themselves.
            _logger.debug("GPU %s: %s", name, error)
    for family, (text, key) in FAMILIES.items():
        yield gauges(family, text, "gpu", {name: use[key] for name, use in used.items()})


FAMILIES = {
    "farm_worker_gpu_busy_ratio": ("How much of the last moment a GPU computed.", "gpu"),
    "farm_worker_gpu_decoder_busy_ratio": ("How much of it its decoders worked.", "decoder"),
    "farm_worker_gpu_encoder_busy_ratio": ("How much of it its encoders worked.", "encoder"),
    "farm_worker_gpu_memory_used_bytes": ("Memory of a GPU that is in use.", "memory"),
}


@cache
def _library() -> Any:
    """`pynvml`, ready to be asked; None where there is no such package or no driver."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        _logger.info("no figures of GPUs: %s", error)
        return None
    return pynvml


def _use(library: Any, name: str) -> dict[str, float]:
    by_name = library.nvmlDeviceGetHandleByUUID if name.startswith(("GPU-", "MIG-")) else None
    handle = by_name(name) if by_name else library.nvmlDeviceGetHandleByIndex(int(name))
    return {
        "gpu": library.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
        # A pair: percent, and over how many microseconds.
        "decoder": library.nvmlDeviceGetDecoderUtilization(handle)[0] / 100,
        "encoder": library.nvmlDeviceGetEncoderUtilization(handle)[0] / 100,
        "memory": library.nvmlDeviceGetMemoryInfo(handle).used,
    }
