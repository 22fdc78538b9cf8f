"""Where the benchmarks keep what they make and install: build/bench, or $FARM_BENCH."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def bench_folder() -> Path:
    """The folder for the corpus, the peers and what runs leave behind; nothing in it is tracked."""
    return Path(os.environ.get("FARM_BENCH") or ROOT / "build" / "bench").absolute()


def peer_python() -> Path:
    """The interpreter that has the Python peers."""
    return bench_folder() / "venv" / "bin" / "python"
