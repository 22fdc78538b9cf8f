"""Runs the tests that need a GPU, with a skip counted as a failure."""

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.gpu.part import Row, Task, Verdict
from benchmarks.place import ROOT

# The time between the end of pytest and that of the part, to tell what was found until then.
_RESERVE_SECONDS = 5.0
_DONE = re.compile(
    r"^(\S+\.py::.+?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)(?: \((.*)\))?(?:\s|$)"
)
_SUMMED = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::.+?)?)(?: - (.*))?$")
_NOT_HERE = ("could not import", "No module named", "not installed")


def rows(task: Task) -> Iterator[Row]:
    """A row for each test that did not pass, then how many there were of each kind."""
    files = test_files(ROOT / "tests")
    if not files:
        yield {"test": "all", "verdict": Verdict.FAILED, "why": "no test needs a GPU"}
        return
    process = subprocess.Popen(
        _words(files),
        cwd=ROOT,
        env=os.environ | {"FARM_REQUIRE_CUDA": "1", "COLUMNS": "400"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ending = threading.Timer(max(1.0, task.left_seconds - _RESERVE_SECONDS), process.kill)
    ending.start()
    assert process.stdout is not None
    yield from read_lines(process.stdout)
    code = process.wait()
    ending.cancel()
    if code < 0:
        yield {"test": "all", "verdict": Verdict.FAILED, "why": "ended by a signal, or out of time"}


def test_files(folder: Path) -> list[Path]:
    """The test modules that have a test which needs a GPU; importing others may need more."""
    found = sorted(folder.rglob("test_*.py"))
    return [path for path in found if "needs_cuda" in path.read_text("utf-8")]


def read_lines(lines: Iterable[str]) -> Iterator[Row]:
    """The rows that pytest's verbose lines and its short summary amount to."""
    counts = Counter[str]()
    reasons: dict[str, str] = {}
    failed: list[str] = []
    said = ""
    for line in lines:
        if found := _DONE.match(line):
            name, outcome, reason = found.groups()
            counts[outcome.lower()] += 1
            if outcome == "SKIPPED":
                yield _skipped(name, reason or "")
            elif outcome in ("FAILED", "ERROR"):
                failed.append(name)
        elif summed := _SUMMED.match(line.rstrip()):
            reasons[summed[1]] = summed[2] or ""
        elif "Error: " in line or "No module named" in line:
            said = line.strip().removeprefix("E ").strip()
    for name in dict.fromkeys([*failed, *reasons]):
        why = reasons.get(name, "")
        yield {"test": name, "verdict": _verdict(why, Verdict.FAILED), "why": why}
    if counts:
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        yield {"test": "all", "verdict": None, "why": told}
    else:
        # pytest itself, or what all tests import, is missing or broken.
        yield {"test": "all", "verdict": _verdict(said, Verdict.FAILED), "why": f"none ran; {said}"}


def _words(files: list[Path]) -> list[str]:
    """Nothing that a bare pytest lacks: no plug-in of ours, no options of pyproject.toml."""
    return [
        *(sys.executable, "-m", "pytest", "-v", "-m", "needs_cuda", "-rfE", "--tb=short"),
        *("-p", "no:cacheprovider", "-o", "addopts=", "--continue-on-collection-errors"),
        # `timeout` of pyproject.toml belongs to a plug-in that may be missing.
        *("-W", "ignore::pytest.PytestConfigWarning"),
        *("-W", "ignore::pytest.PytestUnknownMarkWarning"),
        *(str(path.relative_to(ROOT)) for path in files),
    ]


def _skipped(name: str, reason: str) -> Row:
    """A skip is a failure here, except where a package is missing, which is said."""
    return {"test": name, "verdict": _verdict(reason, Verdict.FAILED), "why": f"skipped: {reason}"}


def _verdict(reason: str, otherwise: Verdict) -> Verdict:
    return Verdict.MISSING if any(words in reason for words in _NOT_HERE) else otherwise
