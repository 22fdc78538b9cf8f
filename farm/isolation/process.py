"""The start of the processes that lanes live in: zygotes, and those of GPUs."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping

from farm.isolation.visible import Gpu
from farm.settings import LaneRules

# One thread each: lanes are the parallelism, and a thread pool would not survive the fork.
_SINGLE_THREADED = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
# Every picture takes and frees the same few megabytes. By default glibc hands them back to the
# kernel each time, which then clears the pages anew: half of all page faults.
_KEEPING_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
# torch would look through all installed distributions for backends of devices.
_QUICK = {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}


def start_zygote(rules: LaneRules) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """The process, which loads what lanes need, and our end of its control socket."""
    return _start(str(rules.memory_bytes), "--isolation", rules.isolation.value)


def start_gpu(gpu: Gpu, memory_bytes: int) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """The process, which sees this GPU only, and our end of its control socket."""
    only = {"CUDA_VISIBLE_DEVICES": gpu.name} if gpu.device == "cuda" else {}
    return _start(str(memory_bytes), "--device", gpu.device, environment=only)


def _start(
    *words: str, environment: Mapping[str, str] | None = None
) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    control, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "farm.isolation", str(theirs.fileno()), *words],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            # An own session: a Ctrl-C at the terminal is the run's to answer, not the lanes'.
            start_new_session=True,
            env={
                **os.environ,
                **_SINGLE_THREADED,
                **_KEEPING_MEMORY,
                **_QUICK,
                **(environment or {}),
            },
        )
    return process, control
