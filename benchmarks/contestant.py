"""Those who take part: what all of them can, and a peer in a process of its own."""

import json
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Protocol

from benchmarks.case import Case, Work
from benchmarks.peers import Request
from benchmarks.place import ROOT, peer_python
from benchmarks.sample import ContestantError, Sample

QUALITY = 80
_END_SECONDS = 5.0
DEFAULT_FRACTION = 0.15
"""Where in a video one thumbnail is taken: the product's own default."""


class Contestant(Protocol):
    """Who makes thumbnails and is measured."""

    name: str
    version: str

    def measure(self, case: Case, source: str, moments: tuple[float, ...], units: int) -> Sample:
        """What `units` times all pictures of a case cost; raises ContestantError."""


def moments_of(case: Case, duration_seconds: float) -> tuple[float, ...]:
    """The moments of a case's pictures, in seconds; none for a still."""
    if case.work is Work.STILL:
        return ()
    if case.count == 1:
        return (DEFAULT_FRACTION * duration_seconds,)
    step = duration_seconds / case.count
    return tuple((index + 0.5) * step for index in range(case.count))


class PeerProcess:
    """A peer, started on first use and again after it died."""

    def __init__(self, name: str, workers: int) -> None:
        self.name = name
        self.version = ""
        self._workers = workers
        self._process: subprocess.Popen[str] | None = None
        self._absent = ""

    def measure(self, case: Case, source: str, moments: tuple[float, ...], units: int) -> Sample:
        """Asks the process; raises ContestantError where the peer is absent, fails or dies."""
        with tempfile.TemporaryDirectory() as scratch:
            request = Request(
                work=case.work.value,
                source=source,
                moments=moments,
                width=case.width,
                height=case.height,
                format=case.format,
                quality=QUALITY,
                units=units,
                workers=self._workers,
                scratch=scratch,
            )
            answer = self._ask(json.dumps(asdict(request)))
        if "error" in answer:
            raise ContestantError(answer["error"])
        return Sample.from_json(answer)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            _bury(self._process)
            self._process = None

    def _ask(self, line: str) -> dict[str, str]:
        if self._absent:
            raise ContestantError(f"absent: {self._absent}")
        process = self._process or self._start()
        asked, answers = _pipes(process)
        try:
            asked.write(line + "\n")
            asked.flush()
            if told := answers.readline():
                answer: dict[str, str] = json.loads(told)
                return answer
        except BrokenPipeError:
            pass
        self._process = None
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        code = _bury(process)
        raise ContestantError(f"its process ended with code {code}")

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [peer_python(), "-m", "benchmarks.peer", self.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        told = json.loads(_pipes(process)[1].readline() or '{"absent": "it does not start"}')
        if "absent" in told:
            _bury(process)
            self._absent = told["absent"]
            raise ContestantError(f"absent: {self._absent}")
        self._process, self.version = process, told["version"]
        return process


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _bury(process: subprocess.Popen[str]) -> int:
    """Ends a process and closes its pipes; its exit code."""
    process.kill()
    process.communicate()
    return process.returncode


def peers_are_installed() -> bool:
    """Whether the interpreter for peers is there."""
    return Path(peer_python()).exists()
