"""The simulation of a run: planner and window of the client, the scheduler, workers and a store.

Follows `farm.run`, `farm.planner` and `farm.cluster`: the client's planner, run loop and Dask
threads share one core, as threads of Python do; the planner waits for nobody; the window is two
shards for each worker and two more; a lost shard is sent again, first of all; when all is
committed, the client reads all results objects twice, some of them ahead.

Each shard is simulated, entries are not: their times are summed where a shard needs the sum.
"""

from collections import Counter, deque
from collections.abc import Iterator

from benchmarks.scale import requests
from benchmarks.scale.costs import Costs, LedgerBytes
from benchmarks.scale.cutting import Cut, cut, parts
from benchmarks.scale.events import Clock, Server
from benchmarks.scale.fleet import Shard, Workers
from benchmarks.scale.prediction import Phases, Prediction
from benchmarks.scale.reading import reading_seconds
from benchmarks.scale.scenario import Scenario

_SHARDS_A_WORKER = 2
_EXTRA_SHARDS = 2
_MOST_ATTEMPTS = 5
_LOOK_SECONDS = 2.0
_ASK_SECONDS = 10.0
_MESSAGE_SECONDS = 0.001
_MANIFEST_ROW_BYTES = 100


def predict(scenario: Scenario, costs: Costs) -> Prediction:
    """What a run will take; the same for the same seed.

    Raises ValueError where the scheduler or the client cannot even look after so many workers, or
    where a shard is lost as often as ends a run.
    """
    return _Run(scenario, costs).run()


def heartbeats_a_second(workers: int) -> float:
    """Heartbeats that a scheduler gets: Dask has them come less often, the more workers it has.

    From `heartbeat_interval` of `distributed.scheduler`.
    """
    if workers <= 10:
        return workers / 0.5
    if workers < 50:
        return workers / 1.0
    return workers / 2.0 if workers < 200 else workers / (workers / 200 + 1)


def scheduler_share(workers: int, costs: Costs) -> float:
    """Which share of a core a scheduler takes while busy workers do nothing new."""
    each = costs.scheduler
    looks = workers * (each.look_seconds / _LOOK_SECONDS + each.ask_seconds / _ASK_SECONDS)
    return each.idle_share + heartbeats_a_second(workers) * each.heartbeat_seconds + looks


def client_share(workers: int, costs: Costs) -> float:
    """Which share of a core the client takes meanwhile."""
    return costs.client.idle_share + workers * costs.client.look_seconds / _LOOK_SECONDS


