"""What one transfer may cost, and the clock of one that has begun."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

CONNECT_SECONDS = 10.0
TOTAL_SECONDS = 3600.0


class TransferTimeError(Exception):
    """The transfer used up its time; becomes a failure where its URL is known."""


def _go_on() -> None:
    pass


def _ignore(received_bytes: int, total_bytes: int | None) -> None:
    del received_bytes, total_bytes


@dataclass(frozen=True, slots=True)
class Terms:
    """Bounds of one transfer, and those who watch it.

    `most_bytes` bounds what is kept, `total_seconds` all tries together. `check` is called about
    twice a second, from any thread; what it raises ends the transfer. `progress` is called as often
    with the bytes so far and of all, the latter where known.
    """

    most_bytes: int
    total_seconds: float = TOTAL_SECONDS
    connect_seconds: float = CONNECT_SECONDS
    check: Callable[[], None] = _go_on
    progress: Callable[[int, int | None], None] = _ignore


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was brought here; `filename` is a safe one, `md5` in hexadecimal."""

    path: Path
    filename: str
    size_bytes: int
    md5: str
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """The clock of a transfer that has begun."""

    terms: Terms
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "deadline", time.monotonic() + self.terms.total_seconds)

    def check(self) -> None:
        """Raises what the terms' `check` does, or TransferTimeError past the deadline."""
        self.terms.check()
        if self.seconds_left <= 0:
            raise TransferTimeError(f"not done within {self.terms.total_seconds:g} s")

    def sleep(self, seconds: float) -> None:
        """Waits, but not longer than the transfer may go on."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, 0.2))

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; negative past it."""
        return self.deadline - time.monotonic()
