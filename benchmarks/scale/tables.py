"""The tables of docs/scale.md: costs, predictions, and how far predictions were off."""

from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.scale.check import Comparison
from benchmarks.scale.costs import Costs
from benchmarks.scale.prediction import Prediction, Prices, bill
from benchmarks.scale.real_run import RealRun
from benchmarks.scale.requests import by_method

_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def costs_table(costs: Costs) -> str:
    """All costs of the calibration, by part."""
    rows = []
    for part in ("client", "scheduler", "worker"):
        for name, value in asdict(getattr(costs, part)).items():
            rows.append([part, name.replace("_", " "), _cost(name, value)])
    for kind, each in costs.ledgers.items():
        for name, value in asdict(each).items():
            rows.append([f"ledger of `{kind}`", f"{name.replace('_', ' ')} bytes", f"{value:,.0f}"])
    return _table(["part", "what", "measured"], rows)


def time_table(predictions: Sequence[Prediction]) -> str:
    """Where the time goes, and what is busy meanwhile."""
    rows = [
        [
            _short(each.scenario.archive.entries),
            f"{each.scenario.fleet.workers:,}",
            f"{each.scenario.archive.shard_entries:,}",
            _duration(each.phases.planning_seconds),
            _duration(each.phases.working_seconds),
            _duration(each.phases.reading_seconds),
            _duration(each.phases.seconds),
            f"{each.workers_busy_share:.0%}",
            f"{each.scheduler_share:.0%}",
            f"{each.client_share:.0%}",
            each.bottleneck,
        ]
        for each in predictions
    ]
    head = ["entries", "workers", "shard", "planned after", "worked", "read", "in all", "workers",
            "scheduler", "client", "bottleneck"]  # fmt: skip
    return _table(head, rows)


def store_table(predictions: Sequence[Prediction]) -> str:
    """What the store gets, and what is paid."""
    rows = []
    for each in predictions:
        methods, dollars = by_method(each.requests), bill(each, Prices())
        rows.append(
            [
                _short(each.scenario.archive.entries),
                f"{each.scenario.fleet.workers:,}",
                f"{each.scenario.archive.shard_entries:,}",
                _short(each.requests["PUT pictures"]),
                _short(each.ledger_puts),
                _short(methods["GET"] - each.requests["GET sources"]),
                _short(methods["HEAD"]),
                _short(methods["LIST"]),
                f"{_short(each.ledger_bytes)}B",
                _duration(each.phases.resume_seconds),
                f"{each.client_peak_bytes / 2**30:.2f}",
                f"{dollars.pictures:,.0f}",
                f"{dollars.ledger:,.2f}",
                f"{dollars.workers:,.0f}",
            ]
        )
    head = ["entries", "workers", "shard", "picture PUTs", "ledger PUTs", "ledger GETs", "HEADs",
            "LISTs", "ledger", "resume", "client GiB", "$ pictures", "$ ledger",
            "$ workers"]  # fmt: skip
    return _table(head, rows)


def check_table(checks: Sequence[tuple[RealRun, Sequence[Comparison]]]) -> str:
    """The errors of each size, with what was predicted and measured."""
    head = ["", *(f"{run.entries:,} entries" for run, _ in checks)]
    found = [{each.name: _error(each) for each in comparisons} for _, comparisons in checks]
    names = list(dict.fromkeys(name for one in found for name in one))
    rows = [[name, *(one.get(name, "not compared") for one in found)] for name in names]
    rows.append(["cores used by others", *(f"{run.others_share:.2f}" for run, _ in checks)])
    return _table(head, rows)


def _error(each: Comparison) -> str:
    return f"{each.predicted:,.0f} / {each.measured:,.0f}: {each.error:+.1%}"


def _cost(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return f"{value / 2**20:.0f} MiB" if value > 2**20 else f"{value:,.0f} bytes"
    if name.endswith("_share"):
        return f"{value:.1%} of a core"
    if value < 1e-6:
        return f"{value * 1e9:.3g} ns"
    if value < 1e-3:
        return f"{value * 1e6:.3g} us"
    return f"{value * 1e3:.3g} ms" if value < 0.1 else f"{value:.2f} s"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _short(count: float) -> str:
    for size, letter in _UNITS:
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return f"{count:,.0f} "


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines)
