"""The worker's lanes, on the CPU and on GPUs: made when needed, replaced when used up."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Literal

from farm.errors import FarmError, LaneCrashError, LaneError, LaneMemoryError, LaneTimeoutError
from farm.isolation.gpu_lane import GpuLane, start_gpus, working
from farm.isolation.handover import take_over
from farm.isolation.lane import Lane
from farm.isolation.parent import Zygote
from farm.isolation.turn import Load, Turns
from farm.meter import LaneEnd, Meter
from farm.settings import LaneRules

_LOSSES: dict[type[FarmError], LaneEnd] = {
    LaneTimeoutError: LaneEnd.TIMEOUT,
    LaneMemoryError: LaneEnd.OUT_OF_MEMORY,
}

_logger = logging.getLogger(__name__)


class LanePool:
    """As many lanes as may work at once, made when needed and replaced when used up.

    `lanes` are processes of the CPU; each GPU that is asked for, all or a number of them, adds
    `gpu_seats`, which are lanes to whoever leases them. The attribute `lanes` is their sum. So many
    `reserved` processes more are for urgent entries alone, and made when the first one needs them.
    `gpu_lost` is called with the cause when a GPU is given up after too many deaths of its process.
    `zygote_address` is where an `EarlyZygote` may wait for a pool. `meter` counts ends of lanes.

    Thread-safe. `close` ends all of them; they also end by themselves when this process dies.
    Raises ClusterError where lanes cannot be started, or fewer GPUs work than the number asked for.
    """

    def __init__(
        self,
        *,
        lanes: int,
        rules: LaneRules,
        reserved: int = 0,
        zygote_address: str | None = None,
        gpus: int | Literal["all"] = 0,
        gpu_seats: int = 16,
        gpu_lost: Callable[[str], object] = lambda cause: None,
        meter: Meter | None = None,
    ) -> None:
        self._rules = rules
        self._meter = meter
        self._gpu_lost = gpu_lost
        self._turns = Turns(lanes, reserved=reserved)
        self._lock = threading.Lock()
        self._idle: list[Lane] = []
        with contextlib.ExitStack() as undo:
            # GPUs take longest: they get ready beside the zygote.
            self._gpus = start_gpus(
                gpus,
                seats=gpu_seats,
                memory_bytes=gpu_seats * rules.memory_bytes,
                changed=self._turns.look_again,
                lost=self._lose_gpu,
            )
            for gpu in self._gpus:
                undo.callback(gpu.close)
            early = take_over(zygote_address) if zygote_address is not None else None
            self._zygote = Zygote(rules, early)
            undo.callback(self._zygote.close)
            self._gpus = working(self._gpus, asked=gpus)
            undo.pop_all()
        for part, reason in self._zygote.lacking.items():
            # Loud where hostile files can do more; the user alone guards little beside the others.
            level = logging.INFO if part == "own user" else logging.ERROR
            _logger.log(level, "the sandbox of lanes does without %s: %s", part, reason)
        for gpu in self._gpus:
            self._turns.admit(gpu)
        self.lanes = lanes + gpu_seats * len(self._gpus)

    def _lose_gpu(self, cause: str) -> None:
        # Those that wait for one of its seats have to be content with a lane.
        self._turns.look_again()
        self._gpu_lost(cause)

    @contextlib.contextmanager
    def lease(
        self, *, alone: bool = False, urgent: bool = False, gpu: bool = False
    ) -> Iterator[Lane]:
        """Lends a lane, waiting until one is free; seats of GPUs go first.

        With `alone` it is one of the CPU that has seen no other entry, and no other lane is lent
        meanwhile, but the reserved ones. Who is `urgent` goes before all others that wait. With
        `gpu` it is a seat, alone too, as long as there is a GPU that has not been given up.
        """
        with self._place(alone=alone, urgent=urgent, gpu=gpu) as (gpu_lane, lane):
            # Anything but an answer leaves the conversation in an unknown place.
            end: LaneEnd | None = LaneEnd.KILLED
            try:
                yield lane
                end = None
            except LaneCrashError:
                end = LaneEnd.KILLED if lane.was_killed else LaneEnd.CRASH
                # It may live, but have lied: then it is not asked again, nor what it shares.
                lane.kill()
                raise
            except FarmError as error:
                lost = isinstance(error, LaneError)
                end = _LOSSES.get(type(error), LaneEnd.CRASH) if lost else None
                raise
            finally:
                if end is None:
                    end = lane.wear(self._rules) if lane.is_alive else LaneEnd.KILLED
                if end is None:
                    (self if gpu_lane is None else gpu_lane).keep(lane)
                else:
                    lane.close()
                    self._count(end if gpu_lane is None else None)

    @contextlib.contextmanager
    def _place(
        self, *, alone: bool, urgent: bool, gpu: bool
    ) -> Iterator[tuple[GpuLane | None, Lane]]:
        """A turn and the lane to use it on, with the GPU that it belongs to."""
        while True:
            with self._turns.turn(alone=alone, urgent=urgent, gpu=gpu) as gpu_lane:
                lane = self._take(fresh=alone) if gpu_lane is None else gpu_lane.seat()
                # A GPU may have died just now: another place will do.
                if lane is not None:
                    yield gpu_lane, lane
                    return

    def keep(self, lane: Lane) -> None:
        """Takes a lane of the CPU back for the next entry."""
        with self._lock:
            self._idle.append(lane)

    def _take(self, *, fresh: bool) -> Lane:
        with self._lock:
            if not self._zygote.is_alive:
                # Its lanes died with it.
                self._close_idle(LaneEnd.ZYGOTE)
                self._zygote.close()
                self._zygote = Zygote(self._rules)
            if self._idle and not fresh:
                return self._idle.pop()
            if self._idle:
                # A lane more than slots would be a memory budget more than promised.
                self._idle.pop(0).close()
                self._count(LaneEnd.LONE)
            zygote = self._zygote
        return zygote.fork()

    def close(self) -> None:
        """Ends all lanes, the zygote and the processes of GPUs."""
        with self._lock:
            self._close_idle()
            self._zygote.close()
        for gpu in self._gpus:
            gpu.close()

    def _close_idle(self, end: LaneEnd | None = None) -> None:
        while self._idle:
            self._idle.pop().close()
            self._count(end)

    def _count(self, end: LaneEnd | None) -> None:
        """Counts the end of a lane of the CPU; seats end as their GPU's process does."""
        if self._meter is not None and end is not None:
            self._meter.lane_ended(end)

    def load(self) -> Load:
        """How many of all places are taken just now, and how many entries wait for one."""
        return self._turns.load()
