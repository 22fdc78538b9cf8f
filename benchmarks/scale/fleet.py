"""The simulated workers: one shard's entries are taken at a time, the last of them overlap.

What is read of the ledger before a shard begins is waited for, as a Dask worker of one thread does.
"""

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.scale.costs import Costs
from benchmarks.scale.events import Clock
from benchmarks.scale.scenario import Scenario

# From so many lost attempts on, entries are made one by one, each marked: farm.trail.
_LOSSES_BEFORE_MARKS = 2


@dataclass(slots=True, eq=False)
class Shard:
    """One shard on its way, and how many workers were lost with it."""

    part: int
    entries: int
    losses: int = 0
    is_committed: bool = False


@dataclass(slots=True, eq=False)
class _Worker:
    number: int
    speed: float
    is_alive: bool = True
    life: int = 0
    stamp: int = 0
    waiting: deque[Shard] = field(default_factory=deque)
    under_way: dict[Shard, None] = field(default_factory=dict)
    taking: Shard | None = None
    taking_since: float = 0.0
    taking_seconds: float = 0.0
    last_part: int = -1
    busy_seconds: float = 0.0


class Workers:
    """All workers of a fleet; counts requests, and the entries whose records were stored.

    `stored` is called when a shard's records are, `lost` for each shard that died with its worker,
    `joined` when a worker is back.
    """

    def __init__(
        self,
        scenario: Scenario,
        costs: Costs,
        clock: Clock,
        *,
        stored: Callable[[Shard, int], object],
        lost: Callable[[Shard], object],
        joined: Callable[[], object],
    ) -> None:
        self._scenario = scenario
        self._costs = costs.worker
        self._clock = clock
        self._random = random.Random(scenario.seed)
        self._stored, self._lost, self._joined = stored, lost, joined
        self.rate, self.limited_by = scenario.worker_rate(costs.worker)
        fleet = scenario.fleet
        self._all = [_Worker(number, self._speed(fleet.spread)) for number in range(fleet.workers)]
        self.alive = fleet.workers
        self.requests: Counter[str] = Counter()
        self.entries_stored = self.shards_stored = self.losses = 0
        self._places: list[tuple[int, float, int, int]] = []
        self._unplaced: list[Shard] = []
        for worker in self._all:
            self._offer(worker)
            self._plan_death(worker)

    @property
    def busy_share(self) -> float:
        """The share of their time in which workers took entries."""
        busy = sum(worker.busy_seconds for worker in self._all)
        return busy / max(1e-9, self._clock.now * len(self._all))

    def assign(self, shard: Shard) -> None:
        """Gives a shard to the worker that has fewest; among equals to a random one."""
        while self._places:
            _, _, number, stamp = heapq.heappop(self._places)
            worker = self._all[number]
            if worker.stamp == stamp and worker.is_alive:
                worker.waiting.append(shard)
                worker.under_way[shard] = None
                self._offer(worker)
                self._begin(worker)
                return
        self._unplaced.append(shard)

    def release(self, shard: Shard, number: int) -> None:
        """Notes that the scheduler knows of a shard's end."""
        worker = self._all[number]
        if shard in worker.under_way:
            del worker.under_way[shard]
            self._offer(worker)

    def _offer(self, worker: _Worker) -> None:
        worker.stamp += 1
        place = (len(worker.under_way), self._random.random(), worker.number, worker.stamp)
        heapq.heappush(self._places, place)

    def _begin(self, worker: _Worker) -> None:
        if worker.taking is not None or not worker.waiting:
            return
        shard = worker.taking = worker.waiting.popleft()
        ready = self._reading_seconds(worker, shard) + self._costs.shard_seconds
        worker.taking_since = self._clock.now + ready
        worker.taking_seconds = self._taking_seconds(worker, shard)
        self._clock.after(ready + worker.taking_seconds, self._last_taken, worker, worker.life)

    def _reading_seconds(self, worker: _Worker, shard: Shard) -> float:
        """Is it committed? Which job is it? Which rows? Each is a request, one after another."""
        self.requests["HEAD results"] += 1
        seconds = self._latency()
        if worker.last_part < 0:
            self.requests["GET heads"] += 1
            seconds += self._latency()
        if worker.last_part != shard.part:
            self.requests["GET plan"] += 1
            seconds += self._latency()
            worker.last_part = shard.part
        return seconds

    def _taking_seconds(self, worker: _Worker, shard: Shard) -> float:
        """How long its entries take, but for the last ones: a sum, which is nearly normal."""
        fleet = self._scenario.fleet
        rate = self.rate
        if shard.losses >= _LOSSES_BEFORE_MARKS:
            self.requests["PUT marks"] += shard.entries
            rate /= fleet.lanes
        mean = shard.entries / rate
        noise = self._random.gauss(1.0, fleet.spread / math.sqrt(shard.entries))
        slow = fleet.slow_factor if self._random.random() < fleet.slow_fraction else 1.0
        return mean * max(0.1, noise) * slow / worker.speed

    def _last_taken(self, worker: _Worker, life: int) -> None:
        if worker.life != life or (shard := worker.taking) is None:
            return
        worker.busy_seconds += worker.taking_seconds
        worker.taking = None
        self.requests["PUT pictures"] += shard.entries * self._scenario.archive.pictures
        self.requests["GET sources"] += shard.entries * self._scenario.archive.source_requests
        seconds = self._tail_seconds(shard) + self._latency()
        self._clock.after(seconds, self._store, worker, life, shard)
        self._begin(worker)

    def _tail_seconds(self, shard: Shard) -> float:
        """What is left of the last entries when none is left to begin.

        The longest of as many exponential times as there are lanes, by inversion.
        """
        lanes = min(self._scenario.fleet.lanes, shard.entries)
        entry_seconds = lanes / self.rate
        share = self._random.random() ** (1 / lanes)
        spread = min(1.0, self._scenario.fleet.spread)
        return entry_seconds * (1 - spread - spread * math.log(max(1e-12, 1 - share)))

    def _store(self, worker: _Worker, life: int, shard: Shard) -> None:
        if worker.life != life:
            return
        self.requests["PUT results"] += 1
        if not shard.is_committed:
            shard.is_committed = True
            self.shards_stored += 1
            self.entries_stored += shard.entries
        self._stored(shard, worker.number)

    def _plan_death(self, worker: _Worker) -> None:
        if rate := self._scenario.fleet.deaths_per_hour:
            seconds = self._random.expovariate(rate / 3600)
            self._clock.after(seconds, self._die, worker)

    def _die(self, worker: _Worker) -> None:
        worker.is_alive = False
        worker.life += 1
        self.alive -= 1
        self._count_what_was_made(worker)
        lost, worker.under_way = worker.under_way, {}
        worker.waiting.clear()
        worker.taking, worker.last_part = None, -1
        for shard in lost:
            if not shard.is_committed:
                self.losses += 1
                shard.losses += 1
            self._lost(shard)
        self._clock.after(self._scenario.fleet.restart_seconds, self._join, worker)

    def _count_what_was_made(self, worker: _Worker) -> None:
        if worker.taking is None:
            return
        begun = max(0.0, self._clock.now - worker.taking_since)
        worker.busy_seconds += begun
        made = int(worker.taking.entries * min(1.0, begun / worker.taking_seconds))
        self.requests["PUT pictures"] += made * self._scenario.archive.pictures
        self.requests["GET sources"] += made * self._scenario.archive.source_requests

    def _join(self, worker: _Worker) -> None:
        worker.is_alive = True
        self.alive += 1
        self._offer(worker)
        self._plan_death(worker)
        unplaced, self._unplaced = self._unplaced, []
        for shard in unplaced:
            self.assign(shard)
        self._joined()

    def _speed(self, spread: float) -> float:
        return max(0.2, self._random.gauss(1.0, spread / 3))

    def _latency(self) -> float:
        return self._scenario.store.draw_seconds(self._random)
