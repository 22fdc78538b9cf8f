"""What a run of the benchmarks found, as a file and as ratios."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.case import Case
from benchmarks.contest import Cell
from farm.machine import usable_cores, usable_memory_bytes

PRODUCT = "thumbfarm"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Times that thumbfarm is faster: the median over rounds, the least and the most.

    `cpu` is how many times less processor time it takes, whatever else the machine does.
    `cases` of `of_cases` could be compared: a peer that fails in a case is not summed over it.
    """

    median: float
    least: float
    most: float
    cpu: float
    cases: int
    of_cases: int


@dataclass(frozen=True, slots=True)
class Result:
    """All cells of a run, and what they were measured on."""

    machine: dict[str, Any]
    versions: dict[str, str]
    cells: dict[tuple[str, str], Cell]

    def write(self, path: Path) -> None:
        """Writes the result as JSON."""
        fields = {
            "machine": self.machine,
            "versions": dict(sorted(self.versions.items())),
            "cells": [cell.to_json() for cell in self.cells.values()],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(fields, indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> "Result":
        """What `write` wrote."""
        fields = json.loads(path.read_text("utf-8"))
        return cls(
            fields["machine"], fields["versions"], keyed(map(Cell.from_json, fields["cells"]))
        )

    def cell(self, case: Case, contestant: str) -> Cell | None:
        """What a contestant did in a case; None where it took no part or has no sample."""
        cell = self.cells.get((case.title, contestant))
        return cell if cell is not None and cell.samples else None

    def ratio(self, cases: Sequence[Case], peer: str) -> Ratio | None:
        """How many times faster the product is than a peer, summed over the cases of both."""
        pairs = []
        for case in cases:
            ours, theirs = self.cell(case, PRODUCT), self.cell(case, peer)
            if ours is not None and theirs is not None:
                pairs.append((ours, theirs))
        if not pairs:
            return None
        rounds = min(len(cell.samples) for pair in pairs for cell in pair)
        ratios = [
            sum(theirs.samples[number].seconds_each for _, theirs in pairs)
            / sum(ours.samples[number].seconds_each for ours, _ in pairs)
            for number in range(rounds)
        ]
        return Ratio(
            median=statistics.median(ratios),
            least=min(ratios),
            most=max(ratios),
            cpu=sum(cpu_each(theirs) for _, theirs in pairs)
            / sum(cpu_each(ours) for ours, _ in pairs),
            cases=len(pairs),
            of_cases=len(cases),
        )

    def over_limit(self, case: Case) -> float | None:
        """CPU of the product in times of the bare decoding of the same picture."""
        ours, bare = self.cell(case, PRODUCT), self.cell(case, "bare")
        if ours is None or bare is None:
            return None
        return cpu_each(ours) / cpu_each(bare)


def keyed(cells: Any) -> dict[tuple[str, str], Cell]:
    """Cells by case and contestant."""
    return {(cell.case, cell.contestant): cell for cell in cells}


def seconds_each(cell: Cell) -> float:
    """The median working time for one picture."""
    return statistics.median(sample.seconds_each for sample in cell.samples)


def cpu_each(cell: Cell) -> float:
    """The median CPU time of one picture."""
    return statistics.median(sample.cpu_seconds / sample.pictures for sample in cell.samples)


def machine_facts() -> dict[str, Any]:
    """What the numbers depend on, without naming the machine."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": round(usable_memory_bytes() / 2**30),
        "system": _system(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return os.uname().sysname
