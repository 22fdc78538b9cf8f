"""Commands that are kept running, as a service manager would keep them."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

_LOOK_SECONDS = 0.1
_AGAIN_SECONDS = 0.5


class Service:
    """One command, started again half a second after it ended; `starts` counts."""

    def __init__(self, words: Sequence[str], *, log: Path, env: Mapping[str, str]) -> None:
        self._words = list(words)
        self._log = log
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = 0.0
        self.starts = 0

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        return self._process.pid if self._process is not None else 0

    def keep_running(self) -> None:
        """Starts it where it does not run; to be called often."""
        now = time.monotonic()
        if self._process is None or (
            self._process.poll() is not None and self._ended and now > self._ended + _AGAIN_SECONDS
        ):
            self._start()
        elif self._process.poll() is not None and not self._ended:
            self._ended = now

    def _start(self) -> None:
        self._ended = 0.0
        with self._log.open("ab") as log:
            # A group of its own, so that the end takes all of it along.
            self._process = subprocess.Popen(
                self._words, env=self._env, stdout=log, stderr=log, start_new_session=True
            )
        self.starts += 1

    def end(self) -> None:
        """Kills it with all that it started."""
        if self._process is None:
            return
        for victim in [*descendants(self.pid), self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        self._process.wait(30)


@contextlib.contextmanager
def kept_running(services: Sequence[Service]) -> Iterator[None]:
    """Looks after services in a thread until the block ends, then ends them."""
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(_LOOK_SECONDS):
            for service in services:
                service.keep_running()

    for service in services:
        service.keep_running()
    thread = threading.Thread(target=look, name="chaos-services", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        for service in reversed(services):
            service.end()


def descendants(pid: int) -> list[int]:
    """The processes below one, oldest first."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def words_of(pid: int) -> str:
    """The command line of a process, empty where it is gone or a zombie."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return ""


def parent_of(pid: int) -> int:
    """The parent of a process, 0 where it is gone."""
    try:
        return int(psutil.Process(pid).ppid())
    except psutil.NoSuchProcess:
        return 0
