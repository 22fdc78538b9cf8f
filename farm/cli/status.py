"""`farm status`: how far a run is, from any terminal and any machine that reaches its ledger."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.ledger import name_ledger
from farm.cli.screen import duration_text, money_text, printable, say
from farm.wording import size_text

if TYPE_CHECKING:
    from farm.run_status import Example, PassFigures, RunStatus

_FOLLOW_SECONDS = 2.0
# A run rewrites its status every 10 s; one that is older says that something is wrong.
_OLD_SECONDS = 45.0
_LABEL_WIDTH = 10
_MESSAGE_CHARACTERS = 120

# "\b" keeps the lines apart.
STATUS_CODES_HELP = """\b
Exit codes:
    0  the state is told, whatever it is
    2  an option is wrong
    3  the ledger cannot be read"""


def show_status(
    job_or_ledger: Annotated[
        str, typer.Argument(metavar="JOB.yaml|LEDGER", help="A job file or a ledger's folder.")
    ],
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on showing it until the run is over.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object, or with --watch one a line.")
    ] = False,
) -> None:
    """Show how far a run is, and what it is at.

    Reads the ledger alone, so that it works wherever that can be read. Of a run that was killed
    it tells what its last results do.
    """
    from farm.lookout import follow, look

    ledger = name_ledger(job_or_ledger)
    if not watch:
        _say_once(look(ledger), as_json)
        return
    statuses = follow(ledger, every_seconds=_FOLLOW_SECONDS)
    if as_json:
        for status in statuses:
            say(_json_text(status, indent=None))
    elif sys.stdout.isatty():
        _draw(statuses)
    else:
        _say_changes(statuses)


def _say_once(status: "RunStatus", as_json: bool) -> None:
    if as_json:
        say(_json_text(status, indent=2))
        return
    for line in status_lines(status):
        say(line)


def _json_text(status: "RunStatus", *, indent: int | None) -> str:
    # In ASCII, of which the screen changes nothing.
    return json.dumps(status.model_dump(mode="json"), indent=indent)


def _draw(statuses: "Iterable[RunStatus]") -> None:
    """Redraws the status in its place."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False, vertical_overflow="visible") as live:
        for status in statuses:
            text = "\n".join(status_lines(status))
            live.update(Text(printable(text)), refresh=True)


def _say_changes(statuses: "Iterable[RunStatus]") -> None:
    """Says a line for each change."""
    last = ""
    for status in statuses:
        if (line := status_line(status)) != last:
            say(line)
            last = line


def status_line(status: "RunStatus") -> str:
    """The state in one line: `pass 1: 20/80 entries, 1 failed, 2.0/s, 30.0 s left; running`."""
    if not status.passes:
        return state_text(status)
    newest = status.passes[-1]
    rows = "?" if newest.rows is None else f"{newest.rows:,}"
    failed = newest.counts.get("failed", 0) + newest.counts.get("quarantined", 0)
    line = f"pass {newest.number}: {newest.entries:,}/{rows} entries, {failed:,} failed"
    if status.entries_per_second:
        line += f", {status.entries_per_second:,.1f}/s"
    if status.seconds_left is not None:
        line += f", {duration_text(status.seconds_left)} left"
    return f"{line}; {state_text(status)}"


def status_lines(status: "RunStatus") -> list[str]:
    """All that a status tells, for people."""
    return [
        f"{label:<{_LABEL_WIDTH}} {text}".rstrip()
        for label, text in [*_head(status), *_figures(status), *_under_way(status)]
    ] + _failures(status)


def state_text(status: "RunStatus") -> str:
    """The state and its reason, which may begin with the same word."""
    if not status.reason or status.reason.startswith(status.state):
        return status.reason or status.state.value
    return f"{status.state}: {status.reason}"


def _head(status: "RunStatus") -> Iterator[tuple[str, str]]:
    yield "state", state_text(status)
    yield "ledger", status.ledger
    if status.holder is not None:
        so_far = f"; {duration_text(status.seconds)} so far" if status.seconds else ""
        yield "run", f"{status.holder}{so_far}"
    age = status.age_seconds
    if age is not None and age > _OLD_SECONDS and status.state.is_alive:
        yield "told", f"{duration_text(age)} ago: the run lives, but cannot store its status"
    elif age is not None and status.state == "gone":
        yield "told", f"{duration_text(age)} ago, for the last time"


def _figures(status: "RunStatus") -> Iterator[tuple[str, str]]:
    for one in status.passes:
        yield f"pass {one.number}", _pass_text(one)
    if status.passes:
        carried = f", {status.carried:,} done before" if status.carried else ""
        yield "entries", f"{status.entries:,}{_counts_text(status.counts)}{carried}"
        yield (
            "pictures",
            f"{status.pictures:,}, {size_text(status.bytes_written)}; "
            f"{size_text(status.bytes_read)} read",
        )
    if status.cost is not None:
        yield (
            "cost",
            f"{money_text(status.cost['total'], status.cost['currency'])} in the newest command",
        )


def _pass_text(one: "PassFigures") -> str:
    about = "about " if one.is_estimate else ""
    share = "" if not one.rows else f" ({100 * one.entries / one.rows:.1f} %)"
    rows = "?" if one.rows is None else f"{one.rows:,}"
    return f"{one.reason}: {about}{one.entries:,} of {rows} entries{share}"


def _counts_text(counts: dict[str, int]) -> str:
    return "".join(f", {count:,} {name}" for name, count in sorted(counts.items()))


def _under_way(status: "RunStatus") -> Iterator[tuple[str, str]]:
    if not status.state.is_alive:
        return
    left = "" if status.seconds_left is None else f", {duration_text(status.seconds_left)} left"
    yield "rate", f"{status.entries_per_second:,.1f}/s over the last 5 minutes{left}"
    yield (
        "shards",
        f"{status.shards_in_flight:,} sent, {status.shards_todo:,} to be sent; "
        f"{status.slots:,} worker{'' if status.slots == 1 else 's'}",
    )
    if (oldest := status.oldest) is not None:
        yield (
            "oldest",
            f"row {oldest.row} {oldest.source}, for {duration_text(oldest.seconds)} "
            f"on {oldest.worker}",
        )


def _failures(status: "RunStatus") -> list[str]:
    lines = ["failures"] if status.codes else []
    for code, count in status.codes.items():
        example = status.examples.get(code)
        told = "" if example is None else _example_text(example)
        lines.append(f"  {code:<20} {count:>9,}  {told}".rstrip())
    return lines


def _example_text(example: "Example") -> str:
    """A row and what is wrong with it; most messages begin with the source."""
    text = example.message
    if example.source and example.source not in text:
        text = f"{example.source}  {text}"
    shown = text if len(text) <= _MESSAGE_CHARACTERS else f"{text[:_MESSAGE_CHARACTERS]}..."
    return f"row {example.row}  {shown}"
