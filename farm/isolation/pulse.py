"""Whether a GPU's process can still work: it ends where its GPU is lost or stands still.

An error of CUDA stays with the process that met it: every later call in it fails too. A GPU that
hangs answers nothing at all. In both cases the worker must hear of it, and starts a new process.
"""

import contextlib
import faulthandler
import gc
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import torch

from farm.engines import Device

GPU_LOST = os.EX_IOERR
"""The exit code of a process whose GPU fails every call."""

MEMORY_FULL = os.EX_TEMPFAIL
"""The exit code of a process that uses more of the host's memory than it may."""

STOOD_STILL = 1
"""The exit code of a process that did nothing for a long time; faulthandler's own."""

_BEAT_SECONDS = 0.5
_STILL_SECONDS = 60.0


def check_of(device: Device) -> Callable[[], object]:
    """A function that returns where the device answers, and raises RuntimeError otherwise."""
    # Nothing is allocated by it: a GPU whose memory is full still answers.
    return torch.zeros(1, device=device).item


def end_if_lost(check: Callable[[], object]) -> None:
    """Ends this process where the check fails."""
    try:
        check()
    except RuntimeError:
        os._exit(GPU_LOST)


def keep_watch(
    check: Callable[[], object], memory_bytes: int, *, still_seconds: float = _STILL_SECONDS
) -> None:
    """Looks twice a second, for ever; ends the process for one of the causes above.

    faulthandler's clock runs in a thread of C: it also ends a process that cannot run Python.
    """
    with open(os.devnull, "w") as nowhere:
        while True:
            faulthandler.dump_traceback_later(still_seconds, exit=True, file=nowhere)
            end_if_lost(check)
            # Once for all threads: frames of PyAV are parts of cycles, tens of megabytes each.
            gc.collect()
            if own_bytes() > memory_bytes:
                os._exit(MEMORY_FULL)
            time.sleep(_BEAT_SECONDS)


def own_bytes() -> int:
    """The memory of this process that it shares with no other and no file; 0 without /proc."""
    with contextlib.suppress(OSError):
        _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
        return (int(resident) - int(shared)) * resource.getpagesize()
    return 0
