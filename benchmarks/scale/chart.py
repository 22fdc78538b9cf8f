"""Draws what the simulation predicts, for docs/scale.md."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from collections.abc import Iterable

from matplotlib import pyplot
from matplotlib.axes import Axes

from benchmarks.place import ROOT
from benchmarks.scale.costs import Costs
from benchmarks.scale.model import predict
from benchmarks.scale.prediction import Prediction
from benchmarks.scale.scenario import Archive, Fleet, Scenario

_IMAGE = ROOT / "docs" / "images" / "scale.svg"
# Entries, and the most of a shard; 10^9 in shards of 500 take too long to simulate.
_SIZES = ((10**6, 500), (10**7, 500), (10**8, 500), (10**9, 5000))
_WORKERS = (10, 100, 1000)
_RATE = 640.0
_LANES = 32
_DEATHS_PER_HOUR = 0.01
_COLORS = ("#4c72b0", "#dd8452", "#55a868")
_HOUR = 3600.0


def grid(costs: Costs) -> list[Prediction]:
    """Predictions of archives of each size on fleets of each size; takes minutes."""
    return [
        predict(scenario(entries, workers, shard_entries), costs)
        for entries, shard_entries in _SIZES
        for workers in _WORKERS
    ]


def scenario(entries: int, workers: int, shard_entries: int) -> Scenario:
    """Photos in a bucket, and workers with a GPU and 16 cores."""
    archive = Archive(entries, shard_entries=shard_entries)
    fleet = Fleet(workers, _RATE, lanes=_LANES, deaths_per_hour=_DEATHS_PER_HOUR)
    return Scenario(archive, fleet)


def draw(predictions: list[Prediction], path: Path = _IMAGE) -> Path:
    """Stores the chart: hours of working and of reading, and the loads of scheduler and client."""
    pyplot.rcParams |= {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "scale"}
    figure, (times, loads) = pyplot.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    _draw_times(times, predictions)
    _draw_loads(loads, predictions)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=120)
    pyplot.close(figure)
    return path


def _of(predictions: Iterable[Prediction], workers: int) -> list[Prediction]:
    return [each for each in predictions if each.scenario.fleet.workers == workers]


def _draw_times(axes: Axes, predictions: list[Prediction]) -> None:
    for workers, color in zip(_WORKERS, _COLORS, strict=True):
        found = _of(predictions, workers)
        entries = [each.scenario.archive.entries for each in found]
        works = [each.phases.working_seconds / _HOUR for each in found]
        wholes = [each.phases.seconds / _HOUR for each in found]
        axes.plot(entries, wholes, "o-", color=color, label=f"{workers:,} workers")
        axes.plot(entries, works, "o--", color=color, alpha=0.5)
    axes.plot([], [], "--", color="gray", label="without the end's reading")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="entries (10^9: larger shards)",
        ylabel="hours",
        title="Wall time",
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def _draw_loads(axes: Axes, predictions: list[Prediction]) -> None:
    largest = [_of(predictions, workers)[-1] for workers in _WORKERS]
    names = [f"{workers:,}" for workers in _WORKERS]
    figures = {
        "scheduler": [each.scheduler_share for each in largest],
        "client": [each.client_share for each in largest],
        "workers": [each.workers_busy_share for each in largest],
    }
    width = 0.27
    for number, ((name, values), color) in enumerate(zip(figures.items(), _COLORS, strict=True)):
        places = [place + (number - 1) * width for place in range(len(names))]
        bars = axes.bar(places, values, width, color=color, label=name)
        axes.bar_label(bars, fmt="{:.0%}", fontsize=8)
    axes.set_xticks(range(len(names)), names)
    axes.axhline(1.0, color="gray", lw=0.8)
    axes.set(xlabel="workers", ylabel="share", title="Busy while 10^9 entries are worked on")
    axes.set_ylim(0, 1.25)
    axes.legend(frameon=False, ncols=3, loc="upper center")
