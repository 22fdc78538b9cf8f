"""The command behind scripts/chaos: a trial, and what it showed."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.chaos.trial import Report, attempt
from farm.record import Status
from farm.samples import EXPECTED_NAME, make_samples


def main() -> None:
    """Carries out a trial; exit code 1 where chaos changed the result."""
    options = _parser().parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="farm-chaos-"))
    samples = options.samples or folder / "samples"
    if not (samples / EXPECTED_NAME).exists():
        make_samples(samples)
    report = attempt(
        folder,
        samples,
        seed=options.seed,
        entries=options.entries,
        faults=options.faults,
        s3=options.s3,
        told=_say,
    )
    for line in describe(report):
        _say(line)
    if report.is_good and options.folder is None:
        shutil.rmtree(folder)
    else:
        _say(f"logs: {folder}")
    sys.exit(0 if report.is_good else 1)


def describe(report: Report) -> list[str]:
    """The figures of a trial for people, a line each."""
    calm, rough = report.calm, report.rough
    again = sum(record.status is not rough.final.records[row].status
                for row, record in rough.first.records.items())  # fmt: skip
    attempts = sum(record.attempts > 1 for record in rough.final.records.values())
    ended = [command for command in rough.commands if command.code not in (0, 1)]
    by_itself = [command for command in ended if command.code > 0]
    lines = [
        f"entries       {report.archive.entries}, {report.archive.poisons} of them poison, "
        f"{calm.final.count(Status.FAILED)} failed, "
        f"{calm.final.count(Status.QUARANTINED)} quarantined",
        f"faults        {len(report.struck)} of {report.planned}",
        f"commands      {len(rough.commands)}, {len(ended) - len(by_itself)} of them killed, "
        f"{len(by_itself)} ended by themselves",
        *(f"              code {command.code}: {command.last_line}" for command in by_itself),
        f"services      {rough.starts} starts, undisturbed {calm.starts}",
        f"tried twice   {attempts} entries; {again} more by --retry-failed",
        f"wall time     {rough.seconds:.1f} s, undisturbed {calm.seconds:.1f} s",
    ]
    if report.skipped:
        lines.append(f"skipped       {report.skipped}")
    return [*lines, *(f"DIFFERENCE    {each}" for each in report.differences)] + (
        ["same result"] if report.is_good else []
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides archive and faults")
    parser.add_argument("--entries", type=int, default=2000, help="entries of the archive")
    parser.add_argument("--faults", type=int, default=30, help="faults that strike")
    parser.add_argument("--s3", action="store_true", help="over a failing S3 server")
    parser.add_argument("--folder", type=Path, help="where it works, and leaves its logs")
    parser.add_argument("--samples", type=Path, help="a folder that `farm samples` has filled")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
