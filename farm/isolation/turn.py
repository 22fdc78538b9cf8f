"""Whose turn it is to work: so many at once, or one alone; who is urgent goes first."""

import contextlib
import enum
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farm.isolation.gpu_lane import GpuLane

LONE_PATIENCE_SECONDS = 60.0
"""So long urgent ones go before one that waits to work alone; then it goes before them.

Else a worker with an urgent entry at every moment would never come to it, nor to all that wait
behind it.
"""


class _Cpu(enum.Enum):
    LANE = enum.auto()
    RESERVED = enum.auto()


@dataclass(slots=True, eq=False)
class _Ask:
    """One that waits for a turn, and the place that it got."""

    alone: bool
    urgent: bool
    gpu: bool
    since: float = field(default_factory=time.monotonic)
    place: "GpuLane | _Cpu | None" = None
    granted: threading.Event = field(default_factory=threading.Event)

    def rank(self, now: float) -> int:
        """The lower, the earlier."""
        if self.alone and not self.urgent:
            return 0 if now - self.since > LONE_PATIENCE_SECONDS else 2
        return 1 if self.urgent else 3


@dataclass(frozen=True, slots=True)
class Load:
    """How many have a turn, on which places, and how many wait for one; seats by their GPU."""

    lanes: int
    lanes_busy: int
    reserved: int
    reserved_busy: int
    seats_busy: "dict[GpuLane, int]"
    waiting: int


class Turns:
    """Turns on lanes of the CPU and on the seats of GPUs, or one turn with none beside it.

    Who is urgent goes before all others that wait, then who works alone; among equals who came
    first. Only urgent ones have `reserved` lanes too. These stand beside everything else: who works
    alone neither waits for them nor keeps anybody from them, because a lone turn may last as long
    as an entry's time limit, which is just what they are reserved against. Thread-safe.
    """

    def __init__(self, lanes: int, *, reserved: int = 0) -> None:
        self._all = {_Cpu.LANE: lanes, _Cpu.RESERVED: reserved}
        self._free = dict(self._all)
        self._free_seats: dict[GpuLane, int] = {}
        self._taken = 0
        self._is_alone = False
        self._waiting: list[_Ask] = []
        self._lock = threading.Lock()

    def admit(self, gpu: "GpuLane") -> None:
        """Adds the seats of a GPU, which count whenever it is ready."""
        with self._lock:
            self._free_seats[gpu] = gpu.seats
            self._grant()

    def look_again(self) -> None:
        """To be called when a GPU got ready, or was given up."""
        with self._lock:
            self._grant()

    def load(self) -> Load:
        """How many work and wait just now."""
        with self._lock:
            busy = {place: self._all[place] - self._free[place] for place in _Cpu}
            return Load(
                lanes=self._all[_Cpu.LANE],
                lanes_busy=busy[_Cpu.LANE],
                reserved=self._all[_Cpu.RESERVED],
                reserved_busy=busy[_Cpu.RESERVED],
                seats_busy={gpu: gpu.seats - free for gpu, free in self._free_seats.items()},
                waiting=len(self._waiting),
            )

    @contextlib.contextmanager
    def turn(
        self, *, alone: bool = False, urgent: bool = False, gpu: bool = False
    ) -> Iterator["GpuLane | None"]:
        """Waits for a turn and yields the GPU whose seat it is on, None for a lane of the CPU.

        Seats go first. With `alone` nobody else has a turn meanwhile, but on reserved lanes, and it
        is a lane. With `gpu` it is a seat in any case, unless all GPUs are given up.
        """
        ask = _Ask(alone, urgent, gpu)
        with self._lock:
            self._waiting.append(ask)
            self._grant()
        try:
            ask.granted.wait()
            yield None if isinstance(ask.place, _Cpu) else ask.place
        finally:
            with self._lock:
                self._end(ask)
                self._grant()

    def _end(self, ask: _Ask) -> None:
        if ask.place is None:
            self._waiting.remove(ask)
            return
        self._count(ask.place, -1)
        self._is_alone = self._is_alone and not ask.alone

    def _grant(self) -> None:
        """Gives turns to all that may begin now."""
        now = time.monotonic()
        is_held = self._is_alone
        for ask in sorted(self._waiting, key=lambda ask: ask.rank(now)):
            place = self._place(ask, is_held=is_held)
            if place is not None:
                self._waiting.remove(ask)
                self._count(place, 1)
                ask.place = place
                ask.granted.set()
                self._is_alone = self._is_alone or ask.alone
            # Those behind it wait until the lanes are empty and it has had its turn.
            is_held = is_held or ask.alone

    def _place(self, ask: _Ask, *, is_held: bool) -> "GpuLane | _Cpu | None":
        if ask.alone:
            is_held = is_held or self._taken > 0
        needs_seat = ask.gpu and any(gpu.fault is None for gpu in self._free_seats)
        if not is_held:
            if (needs_seat or not ask.alone) and (gpu := self._freest_gpu()) is not None:
                return gpu
            if not needs_seat and self._free[_Cpu.LANE] > 0:
                return _Cpu.LANE
        if ask.urgent and not ask.alone and not needs_seat and self._free[_Cpu.RESERVED] > 0:
            return _Cpu.RESERVED
        return None

    def _freest_gpu(self) -> "GpuLane | None":
        ready = [gpu for gpu, free in self._free_seats.items() if free and gpu.is_ready]
        return max(ready, key=lambda gpu: self._free_seats[gpu], default=None)

    def _count(self, place: "GpuLane | _Cpu", taken: int) -> None:
        self._taken += taken * (place is not _Cpu.RESERVED)
        if isinstance(place, _Cpu):
            self._free[place] -= taken
        else:
            self._free_seats[place] -= taken
