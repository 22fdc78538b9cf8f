"""A Dask cluster as people start one: by commands."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

LOCAL = ["--host", "127.0.0.1", "--no-dashboard"]


class HandStarted:
    """A scheduler and a worker, in processes of their own; the words are options of each."""

    def __init__(self, folder, *, protocol="tcp", scheduler=(), worker=()):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"{protocol}://127.0.0.1:{self.port}"
        self._scheduler_words = scheduler
        self._worker_words = worker
        self._folder = folder
        self._processes = []

    def start(self):
        one = ["--nworkers", "1", "--nthreads", "1", "--local-directory", str(self._folder)]
        self.scheduler = self._run(
            "dask_scheduler", *LOCAL, "--port", str(self.port), *self._scheduler_words
        )
        self.worker = self._run("dask_worker", self.address, *LOCAL, *one, *self._worker_words)

    def add_worker(self, name, **environment):
        """Starts another worker."""
        one = ["--nworkers", "1", "--nthreads", "1", "--local-directory", str(self._folder / name)]
        words = [self.address, *LOCAL, *one, "--name", name, *self._worker_words]
        return self._run("dask_worker", *words, **environment)

    def _run(self, tool, *words, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{tool}", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | environment,
        )
        self._processes.append(process)
        return process

    def end(self):
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()
