"""A clock that runs events in their order, and a server of one core."""

import heapq
from collections.abc import Callable
from typing import Any


class Clock:
    """Simulated seconds; events of one moment happen in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._serial = 0

    def after(self, seconds: float, act: Callable[..., object], *arguments: object) -> None:
        """Has something happen so many seconds from now."""
        self._serial += 1
        heapq.heappush(self._events, (self.now + seconds, self._serial, act, arguments))

    def run(self, is_over: Callable[[], bool]) -> None:
        """Lets all happen until it is over; raises RuntimeError where nothing is left to happen."""
        events = self._events
        while not is_over():
            if not events:
                raise RuntimeError("the simulation stands still before its end")
            self.now, _, act, arguments = heapq.heappop(events)
            act(*arguments)


class Server:
    """One core that serves in the order of asking; `background_share` of it is taken by others.

    `busy_seconds` is what was asked of it, without the background.
    """

    def __init__(self, clock: Clock, background_share: float = 0.0) -> None:
        if background_share >= 1:
            raise ValueError(
                f"expected a background load of less than one core, received {background_share:.2f}"
            )
        self._clock = clock
        self._slowness = 1 / (1 - background_share)
        self._free_at = 0.0
        self.busy_seconds = 0.0

    def serve(self, seconds: float, then: Callable[..., object], *arguments: object) -> None:
        """Works for so many CPU seconds when all that was asked before is done, then calls."""
        begin = max(self._clock.now, self._free_at)
        self._free_at = begin + seconds * self._slowness
        self.busy_seconds += seconds
        self._clock.after(self._free_at - self._clock.now, then, *arguments)
