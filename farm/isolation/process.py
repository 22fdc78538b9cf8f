"""The start of a zygote's process."""

import os
import socket
import subprocess
import sys

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


def start_zygote(lane_memory_bytes: int) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """The process, which loads what lanes need, and our end of its control socket."""
    control, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "farm.isolation"),
                *(str(theirs.fileno()), str(lane_memory_bytes)),
            ],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            # An own session: a Ctrl-C at the terminal is the run's to answer, not the lanes'.
            start_new_session=True,
            env={**os.environ, **_SINGLE_THREADED, **_KEEPING_MEMORY, **_QUICK},
        )
    return process, control
