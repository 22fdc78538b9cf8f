"""Compares predictions with real runs of the same size on the machine of the costs."""

from dataclasses import dataclass

from benchmarks.scale.costs import Costs
from benchmarks.scale.model import predict
from benchmarks.scale.prediction import Prediction
from benchmarks.scale.real_run import WORKERS, RealRun
from benchmarks.scale.scenario import NEAR, Archive, Fleet, Scenario


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure of one run as predicted and as measured."""

    name: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """How far the prediction is off, as a fraction of what was measured."""
        return self.predicted / self.measured - 1 if self.measured else 0.0


def backfill_scenario(run: RealRun, costs: Costs) -> Scenario:
    """The same run, where a worker and its one lane share a core.

    On a machine that was busy with other things, workers are as fast as they were: how long that
    took nobody could predict, but what it cost.
    """
    each = costs.worker.entry_seconds + costs.worker.lane_entry_seconds
    rate = 1 / each if run.was_alone else run.entries / run.seconds / WORKERS
    archive = Archive(
        entries=run.entries,
        shard_entries=run.shard_entries,
        source_requests=1,
        source_bytes=100,
        ledger="backfill",
    )
    fleet = Fleet(WORKERS, entries_per_second=rate, lanes=1, spread=0.0)
    return Scenario(archive, fleet, NEAR)


def compare(run: RealRun, costs: Costs) -> list[Comparison]:
    """All figures that both tell; the wall time only where the machine had nothing else to do."""
    told = predict(backfill_scenario(run, costs), costs)
    pairs: dict[str, tuple[float, float]] = {
        "ledger objects": (told.ledger_objects, run.ledger_objects),
        "ledger bytes": (told.ledger_bytes, run.ledger_bytes),
        "ledger PUTs, each once": (told.ledger_puts, run.ledger_puts),
        "picture PUTs": (told.requests["PUT pictures"], run.picture_puts),
        "scheduler CPU s": (told.scheduler_seconds, run.scheduler_seconds),
        "client CPU s": (told.client_seconds, run.client_seconds),
        "workers and lanes CPU s": (
            _work_seconds(told, costs),
            run.worker_seconds + run.lane_seconds,
        ),
        "client peak MiB": (told.client_peak_bytes / 2**20, run.client_peak_bytes / 2**20),
    }
    if run.was_alone:
        pairs["wall s"] = (told.phases.seconds, run.seconds)
    return [Comparison(name, *values) for name, values in pairs.items()]


def _work_seconds(told: Prediction, costs: Costs) -> float:
    """What workers and lanes take in all."""
    each = costs.worker
    entries = told.entries_stored * (each.entry_seconds + each.lane_entry_seconds)
    return WORKERS * each.start_seconds + entries + told.shards * each.shard_seconds
