"""Whose turn it is to work: so many at once, or one alone."""

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farm.isolation.gpu_lane import GpuLane


class Turns:
    """Turns on so many lanes of the CPU and on the seats of GPUs, or one turn with none beside it.

    Who works alone goes before all others that wait.
    """

    def __init__(self, lanes: int) -> None:
        self._free_lanes = lanes
        self._free_seats: dict[GpuLane, int] = {}
        self._taken = 0
        self._is_alone = False
        self._waiting_alone = 0
        self._changed = threading.Condition()

    def admit(self, gpu: "GpuLane") -> None:
        """Adds the seats of a GPU, which count whenever it is ready."""
        with self._changed:
            self._free_seats[gpu] = gpu.seats
            self._changed.notify_all()

    def look_again(self) -> None:
        """To be called when a GPU got ready."""
        with self._changed:
            self._changed.notify_all()

    @contextlib.contextmanager
    def turn(self, *, alone: bool) -> Iterator["GpuLane | None"]:
        """Waits for a turn and yields the GPU whose seat it is on, None for a lane of the CPU.

        Seats go first. With `alone` it is a lane, and nobody else has a turn meanwhile.
        """
        with self._changed:
            self._waiting_alone += alone
            self._changed.wait_for(lambda: self._may_begin(alone=alone))
            self._waiting_alone -= alone
            gpu = None if alone else self._freest_gpu()
            self._count(gpu, 1)
            self._is_alone = alone
        try:
            yield gpu
        finally:
            with self._changed:
                self._count(gpu, -1)
                self._is_alone = False
                # Where all wait for one turn, any of them will do.
                if alone or self._waiting_alone:
                    self._changed.notify_all()
                else:
                    self._changed.notify()

    def _may_begin(self, *, alone: bool) -> bool:
        if alone:
            return not self._taken
        if self._is_alone or self._waiting_alone:
            return False
        return self._free_lanes > 0 or self._freest_gpu() is not None

    def _freest_gpu(self) -> "GpuLane | None":
        ready = [gpu for gpu, free in self._free_seats.items() if free and gpu.is_ready]
        return max(ready, key=lambda gpu: self._free_seats[gpu], default=None)

    def _count(self, gpu: "GpuLane | None", taken: int) -> None:
        self._taken += taken
        if gpu is None:
            self._free_lanes -= taken
        else:
            self._free_seats[gpu] -= taken
