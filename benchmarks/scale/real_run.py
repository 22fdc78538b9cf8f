"""Carries out a real run on a scheduler and two workers, and notes what it took."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.backfill import hand_started_cluster, store_archive
from benchmarks.place import ROOT
from benchmarks.scale.services import cpu_seconds

WORKERS = 2
_ALONE_SHARE = 0.1
RUNS_PATH = ROOT / "benchmarks" / "results" / "scale-runs.json"


@dataclass(frozen=True, slots=True)
class RealRun:
    """One run of `benchmarks.backfill`'s archive; CPU seconds of whole processes, from their start.

    `client_peak_bytes` is the most resident memory. `ledger_puts` is told by the objects that were
    put once each, without lease and status; `others_share` is how many cores others used meanwhile.
    """

    entries: int
    shard_entries: int
    seconds: float
    client_seconds: float
    client_peak_bytes: float
    scheduler_seconds: float
    worker_seconds: float
    lane_seconds: float
    ledger_objects: int
    ledger_bytes: int
    head_bytes: int
    plan_bytes: int
    ledger_puts: int
    picture_puts: int
    others_share: float

    @property
    def was_alone(self) -> bool:
        """Whether nothing else of note went on on the machine."""
        return self.others_share < _ALONE_SHARE

    @classmethod
    def read_all(cls, path: Path = RUNS_PATH) -> list[Self]:
        """Those that were stored, smallest first."""
        runs = [cls(**fields) for fields in json.loads(path.read_text())["runs"]]
        return sorted(runs, key=lambda run: run.entries)


def write_all(runs: list[RealRun], path: Path = RUNS_PATH) -> None:
    """Stores runs."""
    path.write_text(json.dumps({"runs": [asdict(run) for run in runs]}, indent=1) + "\n")


def carry_out(entries: int, shard_entries: int) -> RealRun:
    """A run of so many entries from start to end, on workers of one lane each."""
    with tempfile.TemporaryDirectory(prefix="farm-backfill-") as name:
        folder = Path(name)
        job = store_archive(folder, entries, shard_entries=shard_entries, lanes=1)
        with hand_started_cluster(folder) as (address, services):
            words = [sys.executable, "-m", "farm", "run", str(job), "--scheduler", address]
            busy, began = _busy_core_seconds(), time.monotonic()
            with subprocess.Popen(words, stdout=sys.stderr, stderr=subprocess.DEVNULL) as command:
                # Not `wait`: only this tells what the command used.
                _, status, used = os.wait4(command.pid, 0)
                command.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - began
            if command.returncode != 0:
                raise RuntimeError(f"{' '.join(words)} ended with {command.returncode}")
            cluster = _cluster_seconds(services)
            own = used.ru_utime + used.ru_stime + sum(cluster.values())
            busy = _busy_core_seconds() - busy
        return RealRun(
            entries=entries,
            shard_entries=shard_entries,
            seconds=seconds,
            client_seconds=used.ru_utime + used.ru_stime,
            client_peak_bytes=used.ru_maxrss * 1024.0,
            **cluster,
            **_stored(folder / "out"),
            others_share=max(0.0, busy - own) / seconds,
        )


def _cluster_seconds(services: dict[str, psutil.Process]) -> dict[str, Any]:
    """CPU seconds of the scheduler, of the workers behind their nannies, and of their lanes."""
    worker_seconds = lane_seconds = 0.0
    for name, service in services.items():
        if name == "scheduler":
            continue
        for process in service.children(recursive=True):
            if "farm.isolation" in process.cmdline():
                times = process.cpu_times()
                # Lanes that were replaced count to the zygote that waited for them.
                lane_seconds += cpu_seconds(process) + times.children_user + times.children_system
            elif "--multiprocessing-fork" in process.cmdline():
                worker_seconds += cpu_seconds(process)
    return {
        "scheduler_seconds": cpu_seconds(services["scheduler"]),
        "worker_seconds": worker_seconds,
        "lane_seconds": lane_seconds,
    }


def _stored(out: Path) -> dict[str, Any]:
    """What lies in the ledger, and the pictures."""
    ledger = out / "_ledger"
    files = [path for path in out.rglob("*") if path.is_file()]
    kept = {path: path.stat().st_size for path in files if ledger in path.parents}
    plan = sum(size for path, size in kept.items() if path.parent.name == "plan")
    results = sum(size for path, size in kept.items() if path.parent.name == "results")
    return {
        "ledger_objects": len(kept),
        "ledger_bytes": sum(kept.values()),
        "head_bytes": sum(kept.values()) - plan - results,
        "plan_bytes": plan,
        "ledger_puts": sum(1 for path in kept if not _is_rewritten(path)),
        "picture_puts": len(files) - len(kept),
    }


def _is_rewritten(path: Path) -> bool:
    return path.parent.name == "lease" or path.name == "status.json"


def _busy_core_seconds() -> float:
    """CPU seconds that all processes of this machine have used since it was started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)
