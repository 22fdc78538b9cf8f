"""Times work of a GPU: by its own events, or on the wall where the host's part is to count."""

import statistics
import time
from collections.abc import Callable

import torch

_WARM_UPS = 3
_REPEATS = 9


def gpu_seconds(work: Callable[[], object]) -> float:
    """The median time between two events around the work, over 9 repeats after 3 unmeasured ones."""
    times = []
    for number in range(_WARM_UPS + _REPEATS):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        work()
        ended.record()
        ended.synchronize()
        if number >= _WARM_UPS:
            times.append(began.elapsed_time(ended) / 1e3)
    return statistics.median(times)


def wall_seconds(work: Callable[[], object], *, repeats: int = _REPEATS) -> float:
    """The median time from the call until the GPU is idle again."""
    times = []
    for number in range(_WARM_UPS + repeats):
        _settle()
        began = time.perf_counter()
        work()
        _settle()
        if number >= _WARM_UPS:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
