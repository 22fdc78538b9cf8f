"""What the isolation of lanes costs: the same files in lanes of each kind, turn about.

`python -m benchmarks.isolation FILE...` prints a table. Blocks of entries go to one lane of each
kind in turn, so that what else the machine does meets all alike. Figures are medians over the
blocks: time that the lane was asked for, and CPU time that its process took, per entry.
"""

import argparse
import os
import random
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from farm.isolation import Lane, LanePool, request_of
from farm.settings import Isolation, LaneRules, Limits
from farm.spec import Entry

_BLOCKS = 31
_ENTRIES = 12
_MEMORY_BYTES = 4 << 30
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class _Contender:
    """One kind of lane, and what its blocks took per entry."""

    isolation: Isolation
    lane: Lane
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def work(self, path: Path, entries: int) -> None:
        """One block."""
        began, cpu = time.perf_counter(), _cpu_seconds(self.lane.pid)
        for _ in range(entries):
            _make(self.lane, path)
        self.wall_ms.append((time.perf_counter() - began) * 1e3 / entries)
        self.cpu_ms.append((_cpu_seconds(self.lane.pid) - cpu) * 1e3 / entries)


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5), stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _make(lane: Lane, path: Path) -> None:
    with open(path, "rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        entry = Entry.model_validate(
            {"source": str(path), "id": "e", "destination": "/", "outputs": [{"width": 320}]}
        )
        asked = request_of(
            "make", entry, row=1, limits=Limits(), size_bytes=size_bytes, name=path.name
        )
        lane.call(asked, fd=file.fileno(), timeout_seconds=60)


def _measure(path: Path, blocks: int, entries: int) -> list[_Contender]:
    with ExitStack() as stack:
        contenders = []
        for isolation in Isolation:
            rules = LaneRules(memory_bytes=_MEMORY_BYTES, isolation=isolation)
            pool = LanePool(lanes=1, rules=rules)
            stack.callback(pool.close)
            contenders.append(_Contender(isolation, stack.enter_context(pool.lease())))
        for contender in contenders:
            for _ in range(entries):
                _make(contender.lane, path)  # the first ones load and grow
        for _ in range(blocks):
            for contender in random.sample(contenders, len(contenders)):
                contender.work(path, entries)
    return contenders


def main(arguments: list[str] | None = None) -> None:
    """Measures the files that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.isolation", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--blocks", type=int, default=_BLOCKS, help="blocks of each kind of lane")
    parser.add_argument("--entries", type=int, default=_ENTRIES, help="entries of a block")
    asked = parser.parse_args(arguments)
    tell = sys.stdout.write
    tell("| file | isolation | ms each | CPU ms each | against none |\n|---|---|---|---|---|\n")
    for path in asked.files:
        found = _measure(path, asked.blocks, asked.entries)
        plain = found[0].wall_ms
        for each in found:
            # Of neighbouring blocks, so that what came and went meanwhile cancels out.
            ratio = statistics.median(a / b for a, b in zip(each.wall_ms, plain, strict=True))
            tell(
                f"| {path.name} | {each.isolation.value} | {statistics.median(each.wall_ms):.2f} | "
                f"{statistics.median(each.cpu_ms):.2f} | {ratio:.3f} |\n"
            )


if __name__ == "__main__":
    main()
