"""What is under test: a scheduler, machines with a nanny each, and the `farm run` of a client."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.fault import Part
from benchmarks.chaos.service import Service, descendants, kept_running, parent_of, words_of

_FARM = [sys.executable, "-m", "farm"]
_MACHINES = 2
_MOST_COMMANDS = 40
_STARTED_BY_SPAWN = "spawn_main"
_ZYGOTE = "farm.isolation"
_CLUSTER_ENV = {
    "FARM_SYNTHETIC_FAULTS": "1",
    "OMP_NUM_THREADS": "1",
    # A worker that stands still is given up in this time, not in five minutes. Lanes must start in
    # less: until they are up, a worker that joins does not say that it lives.
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "25s",
}


@dataclass(frozen=True, slots=True)
class Command:
    """How one `farm run` ended; negative codes are signals."""

    code: int
    last_line: str


class Farmyard:
    """A hand-started cluster in `folder`, whose services come back when they end."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._client: subprocess.Popen[bytes] | None = None
        port = _free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        local = ["--host", "127.0.0.1", "--no-dashboard"]
        dask = [sys.executable, "-m"]
        env = os.environ | _CLUSTER_ENV
        self.scheduler = Service(
            [*dask, "distributed.cli.dask_scheduler", *local, "--port", str(port)],
            log=folder / "scheduler.log",
            env=env,
        )
        words = [self.address, "--nworkers", "1", "--nthreads", "1", "--memory-limit", "0"]
        worker = [*dask, "distributed.cli.dask_worker", *local, *words]
        self.machines = [
            Service(
                [*worker, "--local-directory", str(folder / f"machine-{number}")],
                log=folder / f"machine-{number}.log",
                env=env,
            )
            for number in range(_MACHINES)
        ]

    @contextlib.contextmanager
    def running(self) -> Iterator["Farmyard"]:
        """The cluster, until the block ends."""
        with kept_running([self.scheduler, *self.machines]):
            try:
                yield self
            finally:
                if self._client is not None:
                    self._client.kill()

    def carry_out(self, job: Path, *options: str) -> list[Command]:
        """Runs `farm run` until it ends by itself with success; each time it ends, again at once.

        Raises RuntimeError where it does not get there.
        """
        words = [*_FARM, "run", str(job), "--scheduler", self.address, "--set", "lanes=2", *options]
        commands: list[Command] = []
        while len(commands) < _MOST_COMMANDS:
            log = self._folder / f"client-{job.stem}.log"
            with log.open("ab") as stream:
                begin = stream.tell()
                self._client = subprocess.Popen(
                    words, stdout=stream, stderr=stream, env=os.environ | _CLUSTER_ENV
                )
                code = self._client.wait()
            commands.append(Command(code, _cause(log.read_bytes()[begin:].decode())))
            if code in (0, 1):
                return commands
            if code > 0:
                time.sleep(1.0)
        raise RuntimeError(f"{job} was not done by {_MOST_COMMANDS} commands: {commands[-1]}")

    def victims(self, part: Part) -> list[list[int]]:
        """The processes that a fault may strike, each with those that it takes along."""
        match part:
            case Part.CLIENT:
                client = self._client
                return [[client.pid]] if client is not None and client.poll() is None else []
            case Part.SCHEDULER:
                return [[self.scheduler.pid]]
            case Part.NANNY:
                return [[machine.pid] for machine in self.machines]
            case Part.MACHINE:
                return [[machine.pid, *descendants(machine.pid)] for machine in self.machines]
            case _:
                family = [pid for machine in self.machines for pid in descendants(machine.pid)]
                return [[pid] for pid in family if _part_of(pid) is part]

    @property
    def has_lanes(self) -> bool:
        """Whether work has begun on some machine."""
        return bool(self.victims(Part.LANE))


def write_job(path: Path, fields: dict[str, object]) -> Path:
    """Stores a job file; JSON is YAML."""
    path.write_text(json.dumps(fields, indent=1))
    return path


def _part_of(pid: int) -> Part | None:
    words = words_of(pid)
    if _STARTED_BY_SPAWN in words:
        return Part.WORKER
    if _ZYGOTE not in words:
        return None
    return Part.LANE if _ZYGOTE in words_of(parent_of(pid)) else Part.ZYGOTE


def _cause(text: str) -> str:
    """The line of a command's output that tells why it ended."""
    lines = [line for line in text.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("failed", "paused", "farm run:", "error"))]
    return (told or lines or [""])[-1][:300]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
