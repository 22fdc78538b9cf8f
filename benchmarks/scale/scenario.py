"""What is to be predicted: an archive, a fleet of workers and a store."""

import math
import random
from dataclasses import dataclass

from benchmarks.scale.costs import WorkerCosts

# Entries that a worker opens or stores beside those in lanes, where stores are far: farm.shard.
_BESIDE_FAR = 8


@dataclass(frozen=True, slots=True)
class Archive:
    """Entries of one kind, of which each gives so many pictures.

    `source_requests` and `source_bytes` are what is read of one source; `ledger` is the kind of
    archive of which the ledger's bytes were measured.
    """

    entries: int
    shard_entries: int = 500
    pictures: int = 1
    source_requests: int = 1
    source_bytes: float = 1e6
    ledger: str = "archive"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Workers of one kind.

    Each decodes `entries_per_second` when its `lanes` (cores and seats of GPUs) are all at work.
    `spread` is the relative deviation of entries and of workers. A worker dies at random, so many
    times an hour, and is back after `restart_seconds`. Of all shards, `slow_fraction` take
    `slow_factor` times as long.
    """

    workers: int
    entries_per_second: float
    lanes: int = 32
    spread: float = 0.3
    deaths_per_hour: float = 0.0
    restart_seconds: float = 60.0
    slow_fraction: float = 0.0
    slow_factor: float = 5.0


@dataclass(frozen=True, slots=True)
class Store:
    """A store as a worker or the client sees it: a request takes about `latency_seconds`.

    `spread` is the deviation of the latency's logarithm; a page of 1,000 keys takes `page_seconds`.
    `worker_bandwidth` is in bytes a second.
    """

    latency_seconds: float = 0.02
    spread: float = 0.5
    page_seconds: float = 0.2
    worker_bandwidth: float = 1.25e9

    @property
    def mean_seconds(self) -> float:
        """The mean latency: it is lognormal, and the other number is its median."""
        return self.latency_seconds * math.exp(self.spread**2 / 2)

    def draw_seconds(self, chosen: random.Random) -> float:
        """The latency of one request."""
        if not self.latency_seconds:
            return 0.0
        return chosen.lognormvariate(math.log(self.latency_seconds), self.spread)


NEAR = Store(latency_seconds=0.0, spread=0.0, page_seconds=0.0, worker_bandwidth=math.inf)
"""The disk of a machine, whose cost is CPU time and counted there."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run from start to end."""

    archive: Archive
    fleet: Fleet
    store: Store = Store()
    seed: int = 1

    def worker_rate(self, costs: WorkerCosts) -> tuple[float, str]:
        """Entries a second that one worker can do, and what keeps it from doing more.

        `decoding`; `worker`: its process, which is Python on one core; `bandwidth`; or `hands`: so
        many entries are under way at once, and each waits for requests besides being decoded.
        """
        fleet, archive, store = self.fleet, self.archive, self.store
        decode_seconds = fleet.lanes / fleet.entries_per_second
        waiting_seconds = (archive.source_requests + archive.pictures) * store.mean_seconds
        limits = {
            "decoding": fleet.entries_per_second,
            "worker": 1 / costs.entry_seconds if costs.entry_seconds else math.inf,
            "bandwidth": store.worker_bandwidth / max(1.0, archive.source_bytes),
            "hands": (fleet.lanes + _BESIDE_FAR)
            / (decode_seconds + waiting_seconds + costs.entry_seconds),
        }
        limit = min(limits, key=lambda name: limits[name])
        return limits[limit], limit
