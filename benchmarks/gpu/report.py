"""Writes what a check found: JSON for programs, Markdown for people, neither with a path in it."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.part import Outcome, Row, State, Value

SCHEMA_VERSION = 1

# The folders of an absolute path, of which only the last name tells anything elsewhere.
_FOLDERS = re.compile(r"(?<![\w.:/~+-])/(?:[\w.+@~-]+/)+")
_CELL_LETTERS = 140


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes of one check; `gpu` is empty where there is none."""

    name: str
    gpu: str
    exit_code: int
    outcomes: tuple[Outcome, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as programs read it; see docs/gpu.md for the fields."""
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "gpu": self.gpu,
            "exit_code": self.exit_code,
            "parts": [_fields(outcome) for outcome in self.outcomes],
        }

    def to_markdown(self) -> str:
        """The report as people read it: a summary, then a table for each part."""
        lines = [f"# GPU check: {self.gpu or 'no GPU'}", "", *summary(self.outcomes)]
        for outcome in self.outcomes:
            lines += ["", *section(outcome)]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Writes gpu-NAME.json and gpu-NAME.md into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        data, page = (folder / f"gpu-{self.name}.{ending}" for ending in ("json", "md"))
        data.write_text(json.dumps(self.to_json(), indent=1) + "\n", "utf-8")
        page.write_text(self.to_markdown(), "utf-8")
        return data, page


def slug(name: str) -> str:
    """A GPU's name as part of a file's name: `NVIDIA L4` becomes `nvidia-l4`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "none"


def without_folders(text: str) -> str:
    """The text with absolute paths cut down to their last names."""
    return _FOLDERS.sub("", text)


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """A table of all parts: what became of each, and why where it is not done."""
    rows: list[Row] = [
        {
            "part": outcome.part.name,
            "state": outcome.state.value,
            "seconds": round(outcome.seconds, 1),
            "found": outcome.reason or _tally(outcome),
        }
        for outcome in outcomes
    ]
    return table(rows)


def section(outcome: Outcome) -> list[str]:
    """One part with its table."""
    lines = [f"## {outcome.part.title}", ""]
    if outcome.state is not State.DONE:
        lines += [f"{outcome.state.value}: {without_folders(outcome.reason)}", ""]
    return lines + table(outcome.rows) if outcome.rows else lines[:-1]


def table(rows: Sequence[Row]) -> list[str]:
    """A Markdown table with all columns that any of the rows has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    lines = [[name.replace("_", " ") for name in columns], ["---"] * len(columns), *cells]
    return [f"| {' | '.join(line)} |" for line in lines]


def _fields(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.part.name,
        "title": outcome.part.title,
        "state": outcome.state.value,
        "reason": without_folders(outcome.reason),
        "seconds": round(outcome.seconds, 1),
        "rows": [_plain(row) for row in outcome.rows],
    }


def _plain(row: Row) -> Row:
    return {
        name: without_folders(value) if isinstance(value, str) else value
        for name, value in row.items()
    }


def _tally(outcome: Outcome) -> str:
    """How many rows have each verdict: `12 ok, 1 differs`."""
    verdicts = [str(row["verdict"]) for row in outcome.rows if row.get("verdict")]
    counts = {word: verdicts.count(word) for word in dict.fromkeys(verdicts)}
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = " ".join(without_folders(str(value)).split()).replace("|", "/")
    return text if len(text) <= _CELL_LETTERS else text[: _CELL_LETTERS - 1] + "…"
