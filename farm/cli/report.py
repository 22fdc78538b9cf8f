"""`farm report`: a job's pictures, failures and figures as pages for a browser."""

from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.ledger import open_ledger
from farm.cli.screen import say
from farm.errors import UsageError

if TYPE_CHECKING:
    from farm.ledger import Ledger
    from farm.report import Written

_LIMIT = 3000


def make_report(
    job_or_ledger: Annotated[
        str, typer.Argument(metavar="JOB.yaml|LEDGER", help="A job file or a ledger's folder.")
    ],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="A folder or prefix; default _report beside the ledger."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="Entries in the gallery, failures first; 0 = all.")
    ] = _LIMIT,
    status: Annotated[
        str | None, typer.Option(help="Only entries that are ok, failed, quarantined or deferred.")
    ] = None,
    code: Annotated[str | None, typer.Option(help="Only entries with this error code.")] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the pictures that are shown into the report.")
    ] = False,
) -> None:
    """Write a report: pictures, failures and figures, as pages for a browser.

    They need no server and no network. Pictures are linked where they are, or copied.
    """
    named = {"status": status, "code": code}
    ledger = open_ledger(job_or_ledger)
    _say(_write(ledger, to, limit=limit or None, named=named, copy=copy))


def _write(
    ledger: "Ledger", to: str | None, *, limit: int | None, named: dict[str, str | None], copy: bool
) -> "Written":
    from farm import storage
    from farm.cli.job import absolute
    from farm.cli.selection import Selection

    try:
        from farm.report import ReportOptions, write_report
    except ModuleNotFoundError as error:
        raise UsageError(
            f"expected the extra report: pip install 'thumbfarm[report]' ({error})"
        ) from None

    options = ReportOptions(
        choose=Selection.of(**named).filter,
        limit=limit,
        copy=copy,
        selection=" and ".join(f"{name} {value}" for name, value in named.items() if value),
    )
    beside = storage.join(ledger.uri.rstrip("/").rpartition("/")[0] or "/", "_report")
    return write_report(ledger, beside if to is None else absolute(to), options)


def _say(written: "Written") -> None:
    sample = (
        f", {written.shown:,} of them in the gallery" if written.shown < written.entries else ""
    )
    copied = f", {written.copied:,} files copied" if written.copied else ""
    say(f"{written.entries:,} entries{sample}{copied}: {written.uri}")
    if written.missing:
        say(f"{written.missing:,} files cannot be read and are not shown", to_stderr=True)
    if written.unlinked:
        say(
            f"{written.unlinked:,} files lie where no browser could open them from there: "
            "--copy takes them along",
            to_stderr=True,
        )
