"""`farm ledger`: what became of a job's entries."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from farm.cli.screen import say
from farm.wording import size_text

if TYPE_CHECKING:
    from farm.cli.selection import Selection
    from farm.ledger import Ledger

_MOST_LISTED = 100


def show_ledger(
    job_or_ledger: Annotated[
        str, typer.Argument(metavar="JOB.yaml|LEDGER", help="A job file or a ledger's folder.")
    ],
    status: Annotated[
        str | None, typer.Option(help="Only entries that are ok, failed, quarantined or deferred.")
    ] = None,
    code: Annotated[str | None, typer.Option(help="Only entries with this error code.")] = None,
    slowest: Annotated[int, typer.Option(min=0, help="Show the N slowest entries.")] = 0,
    export: Annotated[
        Path | None, typer.Option(help="Write the records to FILE.jsonl, .csv or .parquet.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Write the entries that failed to FILE.jsonl, to be run again."),
    ] = None,
) -> None:
    """Show what became of the entries, or export it.

    --status and --code choose what is listed and exported.
    """
    from farm.cli.export import export_manifest, export_records
    from farm.cli.selection import Selection

    ledger = open_ledger(job_or_ledger)
    selection = Selection.of(status, code)
    if export is not None:
        count = export_records(ledger, selection, export)
        say(f"{count:,} records in {export}")
    if manifest is not None:
        count, unreadable = export_manifest(ledger, selection, manifest)
        left_out = f", without {unreadable:,} rows that cannot be read" if unreadable else ""
        say(f"{count:,} entries in {manifest}{left_out}")
    if export is not None or manifest is not None:
        return
    _show_totals(ledger)
    if not selection.is_everything:
        _show_entries(ledger, selection)
    if slowest:
        _show_slowest(ledger, selection, slowest)


def open_ledger(job_or_ledger: str) -> "Ledger":
    """The ledger of a job file, or at a URI; raises InvalidJobError where there is none."""
    from farm.errors import InvalidJobError

    ledger = name_ledger(job_or_ledger)
    if not ledger.passes():
        raise InvalidJobError(
            f"expected a ledger at {ledger.uri}, found none; has `farm run` been there?"
        )
    return ledger


def name_ledger(job_or_ledger: str) -> "Ledger":
    """The same, whether or not a run has begun there."""
    from farm import storage
    from farm.cli.job import JobOptions, absolute, ledger_uri, read_job
    from farm.ledger import Ledger

    is_job = job_or_ledger.endswith((".yaml", ".yml", ".json"))
    uri = (
        ledger_uri(read_job(JobOptions(Path(job_or_ledger)))) if is_job else absolute(job_or_ledger)
    )
    return Ledger(uri, storage)


def _show_totals(ledger: "Ledger") -> None:
    from farm.cli.selection import examples
    from farm.history import totals

    found = totals(ledger)
    carried = f", {found.carried:,} of them done before" if found.carried else ""
    say(f"ledger    {ledger.uri}")
    say(f"entries   {found.entries:,}{carried}")
    for status, count in sorted(found.counts.items()):
        say(f"  {status:<12} {count:>9,}")
    say(f"pictures  {found.pictures:,}, {size_text(found.bytes_written)}")
    say(f"read      {size_text(found.bytes_read)}")
    if found.codes:
        say("failures")
    shown = examples(ledger) if found.codes else {}
    for name, count in found.codes.items():
        example = shown[name]
        row = f"row {example['row']} {example['source']}".rstrip()
        say(f"  {name:<20} {count:>9,}  {row}  {example['message']}")


def _show_entries(ledger: "Ledger", selection: "Selection") -> None:
    from farm.cli.selection import chosen

    columns = ["row", "status", "source", "error_code", "message"]
    for number, record in enumerate(chosen(ledger, selection, columns)):
        if number == _MOST_LISTED:
            say(f"these are {_MOST_LISTED}; --export writes all", to_stderr=True)
            break
        say(f"{record['status']:<12} {_entry_text(record)}")


def _show_slowest(ledger: "Ledger", selection: "Selection", count: int) -> None:
    from farm.cli.selection import slowest

    say("slowest")
    for milliseconds, record in slowest(ledger, selection, count):
        stages = ", ".join(
            f"{stage} {value:,.0f}" for stage, value in record["timings_ms"].items() if value
        )
        say(f"  {milliseconds:>9,.0f} ms  row {record['row']} {record['source']}  ({stages})")


def _entry_text(record: dict[str, Any]) -> str:
    code = f"  {record['error_code']}: {record['message']}" if record["error_code"] else ""
    return f"row {record['row']} {record['source']}{code}"
