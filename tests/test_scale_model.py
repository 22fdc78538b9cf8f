"""The simulation of large runs: its laws, and that it counts what a real run does."""

import collections
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale import requests, services
from benchmarks.scale.costs import ClientCosts, Costs, LedgerBytes, SchedulerCosts, WorkerCosts
from benchmarks.scale.cutting import cut, parts
from benchmarks.scale.model import heartbeats_a_second, predict
from benchmarks.scale.prediction import Prediction, Prices, bill
from benchmarks.scale.reading import reading_seconds
from benchmarks.scale.scenario import NEAR, Archive, Fleet, Scenario, Store
from farm import storage
from farm.cluster import OutcomeKind
from farm.cluster.dask import DaskCluster
from farm.ledger import Ledger, ShardRef
from farm.options import RunOptions
from farm.passes import Passes
from farm.settings import Settings
from tests.inline_run import lanes, run_inline  # noqa: F401 - a fixture
from tests.recipes import make_job, write_manifest, write_source

FREE_CLIENT = ClientCosts(
    start_seconds=0.0,
    idle_share=0.0,
    row_seconds=0.0,
    shard_seconds=0.0,
    look_seconds=0.0,
    read_shard_seconds=0.0,
    read_row_seconds=0.0,
    base_bytes=1e8,
    part_row_bytes=1e3,
    shard_bytes=200.0,
)
FREE_SCHEDULER = SchedulerCosts(
    start_seconds=0.0,
    idle_share=0.0,
    shard_seconds=0.0,
    heartbeat_seconds=0.0,
    look_seconds=0.0,
    ask_seconds=0.0,
)
FREE_WORKER = WorkerCosts(
    start_seconds=0.0, shard_seconds=0.0, entry_seconds=0.0, lane_entry_seconds=0.0
)
LEDGER = LedgerBytes(heads=2000, plan_shard=900, plan_row=5, results_shard=9000, results_row=60)
FREE = Costs({}, FREE_CLIENT, FREE_SCHEDULER, FREE_WORKER, {"archive": LEDGER})
STEADY = Fleet(workers=1, entries_per_second=100.0, lanes=1, spread=0.0)


def told(
    entries: int = 20_000,
    *,
    fleet: Fleet = STEADY,
    costs: Costs = FREE,
    store: Store = NEAR,
    seed: int = 1,
    **archive: int,
) -> Prediction:
    """A prediction, of the quickest farm there could be where nothing else is said."""
    return predict(Scenario(Archive(entries, **archive), fleet, store, seed), costs)


@pytest.mark.parametrize(
    ("entries", "shard_entries"),
    [(0, 16), (1, 1), (64, 16), (200, 1), (2000, 100), (2001, 7), (4321, 1000)],
)
def test_shards_are_cut_as_the_planner_does(
    tmp_path: Path, entries: int, shard_entries: int
) -> None:
    write_manifest(tmp_path / "list.jsonl", [{"source": "a.syn"}] * entries)
    job = make_job(tmp_path, settings={"shard_entries": shard_entries})
    ledger = Ledger(str(tmp_path / "ledger"), storage)
    planner = Passes(ledger, job, RunOptions()).next_planner()
    planned = [(part, rows) for part, rows in planner.plan()]
    expected = list(parts(entries, shard_entries))
    assert [part.shards for part, _ in planned] == [len(part) for part in expected]
    assert [rows for _, rows in planned] == [sum(part) for part in expected]
    for part, sizes in zip(planned, expected, strict=True):
        refs = ledger.shards(1, [part[0]])
        assert [len(ledger.read_shard(ref)) for ref in refs] == sizes
    sums = cut(entries, shard_entries)
    assert (sums.parts, sums.shards) == (len(expected), sum(map(len, expected)))
    assert sums.most_part_entries == max(map(sum, expected), default=0)


def test_every_entry_is_done_once() -> None:
    fleet = replace(STEADY, workers=7, lanes=8, spread=0.5, deaths_per_hour=30, slow_fraction=0.05)
    run = told(fleet=fleet, store=Store(), shard_entries=200)
    assert run.losses > 0
    assert run.entries_stored == 20_000
    assert run.requests["PUT results"] == run.shards
    assert run.requests["PUT pictures"] > 20_000  # what died was made again


def test_a_seed_decides_all() -> None:
    fleet = replace(STEADY, workers=5, spread=0.4, deaths_per_hour=20)
    same = [told(fleet=fleet, store=Store(), seed=seed) for seed in (3, 3, 4)]
    assert same[0] == same[1]
    assert same[0].phases != same[2].phases


