"""A part of the check: its rows are made in a process of its own, within a bounded time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from benchmarks.place import ROOT

Value: TypeAlias = str | int | float | bool | None
Row: TypeAlias = dict[str, Value]
"""One line of a part's table: a value for each column that it has."""

_REASON_LETTERS = 300


class MissingError(Exception):
    """Something that a part needs is not on this machine; the message says what."""


class Verdict(StrEnum):
    """What became of one comparison or test, as the column `verdict` tells."""

    OK = "ok"
    DIFFERS = "differs"
    REFUSED = "refused"
    MISSING = "missing"
    FAILED = "failed"


BAD_VERDICTS = frozenset({Verdict.DIFFERS, Verdict.FAILED})


class State(StrEnum):
    """What became of a part."""

    DONE = "done"
    MISSING = "missing"
    NOT_RUN = "not run"
    FAILED = "failed"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Part:
    """One part: `rows` is the dotted path of a function of a `Task` that yields its rows."""

    name: str
    title: str
    rows: str
    most_seconds: float
    argument: str = ""
    needs_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """What a part is told: the check's scratch folder, its own argument, and when its time is up.

    `deadline` is a value of `time.monotonic`.
    """

    folder: Path
    argument: str
    deadline: float

    @property
    def left_seconds(self) -> float:
        """The time that is left, below 0 where there is none."""
        return self.deadline - time.monotonic()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a part found; `reason` says why it is not done."""

    part: Part
    state: State
    rows: tuple[Row, ...] = ()
    reason: str = ""
    seconds: float = 0.0

    @property
    def is_bad(self) -> bool:
        """Whether the part broke, or one of its comparisons or tests failed."""
        is_broken = self.state in (State.FAILED, State.TIMED_OUT)
        return is_broken or any(row.get("verdict") in BAD_VERDICTS for row in self.rows)


def run(part: Part, folder: Path, *, most_seconds: float) -> Outcome:
    """Runs a part; whatever becomes of its process, the rows that it told until then are kept.

    A native library may take its process with it or never return: that costs this part only.
    """
    began = time.monotonic()
    found, log = folder / f"{part.name}.jsonl", folder / f"{part.name}.log"
    words = [part.rows, str(folder), part.argument, f"{most_seconds:.1f}", str(found)]
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu.child", *words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=lines,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(most_seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            # Whatever it started goes with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    rows, missing = _read(found)
    state, reason = _judge(code, missing, log, most_seconds)
    return Outcome(part, state, rows, reason, time.monotonic() - began)


def _read(path: Path) -> tuple[tuple[Row, ...], str]:
    """The rows that a part told, and what it said to be missing."""
    rows: list[Row] = []
    missing = ""
    for told in _lines(path):
        if "row" in told:
            rows.append(told["row"])
        missing = str(told.get("missing", missing))
    return tuple(rows), missing


def _lines(path: Path) -> Iterator[dict[str, Row]]:
    if not path.exists():
        return
    for line in path.read_text("utf-8").splitlines():
        # The last line of a process that was killed may be cut.
        with suppress(ValueError):
            yield json.loads(line)


def _judge(code: int | None, missing: str, log: Path, most_seconds: float) -> tuple[State, str]:
    if code is None:
        return State.TIMED_OUT, f"not done after {most_seconds:.0f} s"
    if missing:
        return State.MISSING, missing
    if code < 0:
        return State.FAILED, f"ended by signal {-code}; {_last_line(log)}"
    return (State.FAILED, _last_line(log)) if code else (State.DONE, "")


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip()[:_REASON_LETTERS] if lines else "it said nothing"
