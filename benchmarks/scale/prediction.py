"""What the simulation of a run says, and what that costs at prices."""

from collections import Counter
from dataclasses import dataclass

from benchmarks.scale.requests import HEAD_OBJECTS, by_method
from benchmarks.scale.scenario import Scenario

_BUSY_SHARE = 0.9
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Phases:
    """Wall seconds of the parts of a run; planning goes on beside the work, and may take as long.

    `reading_seconds` is how long the client lists and reads results objects when all is done.
    `resume_seconds`, which is no part of it, is how long the same command takes, where it goes on
    just before the end, to find out what is left.
    """

    start_seconds: float
    planning_seconds: float
    working_seconds: float
    reading_seconds: float
    resume_seconds: float

    @property
    def seconds(self) -> float:
        """From the command's start to its end."""
        return self.start_seconds + self.working_seconds + self.reading_seconds


@dataclass(frozen=True, slots=True)
class Prediction:
    """One predicted run; shares are of one core, over the time in which workers work."""

    scenario: Scenario
    phases: Phases
    worker_rate: float
    worker_limit: str
    workers_busy_share: float
    client_seconds: float
    client_share: float
    client_peak_bytes: float
    scheduler_seconds: float
    scheduler_share: float
    entries_stored: int
    shards: int
    parts: int
    losses: int
    requests: Counter[str]
    ledger_bytes: float

    @property
    def ledger_objects(self) -> int:
        """Objects of the ledger when the run is over; marks go with `farm gc`."""
        return HEAD_OBJECTS + self.parts + self.shards + self.requests["PUT marks"]

    @property
    def ledger_puts(self) -> int:
        """PUT requests for the ledger, without the heartbeats of its lease."""
        kinds = ("heads", "plan", "results", "marks")
        return sum(self.requests[f"PUT {kind}"] for kind in kinds)

    @property
    def entries_per_second(self) -> float:
        """Over the whole command."""
        return self.entries_stored / max(1e-9, self.phases.seconds)

    @property
    def bottleneck(self) -> str:
        """What more of would help most: `workers`, `planner`, `scheduler`, `client` or `reading`.

        `planner` and `client` are one core; `reading` is the end of the run.
        """
        phases = self.phases
        if phases.reading_seconds > phases.working_seconds:
            return "reading"
        if phases.planning_seconds > _BUSY_SHARE * phases.working_seconds and (
            self.workers_busy_share < _BUSY_SHARE
        ):
            return "planner"
        if self.scheduler_share > _BUSY_SHARE:
            return "scheduler"
        return "client" if self.client_share > _BUSY_SHARE else "workers"


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars: of an object store's requests by the piece, and of what it keeps for a month.

    The defaults are list prices of a large provider's standard class as commonly quoted, and a
    GPU machine's hour is a guess: replace them by yours.
    """

    put: float = 5e-6
    get: float = 4e-7
    gigabyte_month: float = 0.023
    worker_hour: float = 3.0


@dataclass(frozen=True, slots=True)
class Bill:
    """US dollars by cause."""

    workers: float
    pictures: float
    sources: float
    ledger: float

    @property
    def sum(self) -> float:
        """All of it."""
        return self.workers + self.pictures + self.sources + self.ledger


def bill(prediction: Prediction, prices: Prices) -> Bill:
    """What a run costs, its workers paid for until the command ends, its ledger for a month."""
    asked = prediction.requests.copy()
    pictures = asked.pop("PUT pictures", 0) * prices.put
    sources = asked.pop("GET sources", 0) * prices.get
    rest = by_method(asked)
    ledger = (rest["PUT"] + rest["LIST"]) * prices.put + (rest["GET"] + rest["HEAD"]) * prices.get
    ledger += prediction.ledger_bytes / _GB * prices.gigabyte_month
    hours = prediction.phases.seconds / 3600
    return Bill(prediction.scenario.fleet.workers * hours * prices.worker_hour,
                pictures, sources, ledger)  # fmt: skip