def test_one_worker_takes_as_long_as_its_work_and_what_is_beside_it() -> None:
    run = told()
    assert run.phases.working_seconds == pytest.approx(200.0, rel=1e-3)
    costs = replace(FREE, worker=replace(FREE_WORKER, shard_seconds=0.5))
    with_overhead = told(costs=costs)
    assert with_overhead.phases.working_seconds == pytest.approx(200 + 0.5 * run.shards, rel=1e-3)


def test_the_scheduler_bounds_a_fleet_without_bounds() -> None:
    costs = replace(FREE, scheduler=replace(FREE_SCHEDULER, shard_seconds=0.004))
    fleet = Fleet(workers=1000, entries_per_second=1e6, lanes=1000, spread=0.0)
    run = told(200_000, fleet=fleet, costs=costs, shard_entries=100)
    assert run.phases.working_seconds == pytest.approx(0.004 * run.shards, rel=0.05)
    assert run.scheduler_share == pytest.approx(1.0, abs=0.05)
    assert run.bottleneck == "scheduler"


def test_the_planner_bounds_a_fleet_that_outruns_it() -> None:
    costs = replace(FREE, client=replace(FREE_CLIENT, row_seconds=1e-4))
    fleet = Fleet(workers=100, entries_per_second=1e4, lanes=10, spread=0.0)
    run = told(200_000, fleet=fleet, costs=costs)
    assert run.phases.planning_seconds == pytest.approx(20.0, rel=1e-3)
    assert run.phases.working_seconds == pytest.approx(20.0, rel=0.05)
    assert run.bottleneck == "planner"


def test_the_results_are_read_twice() -> None:
    store = Store(latency_seconds=0.03, spread=0.0, page_seconds=0.0)
    run = told(100_000, fleet=replace(STEADY, workers=500), store=store, shard_entries=50)
    once = reading_seconds(run.shards, 0.0, store, seed=1)
    assert run.phases.reading_seconds == pytest.approx(2 * once)
    costs = replace(FREE, client=replace(FREE_CLIENT, read_shard_seconds=0.2))
    slow = told(100_000, fleet=replace(STEADY, workers=500), costs=costs, shard_entries=50)
    assert slow.phases.reading_seconds == pytest.approx(2 * 0.2 * slow.shards)
    assert slow.bottleneck == "reading"


@pytest.mark.parametrize(
    "more",
    [
        {"workers": 8},
        {"entries_per_second": 200.0},
        {"spread": 0.0, "slow_fraction": 0.0},
    ],
)
def test_more_of_what_works_never_takes_longer(more: dict[str, float]) -> None:
    fleet = replace(STEADY, workers=4, lanes=16, spread=0.2, slow_fraction=0.02)
    few = told(50_000, fleet=fleet).phases.working_seconds
    assert told(50_000, fleet=replace(fleet, **more)).phases.working_seconds < few


def test_more_entries_take_longer() -> None:
    seconds = [told(entries).phases.seconds for entries in (0, 1, 1000, 10_000, 100_000)]
    assert seconds == sorted(seconds)
    assert len(set(seconds)) == len(seconds)


def test_a_death_costs_time_and_nothing_else() -> None:
    fleet = replace(STEADY, workers=6)
    calm = told(60_000, fleet=fleet)
    deadly = told(60_000, fleet=replace(fleet, deaths_per_hour=12, restart_seconds=30))
    assert deadly.losses > 0
    assert deadly.phases.working_seconds > calm.phases.working_seconds
    assert deadly.entries_stored == calm.entries_stored
    assert deadly.ledger_bytes == calm.ledger_bytes
    assert deadly.requests["PUT results"] == calm.requests["PUT results"]


def test_a_fleet_that_dies_at_once_ends_the_run() -> None:
    with pytest.raises(ValueError, match="lost 5 times"):
        told(fleet=replace(STEADY, deaths_per_hour=3600, restart_seconds=1))


def test_a_scheduler_that_heartbeats_fill_is_refused() -> None:
    costs = replace(FREE, scheduler=replace(FREE_SCHEDULER, heartbeat_seconds=0.01))
    with pytest.raises(ValueError, match="less than one core"):
        told(fleet=replace(STEADY, workers=1000), costs=costs)


def test_heartbeats_are_as_many_as_dask_asks_for() -> None:
    from distributed.scheduler import heartbeat_interval

    for workers in (1, 10, 11, 49, 50, 199, 200, 1000, 5000):
        assert heartbeats_a_second(workers) == pytest.approx(workers / heartbeat_interval(workers))