class _Run:
    """One simulated pass; used once."""

    def __init__(self, scenario: Scenario, costs: Costs) -> None:
        self._scenario = scenario
        self._costs = costs
        archive, number = scenario.archive, scenario.fleet.workers
        self._clock = Clock()
        self._client_share = client_share(number, costs)
        self._scheduler_share = scheduler_share(number, costs)
        self._client = Server(self._clock, self._client_share)
        self._scheduler = Server(self._clock, self._scheduler_share)
        self._workers = Workers(
            scenario,
            costs,
            self._clock,
            stored=self._stored,
            lost=self._lost,
            joined=self._fill_window,
        )
        self._cut: Cut = cut(archive.entries, archive.shard_entries)
        self._parts: Iterator[tuple[int, list[int]]] = enumerate(
            parts(archive.entries, archive.shard_entries)
        )
        self._todo: deque[Shard] = deque()
        self._in_flight: set[Shard] = set()
        self._settled = self._planned_shards = 0
        self._planned_at = self._settled_at = 0.0

    def run(self) -> Prediction:
        """Lets all happen."""
        if self._cut.shards:
            self._plan_part()
            self._clock.run(lambda: self._settled == self._cut.shards)
        return self._prediction()

    def _plan_part(self) -> None:
        """Cuts the next part, shard by shard, so that others get their turns in between."""
        number, sizes = next(self._parts, (-1, []))
        if not sizes:
            self._planned_at = self._clock.now
            return
        self._plan_shard(number, sizes, 0)

    def _plan_shard(self, number: int, sizes: list[int], index: int) -> None:
        if index < len(sizes):
            seconds = sizes[index] * self._costs.client.row_seconds
            self._client.serve(seconds, self._plan_shard, number, sizes, index + 1)
            return
        self._clock.after(self._scenario.store.mean_seconds, self._hand_out, number, sizes)

    def _hand_out(self, number: int, sizes: list[int]) -> None:
        self._todo.extend(Shard(number, size) for size in sizes)
        self._planned_shards += len(sizes)
        self._fill_window()
        self._plan_part()

    def _fill_window(self) -> None:
        window = self._workers.alive * _SHARDS_A_WORKER + _EXTRA_SHARDS
        while self._todo and self._workers.alive and len(self._in_flight) < window:
            shard = self._todo.popleft()
            self._in_flight.add(shard)
            self._client.serve(self._costs.client.shard_seconds / 2, self._send, shard)

    def _send(self, shard: Shard) -> None:
        self._clock.after(_MESSAGE_SECONDS, self._receive, shard)

    def _receive(self, shard: Shard) -> None:
        self._scheduler.serve(self._costs.scheduler.shard_seconds / 2, self._workers.assign, shard)

    def _stored(self, shard: Shard, worker: int) -> None:
        self._scheduler.serve(self._costs.scheduler.shard_seconds / 2, self._tell, shard, worker)

    def _tell(self, shard: Shard, worker: int) -> None:
        self._workers.release(shard, worker)
        self._clock.after(_MESSAGE_SECONDS, self._hear, shard)

    def _hear(self, shard: Shard) -> None:
        self._client.serve(self._costs.client.shard_seconds / 2, self._settle, shard)

    def _lost(self, shard: Shard) -> None:
        self._workers.requests["HEAD results"] += 1  # was it committed before?
        self._clock.after(self._scenario.store.mean_seconds, self._again, shard)

    def _again(self, shard: Shard) -> None:
        if shard.is_committed:
            self._settle(shard)
            return
        if shard.losses >= _MOST_ATTEMPTS:
            raise ValueError(
                f"a shard was lost {shard.losses} times, which ends a run: expected fewer than "
                f"{self._scenario.fleet.deaths_per_hour:g} deaths an hour, or smaller shards"
            )
        self._in_flight.discard(shard)
        self._todo.appendleft(shard)
        self._fill_window()

    def _settle(self, shard: Shard) -> None:
        if shard in self._in_flight:
            self._in_flight.discard(shard)
            self._settled += 1
            self._settled_at = self._clock.now
        self._fill_window()

    def _prediction(self) -> Prediction:
        client, archive = self._costs.client, self._scenario.archive
        shards, works = self._cut.shards, self._settled_at
        read_seconds = (
            shards * client.read_shard_seconds + archive.entries * client.read_row_seconds
        )
        phases = self._phases(read_seconds)
        client_seconds = (
            client.start_seconds
            + self._client.busy_seconds
            + self._client_share * works
            + requests.READINGS * read_seconds
        )
        scheduler_seconds = (
            self._costs.scheduler.start_seconds
            + self._scheduler.busy_seconds
            + self._scheduler_share * works
            + self._costs.scheduler.idle_share * phases.reading_seconds
        )
        return Prediction(
            scenario=self._scenario,
            phases=phases,
            worker_rate=self._workers.rate,
            worker_limit=self._workers.limited_by,
            workers_busy_share=self._workers.busy_share,
            client_seconds=client_seconds,
            client_share=(self._client.busy_seconds / max(works, 1e-9)) + self._client_share,
            client_peak_bytes=self._peak_bytes(),
            scheduler_seconds=scheduler_seconds,
            scheduler_share=(self._scheduler.busy_seconds / max(works, 1e-9))
            + self._scheduler_share,
            entries_stored=self._workers.entries_stored,
            shards=shards,
            parts=self._cut.parts,
            losses=self._workers.losses,
            requests=self._requests(phases.seconds),
            ledger_bytes=_ledger_bytes(self._cut, self._costs.ledgers[archive.ledger]),
        )

    def _phases(self, read_seconds: float) -> Phases:
        store, shards = self._scenario.store, self._cut.shards
        start_seconds = self._costs.client.start_seconds
        list_seconds = requests.pages(shards) * store.page_seconds
        object_seconds = read_seconds / max(1, shards)
        reading = list_seconds + reading_seconds(shards, object_seconds, store, self._scenario.seed)
        parts_seconds = requests.pages(self._cut.parts) * store.page_seconds
        return Phases(
            start_seconds=start_seconds,
            planning_seconds=self._planned_at,
            working_seconds=self._settled_at,
            reading_seconds=requests.READINGS * reading + list_seconds + parts_seconds,
            resume_seconds=start_seconds + list_seconds + parts_seconds,
        )

    def _requests(self, seconds: float) -> Counter[str]:
        manifest_bytes = self._scenario.archive.entries * _MANIFEST_ROW_BYTES
        asked = requests.once(self._cut.shards, self._cut.parts, manifest_bytes)
        return asked + requests.command(seconds) + self._workers.requests

    def _peak_bytes(self) -> float:
        """The end of planning, or of the run, whichever needs more: shards are never forgotten."""
        client = self._costs.client
        part = self._cut.most_part_entries * client.part_row_bytes
        return client.base_bytes + part + self._cut.shards * client.shard_bytes


def _ledger_bytes(cut: Cut, each: LedgerBytes) -> float:
    plan = cut.shards * each.plan_shard + cut.entries * each.plan_row
    return each.heads + plan + cut.shards * each.results_shard + cut.entries * each.results_row
