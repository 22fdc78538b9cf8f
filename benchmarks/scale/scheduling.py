"""Measures what the scheduler and the client cost for each worker and shard, by light workers."""

import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.scale.model import heartbeats_a_second
from benchmarks.scale.services import cpu_seconds, light_workers, scheduler
from farm import storage
from farm.cluster import Outcome, plugin
from farm.cluster.connection import Connection
from farm.cluster.dask import DaskCluster
from farm.ledger import Ledger
from farm.options import RunOptions
from farm.run import Progress, RunState, Stop, run_job
from farm.settings import Settings
from farm.spec import Job

# Up to 50 workers the heartbeats that a scheduler gets grow as fast as the workers do.
_FLEETS = (4, 20, 45)
_FLOW_SHARDS = (200, 1400)
_WATCHED_SECONDS = 20.0
_LOOKS = 40
_ASKS = 300


@dataclass(frozen=True, slots=True)
class Load:
    """What so many idle workers cost.

    `scheduler_share` of a core while nobody is connected but they; CPU seconds of the scheduler and
    the client for a look at all of them, and of the scheduler to ask one how it gets on.
    """

    workers: int
    scheduler_share: float
    scheduler_look_seconds: float
    client_look_seconds: float
    ask_seconds: float


@dataclass(frozen=True, slots=True)
class Flow:
    """CPU seconds for each shard of a run whose shards do nothing; planning its row is one."""

    scheduler_seconds: float
    client_seconds: float


@dataclass(frozen=True, slots=True)
class SchedulingCosts:
    """What fits the loads best: a share of a core, and CPU seconds for each worker."""

    scheduler_idle_share: float
    heartbeat_seconds: float
    scheduler_look_seconds: float
    client_look_seconds: float
    ask_seconds: float


def measure_loads() -> list[Load]:
    """The loads of a few fleets."""
    return [_load(workers) for workers in _FLEETS]


def fit_loads(loads: list[Load]) -> SchedulingCosts:
    """A straight line through the shares; of the others, what the largest fleet says."""
    beats = [heartbeats_a_second(each.workers) for each in loads]
    heartbeat, idle = np.polyfit(beats, [each.scheduler_share for each in loads], 1)
    largest = loads[-1]
    return SchedulingCosts(
        scheduler_idle_share=max(0.0, float(idle)),
        heartbeat_seconds=max(0.0, float(heartbeat)),
        scheduler_look_seconds=largest.scheduler_look_seconds / largest.workers,
        client_look_seconds=largest.client_look_seconds / largest.workers,
        ask_seconds=largest.ask_seconds,
    )


def client_idle_share() -> float:
    """Which share of a core a client takes that waits, with little to look after."""
    with scheduler() as (address, process), light_workers(address, _FLEETS[0]):
        _await_workers(process, _FLEETS[0])
        cluster = DaskCluster(Settings(), scheduler=address)
        try:
            return _share(psutil.Process())
        finally:
            cluster.close()


def _load(workers: int) -> Load:
    own = psutil.Process()
    with scheduler() as (address, process), light_workers(address, workers):
        _await_workers(process, workers)
        share = _share(process)
        connection = Connection(Settings(), scheduler=address, workers=1)
        try:
            while len(found := connection.look()[0]) < workers:
                time.sleep(0.5)
            scheduler_look, client_look = _used(
                (process, share), (own, 0.0), act=lambda: _look(connection)
            )
            (ask,) = _used((process, share), act=lambda: _ask(connection, list(found)))
        finally:
            connection.close()
    return Load(
        workers=workers,
        scheduler_share=share,
        scheduler_look_seconds=scheduler_look / _LOOKS,
        client_look_seconds=client_look / _LOOKS,
        ask_seconds=ask / _ASKS,
    )


def _look(connection: Connection) -> None:
    for _ in range(_LOOKS):
        connection.look()


def _ask(connection: Connection, workers: list[str]) -> None:
    for each in itertools.islice(itertools.cycle(workers), _ASKS):
        connection.client.run(plugin.pace, "run", workers=[each])


def _used(*processes: tuple[psutil.Process, float], act: Callable[[], object]) -> tuple[float, ...]:
    """What each uses while something is done, without the share that it uses anyway."""
    before, began = [cpu_seconds(process) for process, _ in processes], time.monotonic()
    act()
    seconds = time.monotonic() - began
    return tuple(
        max(0.0, cpu_seconds(process) - was - share * seconds)
        for (process, share), was in zip(processes, before, strict=True)
    )


def _await_workers(process: psutil.Process, workers: int) -> None:
    """Waits until each has a connection, and for what their joining costs to be over."""
    deadline = time.monotonic() + 120
    while len(process.net_connections("tcp")) <= workers and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(5.0)


def _share(process: psutil.Process) -> float:
    """Which share of a core it uses."""
    before, began = cpu_seconds(process), time.monotonic()
    time.sleep(_WATCHED_SECONDS)
    return (cpu_seconds(process) - before) / (time.monotonic() - began)


class _Silent:
    """An observer that keeps nothing."""

    def progressed(self, progress: Progress) -> None: ...

    def noticed(self, message: str, **_: Any) -> None: ...

    def settled(self, outcome: Outcome) -> None: ...


def measure_flow() -> Flow:
    """The difference between a long run and a short one, for each shard."""
    few, many = (_flow(shards) for shards in _FLOW_SHARDS)
    shards = _FLOW_SHARDS[1] - _FLOW_SHARDS[0]
    return Flow(
        (many.scheduler_seconds - few.scheduler_seconds) / shards,
        (many.client_seconds - few.client_seconds) / shards,
    )


def _flow(shards: int) -> Flow:
    """A run over so many shards of one row each: all CPU seconds from its start to its end."""
    own = psutil.Process()
    with (
        tempfile.TemporaryDirectory(prefix="farm-flow-") as folder,
        scheduler() as (address, process),
        light_workers(address, _FLEETS[-1]),
    ):
        _await_workers(process, _FLEETS[-1])
        manifest = Path(folder) / "list.jsonl"
        manifest.write_text("".join(f'{{"source": "/{row}.syn"}}\n' for row in range(shards)))
        fields = {"manifest": str(manifest), "destination": folder, "outputs": [{"width": 16}]}
        job = Job.model_validate(fields | {"settings": {"shard_entries": 1}})
        idle = (process, _share(process)), (own, 0.0)
        return Flow(*_used(*idle, act=lambda: _run(job, address, folder)))


def _run(job: Job, address: str, folder: str) -> None:
    report = run_job(
        job,
        Ledger(f"{folder}/_ledger", storage),
        cluster=lambda: DaskCluster(job.settings, scheduler=address),
        options=RunOptions(),
        observer=_Silent(),
        stop=Stop(),
    )
    if report.state is not RunState.DONE:
        raise RuntimeError(f"expected a run to its end, received {report.reason}")
