"""A long run on a hand-started cluster of two workers: rate, memory, what the ledger takes, resume.

    python -m benchmarks.backfill --entries 1000000

Every entry is one frame of a recipe, so that what is measured is the farm and not a codec.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_RECIPE = 'FARMSYN1 {"width": 64, "height": 36, "fps": 1, "seconds": 1, "seed": 1}'
_OUTPUT = {"width": 32, "height": 18, "format": "jpg", "filename": "{fanout}/{id}.jpg"}
_SAMPLE_SECONDS = 2.0
_MIB = 1 << 20
_WORKERS = 2


@dataclass(slots=True)
class Memory:
    """MiB of each part at each look; memory that processes share is split among them."""

    looks: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def figures(self) -> dict[str, dict[str, float]]:
        """The first, middle and last fifth's mean, and the most, of each part."""
        return {part: _course(values) for part, values in self.looks.items() if values}


def main() -> None:
    """Parses the command line, runs the archive, and prints what it took as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backfill", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000, help="default 1,000,000")
    parser.add_argument("--shard-entries", type=int, default=1000, help="default 1,000")
    parser.add_argument("--lanes", type=int, default=1, help="of each worker; default 1")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="farm-backfill-") as folder:
        job = store_archive(
            Path(folder), options.entries, shard_entries=options.shard_entries, lanes=options.lanes
        )
        with hand_started_cluster(Path(folder)) as (address, parts):
            words = [sys.executable, "-m", "farm", "run", str(job), "--scheduler", address]
            first, memory = _run(words, parts)
            again, _ = _run(words, parts)
        report = {
            "entries": options.entries,
            "seconds": round(first, 1),
            "entries_per_second": round(options.entries / first, 1),
            "resume_seconds": round(again, 2),
            "memory_mib": memory.figures(),
            "ledger": _ledger(Path(folder) / "out" / "_ledger", options.entries),
        }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


def store_archive(folder: Path, entries: int, *, shard_entries: int, lanes: int) -> Path:
    """Stores one source, a manifest that names it over and over, and a job."""
    source = folder / "source.syn"
    source.write_text(_RECIPE)
    manifest = folder / "manifest.jsonl"
    with manifest.open("w") as stream:
        for number in range(entries):
            stream.write(f'{{"source": "{source}", "id": "{number:09d}"}}\n')
    job = folder / "job.yaml"
    fields = {
        "manifest": str(manifest),
        "destination": str(folder / "out"),
        "outputs": [_OUTPUT],
        "settings": {"lanes": lanes, "shard_entries": shard_entries},
    }
    job.write_text(json.dumps(fields))
    return job


@contextmanager
def hand_started_cluster(folder: Path) -> Iterator[tuple[str, dict[str, psutil.Process]]]:
    """A scheduler and workers as their commands start them, and the processes of both."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m"]
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    commands = {"scheduler": ["distributed.cli.dask_scheduler", *local, "--port", str(port)]}
    one = ["--nworkers", "1", "--nthreads", "1", "--memory-limit", "0"]
    for number in range(_WORKERS):
        place = ["--local-directory", str(folder / f"worker-{number}")]
        commands[f"worker {number}"] = [
            "distributed.cli.dask_worker", address, *local, *one, *place
        ]  # fmt: skip
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with (folder / "cluster.log").open("wb") as log:
        services = {
            name: subprocess.Popen([*dask, *words], stdout=log, stderr=log, env=env)
            for name, words in commands.items()
        }
        try:
            yield address, {name: psutil.Process(each.pid) for name, each in services.items()}
        finally:
            for each in reversed(services.values()):
                each.terminate()
                each.wait(60)


def _run(words: list[str], parts: dict[str, psutil.Process]) -> tuple[float, Memory]:
    """Runs a command to its end; the seconds that it took, and the memory of all meanwhile."""
    memory, over = Memory(), threading.Event()
    began = time.monotonic()
    with subprocess.Popen(words, stdout=sys.stderr, stderr=subprocess.DEVNULL) as command:
        watched = parts | {"client": psutil.Process(command.pid)}
        looker = threading.Thread(target=_look, args=(watched, memory, over))
        looker.start()
        code = command.wait()
        over.set()
        looker.join()
    if code != 0:
        sys.exit(f"{' '.join(words)} ended with {code}")
    return time.monotonic() - began, memory


def _look(parts: dict[str, psutil.Process], memory: Memory, over: threading.Event) -> None:
    while not over.wait(_SAMPLE_SECONDS):
        for name, process in parts.items():
            with suppress(psutil.NoSuchProcess):
                memory.looks[name].append(_own_mib(process))
                lanes = process.children(recursive=True)
                if name.startswith("worker"):
                    memory.looks[f"{name}: nanny, worker and lanes"].append(
                        sum(map(_own_mib, [process, *lanes]))
                    )


def _own_mib(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss) / _MIB
    except psutil.Error:
        return 0.0


def _course(values: list[float]) -> dict[str, float]:
    fifth = max(1, len(values) // 5)
    middle = (len(values) - fifth) // 2
    spans = {
        "first fifth": values[:fifth],
        "middle fifth": values[middle : middle + fifth],
        "last fifth": values[-fifth:],
    }
    means = {name: round(sum(span) / len(span), 1) for name, span in spans.items()}
    return means | {"most": round(max(values), 1)}


def _ledger(folder: Path, entries: int) -> dict[str, float]:
    files = [each for each in folder.rglob("*") if each.is_file()]
    size = sum(each.stat().st_size for each in files)
    return {"objects": len(files), "bytes": size, "bytes_per_entry": round(size / entries, 1)}


if __name__ == "__main__":
    main()
