"""Measures on this machine what the simulation needs to know: CPU seconds, not wall seconds.

A wall second depends on what else a machine does; a CPU second does so much less.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.result import machine_facts
from benchmarks.scale import cutting, paperwork, scheduling
from benchmarks.scale.costs import (
    ClientCosts,
    Costs,
    LedgerBytes,
    SchedulerCosts,
    WorkerCosts,
)
from benchmarks.scale.model import heartbeats_a_second
from benchmarks.scale.real_run import WORKERS, RealRun, carry_out

# Entries and the most of a shard: little of all, many entries, and many shards.
_LITTLE, _ENTRIES, _SHARDS = (500, 1000), (6000, 1000), (6000, 25)
_LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Runs:
    """Three real runs, whose differences tell what an entry and what a shard cost."""

    little: RealRun
    entries: RealRun
    shards: RealRun

    def fit(self, value: Callable[[RealRun], float]) -> tuple[float, float]:
        """For each shard and for each entry, by differences."""
        shards = [
            cutting.cut(run.entries, run.shard_entries).shards
            for run in (self.little, self.entries, self.shards)
        ]
        little, entries, many = value(self.little), value(self.entries), value(self.shards)
        shard = max(0.0, (many - entries) / (shards[2] - shards[1]))
        more = self.entries.entries - self.little.entries
        entry = (entries - little - shard * (shards[1] - shards[0])) / more
        return shard, max(0.0, entry)


def calibrate(say: Callable[[str], object]) -> Costs:
    """All costs of this machine; takes about ten minutes, more on a busy one."""
    say("real runs")
    runs = _Runs(carry_out(*_LITTLE), carry_out(*_ENTRIES), carry_out(*_SHARDS))
    say("loads")
    loads = scheduling.fit_loads(scheduling.measure_loads())
    say("flow")
    flow = scheduling.measure_flow()
    say("planning and reading")
    plans = {kind: paperwork.measure_planning(kind) for kind in ("archive", "backfill")}
    read = paperwork.measure_reading()
    return Costs(
        machine=machine_facts() | {"others_share": round(runs.entries.others_share, 2)},
        client=_client(runs, loads, flow, plans, read),
        scheduler=_scheduler(runs, loads, flow),
        worker=_worker(runs),
        ledgers={
            "archive": _ledger(plans["archive"], read.shard_bytes, read.row_bytes, runs),
            "backfill": _ledger(plans["backfill"], *runs.fit(_results_bytes), runs),
        },
    )


def _client(
    runs: _Runs,
    loads: scheduling.SchedulingCosts,
    flow: scheduling.Flow,
    plans: dict[str, paperwork.PlanCosts],
    read: paperwork.ReadCosts,
) -> ClientCosts:
    row_seconds = (plans["archive"].row_seconds + plans["backfill"].row_seconds) / 2
    part_row_bytes = max(each.part_row_bytes for each in plans.values())
    little = runs.little
    shards = cutting.cut(little.entries, little.shard_entries)
    return ClientCosts(
        start_seconds=little.client_seconds - shards.shards * flow.client_seconds,
        idle_share=scheduling.client_idle_share(),
        row_seconds=row_seconds,
        shard_seconds=max(0.0, flow.client_seconds - row_seconds),
        look_seconds=loads.client_look_seconds,
        read_shard_seconds=read.shard_seconds,
        read_row_seconds=read.row_seconds,
        base_bytes=little.client_peak_bytes - shards.most_part_entries * part_row_bytes,
        part_row_bytes=part_row_bytes,
        shard_bytes=paperwork.remembered_shard_bytes(),
    )


def _scheduler(
    runs: _Runs, loads: scheduling.SchedulingCosts, flow: scheduling.Flow
) -> SchedulerCosts:
    little = runs.little
    shards = cutting.cut(little.entries, little.shard_entries).shards
    share = loads.scheduler_idle_share + heartbeats_a_second(WORKERS) * loads.heartbeat_seconds
    share += WORKERS * loads.scheduler_look_seconds / _LOOK_SECONDS
    worked = shards * flow.scheduler_seconds + share * little.seconds
    return SchedulerCosts(
        start_seconds=max(0.0, little.scheduler_seconds - worked),
        idle_share=loads.scheduler_idle_share,
        shard_seconds=flow.scheduler_seconds,
        heartbeat_seconds=loads.heartbeat_seconds,
        look_seconds=loads.scheduler_look_seconds,
        ask_seconds=loads.ask_seconds,
    )


def _worker(runs: _Runs) -> WorkerCosts:
    shard, entry = runs.fit(lambda run: run.worker_seconds)
    _, lane_entry = runs.fit(lambda run: run.lane_seconds)
    little = runs.little
    shards = cutting.cut(little.entries, little.shard_entries).shards
    worked = little.entries * (entry + lane_entry) + shards * shard
    return WorkerCosts(
        start_seconds=(little.worker_seconds + little.lane_seconds - worked) / WORKERS,
        shard_seconds=shard,
        entry_seconds=entry,
        lane_entry_seconds=lane_entry,
    )


def _results_bytes(run: RealRun) -> float:
    return run.ledger_bytes - run.head_bytes - run.plan_bytes


def _ledger(
    plan: paperwork.PlanCosts, results_shard: float, results_row: float, runs: _Runs
) -> LedgerBytes:
    return LedgerBytes(
        heads=runs.little.head_bytes,
        plan_shard=plan.shard_bytes,
        plan_row=plan.row_bytes,
        results_shard=results_shard,
        results_row=results_row,
    )
