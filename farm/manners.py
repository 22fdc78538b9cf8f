"""How a run behaves towards others: its share of the cluster, and of the stores that it reads."""

import math
import re
from dataclasses import dataclass

from farm.errors import InvalidJobError

_BYTE_RATE = re.compile(r"(\d+(?:\.\d+)?) ?([kKMGT]?)(i?)B?(?:/s)?")
_EXPONENTS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True)
class Rates:
    """What a run, or one worker of it, may read; None: as much as it can.

    `requests_per_second` is for each host that sources come from.
    """

    bytes_per_second: float | None = None
    requests_per_second: float | None = None

    @property
    def are_limited(self) -> bool:
        """Whether anything is."""
        return self.bytes_per_second is not None or self.requests_per_second is not None

    def share(self, workers: int) -> "Rates":
        """What each of so many workers may read."""
        return Rates(
            _share(self.bytes_per_second, workers), _share(self.requests_per_second, workers)
        )


@dataclass(frozen=True, slots=True)
class Manners:
    """The rates of a run as a whole, and its `priority` among others: higher goes first."""

    rates: Rates = Rates()
    priority: int = 0

    def __post_init__(self) -> None:
        for name, value in (
            ("max-read-rate", self.rates.bytes_per_second),
            ("max-requests-per-host", self.rates.requests_per_second),
        ):
            if value is not None and not value > 0:
                raise InvalidJobError(f"{name}: expected more than 0, received {value:g}")


def byte_rate(text: str) -> float:
    """Bytes per second from words such as 50MB, 1GiB or 800000/s; raises InvalidJobError."""
    match = _BYTE_RATE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise InvalidJobError(
            f"max-read-rate: expected bytes per second such as 50MB or 1GiB, received {text!r}"
        )
    factor = 1024.0 if match[3] else 1000.0
    return float(match[1]) * math.pow(factor, _EXPONENTS[match[2].upper()])


def _share(rate: float | None, workers: int) -> float | None:
    return None if rate is None else rate / max(1, workers)
