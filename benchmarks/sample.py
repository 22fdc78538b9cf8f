"""One measurement, as peers report it and results keep it."""

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Sample:
    """What some pictures cost: all numbers are totals over `pictures`.

    `seconds` is the working time on the wall, without imports and start. `memory_bytes` is the
    resident peak of a peer's largest process, or the proportional share of all the product's
    processes. `command_seconds` is the whole `farm run`. None where nobody can tell.
    """

    pictures: int
    seconds: float
    cpu_seconds: float
    bytes_read: int
    memory_bytes: int
    frames: int | None = None
    requests: int | None = None
    command_seconds: float | None = None

    @property
    def seconds_each(self) -> float:
        """Working time for one picture."""
        return self.seconds / self.pictures

    def to_json(self) -> dict[str, Any]:
        """The sample as results keep it."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """The sample that results hold."""
        return cls(**fields)


class ContestantError(Exception):
    """A contestant that is absent, fails or gives no picture; the message says why."""
