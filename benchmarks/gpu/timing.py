"""Times work of a GPU: by its own events, or on the wall where the host's part is to count."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

_WARM_UPS = 3
_REPEATS = 9


def gpu_seconds(work: Callable[[], object]) -> float:
    """The median time between two events around the work: 9 repeats after 3 unmeasured ones."""
    times: list[float] = []
    for number in range(_WARM_UPS + _REPEATS):
        began, ended = _event(), _event()
        began.record()
        work()
        ended.record()
        ended.synchronize()
        if number >= _WARM_UPS:
            times.append(float(began.elapsed_time(ended)) / 1e3)
    return statistics.median(times)


def wall_seconds(work: Callable[[], object], *, repeats: int = _REPEATS) -> float:
    """The median time from the call until the GPU is idle again."""
    times: list[float] = []
    for number in range(_WARM_UPS + repeats):
        _settle()
        began = time.perf_counter()
        work()
        _settle()
        if number >= _WARM_UPS:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def _event() -> Any:
    make: Any = torch.cuda.Event  # untyped
    return make(enable_timing=True)


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
