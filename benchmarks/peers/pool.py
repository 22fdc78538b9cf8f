"""Keeps all cores busy with units of a peer's work, and tells what they cost."""

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.peers import Done, Peer, Request, Way
from benchmarks.sample import ContestantError, Sample

_Unit = Callable[[int], Done]


def measure(peer: Peer, request: Request) -> Sample:
    """What the request costs; raises ContestantError where the peer fails or gives no picture."""
    cpu, read = _cpu_seconds(), _bytes_read()
    done, seconds = _WAYS[peer.way](peer.prepare(request), request)
    frames = [one.frames for one in done]
    pictures = sum(one.pictures for one in done)
    expected = request.units * len(request.moments or (0,))
    if pictures < expected:
        raise ContestantError(f"gave {pictures} pictures instead of {expected}")
    return Sample(
        pictures=pictures,
        seconds=seconds,
        cpu_seconds=_cpu_seconds() - cpu,
        bytes_read=_bytes_read() - read,
        memory_bytes=_peak_bytes(),
        frames=None if None in frames else sum(filter(None, frames)),
    )


def _in_threads(unit: _Unit, request: Request) -> tuple[list[Done], float]:
    with ThreadPoolExecutor(request.workers) as executor:
        began = time.perf_counter()
        done = list(executor.map(unit, range(request.units)))
        return done, time.perf_counter() - began


def _in_processes(unit: _Unit, request: Request) -> tuple[list[Done], float]:
    fork = multiprocessing.get_context("fork")
    start, results = fork.Barrier(request.workers + 1), fork.SimpleQueue()
    children = [
        fork.Process(target=_share, args=(unit, range(first, request.units, request.workers),
                                          start, results))
        for first in range(request.workers)
    ]  # fmt: skip
    for child in children:
        child.start()
    start.wait()
    began = time.perf_counter()
    shares = [results.get() for _ in children]
    seconds = time.perf_counter() - began
    for child in children:
        child.join()
    if reasons := [share for share in shares if isinstance(share, str)]:
        raise ContestantError(reasons[0])
    return [one for share in shares for one in share], seconds


def _share(
    unit: _Unit, numbers: Iterable[int], start: Barrier, results: "SimpleQueue[list[Done] | str]"
) -> None:
    start.wait()
    try:
        results.put([unit(number) for number in numbers])
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
        results.put(f"{type(error).__name__}: {error}"[:300])


def _by_itself(unit: _Unit, request: Request) -> tuple[list[Done], float]:
    """A peer that does all units at once and says in `Done` what it made."""
    began = time.perf_counter()
    done = unit(request.units)
    return [done], done.seconds or time.perf_counter() - began


_WAYS = {Way.THREADS: _in_threads, Way.PROCESSES: _in_processes, Way.OWN: _by_itself}


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _bytes_read() -> int:
    """Bytes that this process and its ended children asked the system for."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def _peak_bytes() -> int:
    """The resident peak of the largest process.

    Not this one's by `getrusage`, which begins with that of the process that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    own = next(line for line in lines if line.startswith("VmHWM:"))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(int(own.split()[1]), children) * 1024
