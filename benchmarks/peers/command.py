"""Runs the peers that are commands."""

import subprocess
from pathlib import Path

from benchmarks.sample import ContestantError


def run(words: list[str]) -> str:
    """Its standard output; raises ContestantError with the last line where it fails."""
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if ended.returncode:
        lines = (ended.stderr or ended.stdout).strip().splitlines()
        raise ContestantError(f"exit code {ended.returncode}: {lines[-1] if lines else ''}"[:300])
    return ended.stdout


def first_line(words: list[str]) -> str:
    """The first line that a command prints, on either output, such as its version."""
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return next(iter((ended.stdout or ended.stderr).splitlines()), "")


def count_pictures(paths: list[Path]) -> int:
    """How many of the files are there and not empty; removes them."""
    found = [path for path in paths if path.exists() and path.stat().st_size]
    for path in found:
        path.unlink()
    return len(found)
