"""What one transfer may cost, and whether it is still wanted."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

CONNECT_SECONDS = 10.0
TOTAL_SECONDS = 3600.0


class TransferCancelledError(Exception):
    """Nobody wants the transfer any more; no failure, hence none of the farm's."""


class TransferTimeError(Exception):
    """The transfer used up its time; translated into a failure where its URL is known."""


def _never() -> bool:
    return False


def _ignore(received_bytes: int, total_bytes: int | None) -> None:
    del received_bytes, total_bytes


@dataclass(frozen=True, slots=True)
class Terms:
    """Bounds of one transfer, and those who watch it.

    `most_bytes` bounds what is kept on the disk, `total_seconds` all tries together. `progress` is
    called with the bytes so far and of all, the latter where known. Both may be called from any
    thread, `cancelled` about twice a second.
    """

    most_bytes: int
    total_seconds: float = TOTAL_SECONDS
    connect_seconds: float = CONNECT_SECONDS
    cancelled: Callable[[], bool] = _never
    progress: Callable[[int, int | None], None] = _ignore


@dataclass(frozen=True, slots=True)
class Watch:
    """The clock of a transfer that has begun."""

    terms: Terms
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "deadline", time.monotonic() + self.terms.total_seconds)

    def check(self) -> None:
        """Raises TransferCancelledError or TransferTimeError where the transfer has to end."""
        if self.terms.cancelled():
            raise TransferCancelledError("the transfer was cancelled")
        if self.seconds_left <= 0:
            raise TransferTimeError(f"not done within {self.terms.total_seconds:g} s")

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; negative past it."""
        return self.deadline - time.monotonic()