def test_what_limits_a_worker() -> None:
    fast = Fleet(workers=1, entries_per_second=5000.0, lanes=32)
    far = Store(latency_seconds=0.05, spread=0.0)
    python = replace(FREE_WORKER, entry_seconds=0.002)

    def limit(fleet: Fleet, store: Store, worker: WorkerCosts, source_bytes: float = 1.0) -> str:
        archive = Archive(1, source_bytes=source_bytes)
        return Scenario(archive, fleet, store).worker_rate(worker)[1]

    assert limit(STEADY, NEAR, FREE_WORKER) == "decoding"
    assert limit(fast, NEAR, python) == "worker"
    assert limit(fast, far, FREE_WORKER) == "hands"
    assert limit(fast, Store(), FREE_WORKER, source_bytes=1e9) == "bandwidth"


def test_a_bill_adds_up() -> None:
    run = told(10_000, pictures=3)
    costs = bill(run, Prices(put=1.0, get=0.0, gigabyte_month=0.0, worker_hour=3600.0))
    lists = requests.by_method(run.requests)["LIST"]
    assert costs.pictures == 30_000
    assert costs.workers == pytest.approx(run.phases.seconds)
    assert costs.ledger == run.ledger_puts + run.requests["PUT lease"] + lists
    assert costs.sum == costs.workers + costs.pictures + costs.sources + costs.ledger


METHODS = {"get": "GET", "put": "PUT", "put_new": "PUT", "exists": "HEAD", "stat": "HEAD"}


class CountingStore:
    """A store that counts what is asked of it, as requests to an S3 server."""

    def __init__(self, store: storage.Store, job_manifest: str) -> None:
        self._store = store
        self._manifest = job_manifest
        self.requests: collections.Counter[str] = collections.Counter()

    def __getattr__(self, name: str):
        method = getattr(self._store, name)

        def call(place, *arguments, **words):
            self._count(name, place.uri)
            return method(place, *arguments, **words)

        return call

    def _count(self, name: str, uri: str) -> None:
        kind = self._kind(uri, name)
        if name == "list_files":
            self.requests.update([f"HEAD {kind}", f"LIST {kind}"])
        else:
            self.requests[f"{METHODS.get(name, 'GET')} {kind}"] += 1

    def _kind(self, uri: str, name: str) -> str:
        if uri == self._manifest:
            return "manifest"
        if "/_ledger/" in uri:
            folder = uri.split("/_ledger/")[1].split("/")
            return folder[1] if len(folder) > 2 else "heads"
        return "sources" if name == "open_source" else "pictures"


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingStore]:
    """Counts all that this process asks of local files."""
    store = CountingStore(storage._store("file"), str(tmp_path / "list.jsonl"))
    monkeypatch.setattr(storage, "_store", lambda scheme: store)
    return store


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize(("entries", "shard_entries"), [(150, 20), (90, 500)])
def test_a_real_run_asks_for_what_was_predicted(
    tmp_path: Path, counted: CountingStore, entries: int, shard_entries: int
) -> None:
    write_source(tmp_path / "a.syn")
    write_manifest(
        tmp_path / "list.jsonl", [{"source": "a.syn", "id": f"{row}"} for row in range(entries)]
    )
    run_inline(tmp_path, make_job(tmp_path, settings={"shard_entries": shard_entries}))
    run = told(entries, shard_entries=shard_entries)
    asked, expected = counted.requests, run.requests - requests.command(run.phases.seconds)
    # How often a run looks at its few heads is told roughly: it does not grow with anything.
    for few in ("GET heads", "HEAD heads"):
        assert asked.pop(few) == pytest.approx(expected.pop(few), abs=5)
    assert dict(asked) == dict(expected)
    ledger = tmp_path / "out/_ledger"
    stored = [path for path in ledger.rglob("*") if path.is_file()]
    # A run of this process holds no lease and tells no status.
    assert len(stored) == run.ledger_objects - 2 == run.ledger_puts


@pytest.mark.cluster
def test_light_workers_take_shards_as_others_do() -> None:
    with services.scheduler() as (address, _), services.light_workers(address, 2):
        cluster = DaskCluster(Settings(), scheduler=address)
        try:
            cluster.submit(ShardRef("/ledger", 1, 0, 1, 0), 1, is_final=False)
            outcome = cluster.next_outcome(120.0)
        finally:
            cluster.close()
    assert outcome is not None
    assert outcome.kind is OutcomeKind.COMMITTED, outcome.reason
