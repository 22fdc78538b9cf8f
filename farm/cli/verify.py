"""`farm verify`: whether the files that a ledger tells of are there and whole."""

import collections
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.exit_code import ExitCode
from farm.cli.ledger import open_ledger
from farm.cli.screen import say
from farm.wording import size_text

if TYPE_CHECKING:
    from farm.audit import Checked, FaultKind
    from farm.ledger import Ledger
    from farm.row_set import RowSet

_MOST_LISTED = 100
_LINE_SECONDS = 5.0

# "\b" keeps the lines apart.
VERIFY_CODES_HELP = """\b
Exit codes:
    0  every file is there and what its record says
    1  some are missing or changed
    2  an option is wrong, or there is no such ledger
    3  the ledger or some files cannot be read; none that can is damaged"""


def verify_files(
    job_or_ledger: Annotated[
        str, typer.Argument(metavar="JOB.yaml|LEDGER", help="A job file or a ledger's folder.")
    ],
    with_hash: Annotated[
        bool, typer.Option("--hash", help="Read every file and compare its SHA-256.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Plan a pass that makes the damaged entries again.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the damaged entries to FILE.jsonl, a manifest to be run again."),
    ] = None,
) -> None:
    """Check that the files of all entries that are done are there and whole.

    By size, and by the SHA-256 that an S3 store keeps beside them; --hash reads them.
    """
    from farm.audit import audit
    from farm.repair import check_repairable

    ledger = open_ledger(job_or_ledger)
    if repair:
        check_repairable(ledger)
    tally = _Tally()
    for checked in _listed(tally.counted(audit(ledger, with_hash=with_hash))):
        tally.note(checked)
    tally.say()
    if export is not None:
        say(f"{_export(ledger, tally.damaged, export):,} entries in {export}")
    if repair and tally.damaged:
        _repair(ledger, tally)
    elif tally.damaged:
        say("to make them again:  the same command with --repair, then `farm run`")
    raise typer.Exit(tally.exit_code)


@dataclass(slots=True)
class _Tally:
    """What was found so far; `damaged` are the rows by the pass that has their record."""

    entries: int = 0
    files: int = 0
    size_bytes: int = 0
    damaged_entries: int = 0
    faults: "collections.Counter[FaultKind]" = field(default_factory=collections.Counter)
    damaged: "dict[int, RowSet]" = field(default_factory=dict)

    def counted(self, all_checked: "Iterator[Checked]") -> "Iterator[Checked]":
        """Counts all, says now and then how far it is, and yields those with a fault."""
        said_at = time.monotonic()
        for checked in all_checked:
            self.entries += 1
            self.files += checked.files
            self.size_bytes += checked.size_bytes
            if checked.faults:
                yield checked
            if time.monotonic() - said_at >= _LINE_SECONDS:
                said_at = time.monotonic()
                so_far = f"{self.entries:,} entries, {self.files:,} files{self._found()}"
                say(so_far, to_stderr=True)

    def note(self, checked: "Checked") -> None:
        """Counts the faults of an entry."""
        import numpy as np

        from farm.row_set import RowSet

        self.faults.update(fault.kind for fault in checked.faults)
        if checked.is_damaged:
            self.damaged_entries += 1
            rows = self.damaged.setdefault(checked.pass_number, RowSet())
            rows.add(np.array([checked.row], np.int64))

    def say(self) -> None:
        """Says the end."""
        say(f"entries   {self.entries:,}, {self.damaged_entries:,} of them damaged")
        found = self._found() or ", all as recorded"
        say(f"files     {self.files:,}, {size_text(self.size_bytes)}{found}")

    def _found(self) -> str:
        return "".join(f", {count:,} {kind}" for kind, count in sorted(self.faults.items()))

    @property
    def exit_code(self) -> ExitCode:
        if self.damaged:
            return ExitCode.SOME_FAILED
        return ExitCode.BROKEN if self.faults else ExitCode.DONE


def _listed(faulty: "Iterator[Checked]") -> "Iterator[Checked]":
    """Names the first files with a fault."""
    named = 0
    for checked in faulty:
        for fault in checked.faults:
            named += 1
            if named <= _MOST_LISTED:
                say(f"{fault.kind:<10} row {checked.row} {checked.id} {fault.uri}: {fault.message}")
            elif named == _MOST_LISTED + 1:
                say(f"these are {_MOST_LISTED}; --export writes the entries", to_stderr=True)
        yield checked


def _export(ledger: "Ledger", damaged: "dict[int, RowSet]", path: Path) -> int:
    from farm.repair import damaged_rows

    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in damaged_rows(ledger, damaged, sorted(damaged)):
            file.write(json.dumps(row.fields, ensure_ascii=False) + "\n")
            count += 1
    return count


def _repair(ledger: "Ledger", tally: _Tally) -> None:
    from farm.lease import Lease
    from farm.repair import plan_repair

    with Lease.take(ledger.uri):
        count = plan_repair(ledger, tally.damaged)
    if count:
        say(f"planned once more: {count:,}; `farm run` makes them")
    if left := tally.damaged_entries - count:
        say(
            f"{left:,} entries were done for an earlier manifest or other outputs: "
            "--export and a run with a ledger of its own, or `farm run --force`, makes them again"
        )
