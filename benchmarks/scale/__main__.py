"""The command: `python -m benchmarks.scale predict|calibrate|check|chart`."""

import argparse
import json
import sys
from dataclasses import asdict

from benchmarks.document import insert
from benchmarks.place import ROOT
from benchmarks.scale import chart, tables
from benchmarks.scale.check import Comparison, compare
from benchmarks.scale.costs import COSTS_PATH, Costs
from benchmarks.scale.model import predict
from benchmarks.scale.prediction import Prices, bill
from benchmarks.scale.real_run import RUNS_PATH, RealRun, carry_out, write_all
from benchmarks.scale.requests import by_method
from benchmarks.scale.scenario import Archive, Fleet, Scenario, Store


def main() -> None:
    """Parses the command line and does what it says."""
    parser = _parser()
    options = parser.parse_args()
    options.act(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("predict", help="what a run will take")
    one.add_argument("--entries", type=int, default=10**9)
    one.add_argument("--workers", type=int, default=1000)
    one.add_argument("--rate", type=float, default=640.0, help="entries a second of a worker")
    one.add_argument("--lanes", type=int, default=32, help="of each worker; seats of GPUs too")
    one.add_argument("--shard-entries", type=int, default=500)
    one.add_argument("--pictures", type=int, default=1, help="of each entry")
    one.add_argument("--latency", type=float, default=0.02, help="seconds of a request")
    one.add_argument("--deaths-per-hour", type=float, default=0.01, help="of each worker")
    one.add_argument("--seed", type=int, default=1)
    one.set_defaults(act=_predict)
    commands.add_parser("calibrate", help="measure costs here").set_defaults(act=_calibrate)
    one = commands.add_parser("check", help="compare predictions with real runs")
    one.add_argument("--run", type=int, nargs="*", default=[], help="entries of runs to make first")
    one.set_defaults(act=_check)
    commands.add_parser("chart", help="write docs/scale.md's tables and its chart").set_defaults(
        act=_chart
    )
    return parser


def _predict(options: argparse.Namespace) -> None:
    archive = Archive(
        options.entries, shard_entries=options.shard_entries, pictures=options.pictures
    )
    fleet = Fleet(
        options.workers, options.rate, options.lanes, deaths_per_hour=options.deaths_per_hour
    )
    store = Store(latency_seconds=options.latency)
    told = predict(Scenario(archive, fleet, store, options.seed), Costs.read())
    fields = asdict(told) | {
        "bottleneck": told.bottleneck,
        "seconds": told.phases.seconds,
        "requests": dict(sorted(told.requests.items())),
        "requests_by_method": by_method(told.requests),
        "ledger_objects": told.ledger_objects,
        "dollars": asdict(bill(told, Prices())),
    }
    _say(json.dumps(fields, indent=1))


def _calibrate(options: argparse.Namespace) -> None:
    del options
    # Dask and the farm's cluster: a second that the other commands need not pay.
    from benchmarks.scale.calibrate import calibrate

    calibrate(_say).write()
    _say(f"costs  {COSTS_PATH}")


def _check(options: argparse.Namespace) -> None:
    for entries in options.run:
        runs = [run for run in _runs() if run.entries != entries]
        write_all([*runs, carry_out(entries, shard_entries=1000)])
    for run, comparisons in _checks(Costs.read()):
        _say(f"\n{run.entries:,} entries, others used {run.others_share:.2f} cores")
        _say(f"{'':32}{'predicted':>14}{'measured':>14}{'error':>9}")
        for each in comparisons:
            _say(f"{each.name:32}{each.predicted:14,.1f}{each.measured:14,.1f}{each.error:>+9.1%}")


def _runs() -> list[RealRun]:
    return RealRun.read_all() if RUNS_PATH.exists() else []


def _checks(costs: Costs) -> list[tuple[RealRun, list[Comparison]]]:
    return [(run, compare(run, costs)) for run in _runs()]


def _chart(options: argparse.Namespace) -> None:
    del options
    costs = Costs.read()
    predictions = chart.grid(costs)
    page = ROOT / "docs" / "scale.md"
    insert(page, "costs", tables.costs_table(costs))
    insert(page, "time", tables.time_table(predictions))
    insert(page, "store", tables.store_table(predictions))
    insert(page, "check", tables.check_table(_checks(costs)))
    _say(f"drawn  {chart.draw(predictions)}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
