"""`farm doctor`: what this machine can do, and what it lacks."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.exit_code import ExitCode
from farm.cli.screen import printable, say

if TYPE_CHECKING:
    from farm.doctor import Section


def show_findings(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look at what this machine can do.

    Says what is missing and how to get it. Exits with 3 where something that the farm needs is
    broken.
    """
    from farm.doctor import State, examine

    sections = []
    for section in examine():
        sections.append(section)
        if not as_json:
            _show(section)
    if as_json:
        facts = {
            section.name: {
                finding.name: {
                    "state": finding.state.value,
                    "value": finding.value,
                    "cure": finding.cure,
                }
                for finding in section.findings
            }
            for section in sections
        }
        say(json.dumps(facts, indent=2))
    findings = [finding for section in sections for finding in section.findings]
    is_broken = any(finding.state is State.BROKEN for finding in findings)
    raise typer.Exit(ExitCode.BROKEN if is_broken else ExitCode.DONE)


def _show(section: "Section") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from farm.doctor import State

    styles = {State.OK: "green", State.MISSING: "yellow", State.BROKEN: "bold red"}
    table = Table.grid(padding=(0, 2))
    table.add_column(width=22)
    for finding in section.findings:
        text = finding.value + (f"\n{finding.cure}" if finding.cure else "")
        table.add_row(
            f"  {finding.name}",
            Text(finding.state.value, style=styles[finding.state]),
            Text(printable(text), overflow="fold"),
        )
    console = Console(soft_wrap=False)
    console.print(Text(section.name, style="bold"))
    console.print(table)
