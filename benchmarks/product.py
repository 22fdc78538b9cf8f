"""thumbfarm itself: `farm run` on a warm cluster of this machine, started by hand once."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

import farm
from benchmarks.case import Case, Work
from benchmarks.contestant import QUALITY
from benchmarks.sample import ContestantError, Sample
from farm import storage
from farm.history import final_records
from farm.ledger import Ledger
from farm.record import Record, Status

_START_SECONDS = 120.0
# The default of all others.
_WEBP_METHOD = 4


class Product:
    """The contestant whose numbers all others are held against; a context manager."""

    name = "thumbfarm"

    def __init__(self, lanes: int) -> None:
        self.version = farm.__version__
        self._lanes = lanes
        self._stack = ExitStack()
        self._address = ""
        self._folder = Path()
        self._worker = psutil.Process()

    def __enter__(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="farm-peers-")))
        self._folder = folder
        contact = folder / "scheduler.json"
        local = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(contact)]
        self._start(["distributed.cli.dask_scheduler", *local, "--port", "0"])
        deadline = time.monotonic() + _START_SECONDS
        while not contact.exists():
            if time.monotonic() > deadline:
                raise ContestantError("the scheduler does not start")
            time.sleep(0.1)
        words = ["--nthreads", "1", "--nworkers", "1", "--memory-limit", "0"]
        worker = self._start(
            ["distributed.cli.dask_worker", *local, *words, "--local-directory", str(folder)]
        )
        self._worker = psutil.Process(worker.pid)
        self._address = str(json.loads(contact.read_text())["address"])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def measure(self, case: Case, source: str, moments: tuple[float, ...], units: int) -> Sample:
        """Runs a manifest of `units` rows; raises ContestantError where an entry fails."""
        # Kept to the end: ext4 is slow to make files for a while after many were deleted.
        scratch = Path(tempfile.mkdtemp(dir=self._folder))
        job = _write_job(scratch, case, source, units, self._lanes)
        before = self._usage()
        began = time.monotonic()
        words = [sys.executable, "-m", "farm", "run", str(job), "--scheduler", self._address]
        ended = subprocess.run(words, capture_output=True, text=True)
        command_seconds = time.monotonic() - began
        used = self._usage() - before
        ledger = scratch / "out" / "_ledger"
        records = list(final_records(Ledger(str(ledger), storage)))
        failed = [record for record in records if record.status is not Status.OK]
        if ended.returncode or failed:
            reason = failed[0].message if failed else ended.stderr.strip()[-300:]
            raise ContestantError(str(reason))
        return Sample(
            pictures=sum(len(record.artifacts) for record in records),
            seconds=_committed(ledger) - min(record.started for record in records),
            cpu_seconds=used.cpu_seconds,
            bytes_read=_bytes_read(case, records, used),
            memory_bytes=self._memory_bytes(),
            frames=_frames(records),
            requests=sum(record.requests for record in records),
            command_seconds=command_seconds,
        )

    def _start(self, words: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._stack.callback(_end, process)
        return process

    def _usage(self) -> "_Usage":
        return _Usage.of([self._worker, *self._worker.children(recursive=True)])

    def _memory_bytes(self) -> int:
        family = [self._worker, *self._worker.children(recursive=True)]
        return sum(int(process.memory_full_info().pss) for process in family)


class _Usage:
    """What the worker and its lanes have used since they began, ended lanes included."""

    def __init__(self, cpu_seconds: float, bytes_read: int) -> None:
        self.cpu_seconds = cpu_seconds
        self.bytes_read = bytes_read

    @classmethod
    def of(cls, processes: list[psutil.Process]) -> "_Usage":
        times = [process.cpu_times() for process in processes]
        # What an ended child used, its parent has.
        cpu = sum(t.user + t.system + t.children_user + t.children_system for t in times)
        return cls(cpu, sum(process.io_counters().read_chars for process in processes))

    def __sub__(self, other: "_Usage") -> "_Usage":
        return _Usage(self.cpu_seconds - other.cpu_seconds, self.bytes_read - other.bytes_read)


def _write_job(folder: Path, case: Case, source: str, units: int, lanes: int) -> Path:
    manifest = folder / "manifest.jsonl"
    rows = ({"source": source, "id": f"{number:06d}"} for number in range(units))
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output: dict[str, Any] = {
        "width": case.width,
        "height": case.height,
        "format": case.format,
        "quality": QUALITY,
        "fidelity": case.fidelity,
        "filename": "{id}-%d.{ext}" if case.count > 1 else "{id}.{ext}",
    }
    if case.count > 1:
        output["count"] = case.count
    if case.format == "webp":
        output["method"] = _WEBP_METHOD
    if case.work is Work.EXACT:
        output["accuracy"] = "exact"
    job = folder / "job.yaml"
    job.write_text(
        json.dumps(
            {
                "manifest": str(manifest),
                "destination": str(folder / "out"),
                "outputs": [output],
                "settings": {"lanes": lanes},
            }
        )
    )
    return job


def _committed(ledger: Path) -> float:
    """When the last shard was committed, in seconds since 1970."""
    return max(path.stat().st_mtime for path in ledger.glob("pass-*/results/*.parquet"))


def _bytes_read(case: Case, records: list[Record], used: _Usage) -> int:
    """Of a remote source what was fetched of it; else all that the processes read."""
    if case.work is Work.REMOTE:
        return sum(record.bytes_read for record in records)
    return used.bytes_read


def _frames(records: list[Record]) -> int | None:
    counts = [record.notes.get("frames_decoded") for record in records]
    return None if None in counts else sum(int(count) for count in counts if count is not None)


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
