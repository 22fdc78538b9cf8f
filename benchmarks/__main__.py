"""The command behind scripts/bench: makes the corpus, measures, writes results and tables."""

import argparse
import dataclasses
import fnmatch
import sys
from pathlib import Path

from benchmarks.case import Case, all_cases
from benchmarks.contest import Contest, Effort
from benchmarks.contestant import peers_are_installed
from benchmarks.corpus import corpus_folder, make_corpus
from benchmarks.document import insert
from benchmarks.place import ROOT, bench_folder
from benchmarks.result import Result, keyed, machine_facts
from benchmarks.table import long_tables, short_table
from benchmarks.video import all_videos

_QUICK = Effort(seconds=0.4, rounds=1)
_FULL = Effort(seconds=1.5, rounds=3)


def main() -> None:
    """Parses the command line and does what it says."""
    parser = _parser()
    options = parser.parse_args()
    if options.write and options.quick:
        parser.error("expected --write without --quick: documents take full measurements only")
    cases = tuple(
        case
        for case in all_cases(is_quick=options.quick)
        if fnmatch.fnmatch(case.title, options.only)
    )
    if options.list:
        for case in cases:
            _say(f"{case.title:<36} thumbfarm {' '.join(case.peers)}")
        return
    for line in make_corpus(is_quick=options.quick):
        _say(f"made {line}")
    if not cases:
        sys.exit(f"expected a case for --only {options.only!r}; --list tells all")
    if not peers_are_installed():
        _say("the Python peers are not installed: scripts/bench installs them")
    result = _measure(cases, options)
    path = _result_path(result, is_tracked=options.write)
    if options.write and path.exists():
        # What was not measured this time stays.
        result = dataclasses.replace(
            result,
            cells=Result.read(path).cells | result.cells,
            versions=Result.read(path).versions | result.versions,
        )
    result.write(path)
    _show(result, options, path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter videos, fewer of them, once")
    parser.add_argument("--rounds", type=int, help="samples of each contestant in each case")
    parser.add_argument("--seconds", type=float, help="working time of one sample, about")
    parser.add_argument("--only", default="*", metavar="GLOB", help="cases, as --list names them")
    parser.add_argument("--list", action="store_true", help="the cases, and who takes part")
    parser.add_argument("--write", action="store_true",
                        help="keep the results and put the tables into the documents")  # fmt: skip
    return parser


def _measure(cases: tuple[Case, ...], options: argparse.Namespace) -> Result:
    effort = _QUICK if options.quick else _FULL
    effort = Effort(options.seconds or effort.seconds, options.rounds or effort.rounds)
    videos = all_videos(is_quick=options.quick)
    cells = []
    with Contest(corpus_folder(is_quick=options.quick), videos, effort, _say) as contest:
        try:
            for number, case in enumerate(cases, 1):
                _say(f"{number}/{len(cases)} {case.title}")
                cells += contest.run(case)
        except KeyboardInterrupt:
            _say("stopped: what was measured is kept")
        machine = machine_facts() | {"rounds": effort.rounds, "is_quick": bool(options.quick)}
        return Result(machine, contest.versions, keyed(cells))


def _result_path(result: Result, *, is_tracked: bool) -> Path:
    folder = ROOT / "benchmarks" / "results" if is_tracked else bench_folder() / "results"
    suffix = "-quick" if result.machine["is_quick"] else ""
    return folder / f"cpu-{result.machine['cores']}cores{suffix}.json"


def _show(result: Result, options: argparse.Namespace, path: Path) -> None:
    cases = all_cases(is_quick=options.quick)
    tables = long_tables(result, cases)
    _say(f"\n{tables}\n\nresults  {path}")
    if options.write:
        insert(ROOT / "README.md", "speed", short_table(result, cases))
        insert(ROOT / "docs" / "performance.md", "speed", tables)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
