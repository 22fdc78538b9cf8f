"""Starts a scheduler and light workers, and tells what CPU time processes have used."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

_END_SECONDS = 60.0


def cpu_seconds(process: psutil.Process) -> float:
    """What a process itself has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def scheduler() -> Iterator[tuple[str, psutil.Process]]:
    """A scheduler as its command starts it: its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *words]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"tcp://127.0.0.1:{port}", psutil.Process(process.pid)
        finally:
            process.terminate()


@contextmanager
def light_workers(address: str, count: int) -> Iterator[None]:
    """So many light workers, in one process."""
    command = [sys.executable, "-m", "benchmarks.scale.light_workers", address, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        try:
            process.communicate(timeout=_END_SECONDS)  # the end of its input is the end of it
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
