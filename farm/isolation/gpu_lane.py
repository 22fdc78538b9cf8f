"""The worker's handle on one GPU: its seats, and its process, which is started anew if it dies."""

import logging
import threading
from collections.abc import Callable
from typing import Literal

from farm.errors import ClusterError, LaneCrashError
from farm.isolation.lane import Lane
from farm.isolation.seat import GpuProcess, Seat
from farm.isolation.visible import Gpu, visible_gpus

MOST_DEATHS = 3
"""After so many deaths of its process a GPU is given up, and with it its worker."""

_logger = logging.getLogger(__name__)


class GpuLane:
    """One GPU with so many seats, which are there while its process is ready.

    `changed` is called when it got ready, `lost` with the cause when it is given up after it had
    worked. `fault` is why it works no more, or never did. Thread-safe.
    """

    def __init__(
        self,
        gpu: Gpu,
        *,
        seats: int,
        memory_bytes: int,
        changed: Callable[[], object],
        lost: Callable[[str], object],
    ) -> None:
        self.name = gpu.name
        self.seats = seats
        self.deaths = 0
        self.fault: str | None = None
        self._gpu = gpu
        self._memory_bytes = memory_bytes
        self._changed = changed
        self._lost = lost
        self._lock = threading.Lock()
        self._process: GpuProcess | None = None
        self._ready: GpuProcess | None = None
        self._idle: list[Lane] = []
        self._is_closed = False
        self._is_settled = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="farm-gpu", daemon=True)
        self._keeper.start()

    def await_start(self) -> None:
        """Returns when the GPU is ready or has a `fault`."""
        self._is_settled.wait()

    @property
    def is_ready(self) -> bool:
        """Whether its seats can be taken."""
        process = self._ready
        return process is not None and process.is_alive

    def seat(self) -> Lane | None:
        """A seat for one entry; None where the process is gone."""
        with self._lock:
            process = self._ready
            if process is None or not process.is_alive:
                return None
            if self._idle:
                return self._idle.pop()
        try:
            return process.fork()
        except LaneCrashError:
            return None

    def keep(self, seat: Lane) -> None:
        """Takes a seat back for the next entry."""
        with self._lock:
            if isinstance(seat, Seat) and seat.process is self._ready:
                self._idle.append(seat)
                return
        seat.close()

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._is_closed = True
            process = self._process
        if process is not None:
            process.close()
        self._keeper.join()

    def _keep(self) -> None:
        """Has a process at work until there were too many deaths."""
        while (ending := self._live()) is not None:
            was_ever_ready = self._is_settled.is_set()
            self.deaths += was_ever_ready
            if not was_ever_ready or self.deaths >= MOST_DEATHS:
                self.fault = ending
                self._is_settled.set()
                if was_ever_ready:
                    self._lost(f"GPU {self.name} is given up after {self.deaths} deaths: {ending}")
                return
            _logger.warning("GPU %s: %s; it is started anew", self.name, ending)

    def _live(self) -> str | None:
        """The life of one process: how it ended; None where it was closed."""
        try:
            process = self._start()
            if process is None:
                return None
            process.await_ready()
        except (ClusterError, OSError) as error:
            return None if self._is_closed else str(error)
        with self._lock:
            self._ready = process
        self._is_settled.set()
        self._changed()
        ending = process.await_end()
        with self._lock:
            self._ready = None
            seats, self._idle = self._idle, []
        for seat in seats:
            seat.close()
        if self._is_closed:
            return None
        process.close()
        return ending

    def _start(self) -> GpuProcess | None:
        with self._lock:
            if self._is_closed:
                return None
            self._process = GpuProcess(self._gpu, memory_bytes=self._memory_bytes)
            return self._process


def start_gpus(
    asked: int | Literal["all"],
    *,
    seats: int,
    memory_bytes: int,
    changed: Callable[[], object],
    lost: Callable[[str], object],
) -> list[GpuLane]:
    """The GPUs that are asked for, starting; raises ClusterError for more than there are."""
    found = visible_gpus() if asked else []
    if asked != "all":
        if len(found) < asked:
            names = ", ".join(gpu.name for gpu in found) or "none"
            raise ClusterError(f"expected {asked} GPUs, found {len(found)}: {names}")
        found = found[:asked]
    elif not found:
        _logger.warning("no GPU was found: the CPU does all the work")
    return [
        GpuLane(gpu, seats=seats, memory_bytes=memory_bytes, changed=changed, lost=lost)
        for gpu in found
    ]


def working(gpus: list[GpuLane], *, asked: int | Literal["all"]) -> list[GpuLane]:
    """Those that got ready.

    Raises ClusterError where one that was asked for by number did not; warns of others.
    """
    for gpu in gpus:
        gpu.await_start()
    broken = [f"GPU {gpu.name}: {gpu.fault}" for gpu in gpus if gpu.fault is not None]
    if broken and asked != "all":
        good = len(gpus) - len(broken)
        raise ClusterError(f"expected {asked} GPUs that work, found {good}: {'; '.join(broken)}")
    for message in broken:
        _logger.warning("%s; it is not used", message)
    if broken and len(broken) == len(gpus):
        _logger.warning("no GPU works: the CPU does all the work")
    return [gpu for gpu in gpus if gpu.fault is None]
