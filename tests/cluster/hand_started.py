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
        self.start_scheduler()
        self.worker = self._run("dask_worker", self.address, *LOCAL, *one, *self._worker_words)

    def add_worker(self, name, **environment):
        """Starts another worker."""
        one = ["--nworkers", "1", "--nthreads", "1", "--local-directory", str(self._folder / name)]
        words = [self.address, *LOCAL, *one, "--name", name, *self._worker_words]
        return self._run("dask_worker", *words, **environment)

    def start_scheduler(self):
        """Starts the scheduler alone."""
        self.scheduler = self._run(
            "dask_scheduler", *LOCAL, "--port", str(self.port), *self._scheduler_words
        )

    def join(self, name, *words, **environment):
        """Starts another worker by `farm worker`; what it says is in a file of that name."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        where = ["--name", name, "--local-directory", str(folder)]
        with (self._folder / f"{name}.log").open("w") as log:
            return self._start(
                ["farm", "worker", self.address, *where, *words], log=log, **environment
            )

    def said(self, name):
        """What a `farm worker` has said."""
        return (self._folder / f"{name}.log").read_text()

    def _run(self, tool, *words, **environment):
        return self._start([f"distributed.cli.{tool}", *words], **environment)

    def _start(self, words, *, log=subprocess.DEVNULL, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdout=log,
            stderr=log,
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
