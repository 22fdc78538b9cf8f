"""What each step of a run costs, as measured on one machine and stored as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.place import ROOT

COSTS_PATH = ROOT / "benchmarks" / "results" / "scale-costs.json"


@dataclass(frozen=True, slots=True)
class LedgerBytes:
    """Bytes of a ledger of one kind of archive, which depend on its names.

    A shard of a plan, with its share of a part, and a row in it; a results object and a record in
    it. `heads` are the JSON objects of a run of one pass: `pass.json`, `plan.json`, `done.json`,
    `summary.json`, the status and the lease.
    """

    heads: float
    plan_shard: float
    plan_row: float
    results_shard: float
    results_row: float


@dataclass(frozen=True, slots=True)
class ClientCosts:
    """CPU seconds and bytes of the process of `farm run`; all of it shares one core.

    `look_seconds` is for each worker, whenever the keeper looks after them; `read_*` for a results
    object and a record in it, each of the two times that the end of a run reads them all.
    """

    start_seconds: float
    idle_share: float
    row_seconds: float
    shard_seconds: float
    look_seconds: float
    read_shard_seconds: float
    read_row_seconds: float
    base_bytes: float
    part_row_bytes: float
    shard_bytes: float


@dataclass(frozen=True, slots=True)
class SchedulerCosts:
    """CPU seconds of the scheduler, which has one core.

    `look_seconds` is for each worker, whenever the client's keeper looks; `ask_seconds` for each
    busy worker, whenever its watchdog asks how it gets on.
    """

    start_seconds: float
    idle_share: float
    shard_seconds: float
    heartbeat_seconds: float
    look_seconds: float
    ask_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerCosts:
    """CPU seconds of a worker's process, and of a lane with the synthetic engine.

    `start_seconds` is what one takes with its lanes before the first entry.
    """

    start_seconds: float
    shard_seconds: float
    entry_seconds: float
    lane_entry_seconds: float


@dataclass(frozen=True, slots=True)
class Costs:
    """All of them; `ledgers` by the kind of archive, `machine` says where they were measured."""

    machine: Mapping[str, Any]
    client: ClientCosts
    scheduler: SchedulerCosts
    worker: WorkerCosts
    ledgers: Mapping[str, LedgerBytes]

    @classmethod
    def read(cls, path: Path = COSTS_PATH) -> Self:
        """Those that were stored."""
        fields = json.loads(path.read_text())
        return cls(
            machine=fields["machine"],
            client=ClientCosts(**fields["client"]),
            scheduler=SchedulerCosts(**fields["scheduler"]),
            worker=WorkerCosts(**fields["worker"]),
            ledgers={kind: LedgerBytes(**each) for kind, each in fields["ledgers"].items()},
        )

    def write(self, path: Path = COSTS_PATH) -> None:
        """Stores them, with four digits: no more was measured."""
        path.write_text(json.dumps(_rounded(asdict(self)), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value
