"""The zygote: one single-threaded process with torch and the codecs loaded, which forks lanes.

It is started as `python -m farm.isolation FD`. multiprocessing can't do this: a nanny's worker is
a daemon process and may not have children of that kind. Being single-threaded when it forks is
what makes fork safe here; being the parent of the lanes, on its main thread, is what makes
PR_SET_PDEATHSIG right for them.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

from farm.isolation import sandbox, wire
from farm.settings import Isolation

_PR_SET_PDEATHSIG = 1


def main(control_fd: int, lane_memory_bytes: int, isolation: Isolation) -> None:
    """Loads what lanes need, then serves fork requests until the worker is gone."""
    for quiet in (signal.SIGINT, signal.SIGTERM):
        signal.signal(quiet, signal.SIG_IGN)
    control = socket.socket(fileno=control_fd)
    from farm.isolation import serve

    serve.warm_up()
    lacking = sandbox.missing() if isolation is Isolation.SANDBOX else {}
    wire.send(control, {"op": "ready", "pid": os.getpid(), "lacking": lacking})
    _Zygote(control, lane_memory_bytes, isolation, frozenset(lacking)).run()


class _Zygote:
    def __init__(
        self,
        control: socket.socket,
        lane_memory_bytes: int,
        isolation: Isolation,
        lacking: frozenset[str],
    ) -> None:
        self._control = control
        self._lane_memory_bytes = lane_memory_bytes
        self._isolation = isolation
        self._lacking = lacking
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_write.fileno())
        signal.signal(signal.SIGCHLD, _ignore)

    def run(self) -> None:
        while True:
            ready, _, _ = select.select([self._control, self._wake_read], [], [])
            if self._wake_read in ready:
                self._reap()
            if self._control in ready and not self._answer():
                # Its lanes end too now, and nobody wants to be told.
                signal.set_wakeup_fd(-1)
                return

    def _answer(self) -> bool:
        try:
            request = wire.receive(self._control, most_fds=1)
        except (EOFError, ConnectionError):
            return False
        (lane_fd,) = request.fds
        pid = os.fork()
        if pid == 0:
            self._become_lane(lane_fd)
        os.close(lane_fd)
        wire.send(self._control, {"op": "forked", "pid": pid})
        return True

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_read.recv(4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                exit_code = os.waitstatus_to_exitcode(status)
                wire.send(self._control, {"op": "exit", "pid": pid, "exit_code": exit_code})

    def _become_lane(self, lane_fd: int) -> None:
        """Turns the forked child into a lane; never returns."""
        exit_code = 1
        try:
            zygote = os.getppid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (self._control, self._wake_read, self._wake_write):
                end.close()
            os.setpgid(0, 0)
            be_first_to_go()
            silence()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if self._isolation is not Isolation.NONE:
                _limit_memory(self._lane_memory_bytes)
            if self._isolation is Isolation.SANDBOX:
                sandbox.enter(self._lacking)
            # Behind the change of user, which undoes it.
            _die_with_parent(zygote)
            from farm.isolation import serve

            serve.serve(socket.socket(fileno=lane_fd))
            exit_code = 0
        finally:
            # No clean-up of the zygote's objects in the copy: their owners live elsewhere.
            os._exit(exit_code)


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """Exists so that the wake-up descriptor is written: an ignored SIGCHLD would not do it."""


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def be_first_to_go(score: int = 1000) -> None:
    """Makes this process the kernel's choice when memory runs out; 1000 is the first of all."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(score))


def _limit_memory(extra_bytes: int) -> None:
    """Bounds the address space to what is mapped already, by torch and the codecs, plus so much."""
    try:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (mapped + extra_bytes, mapped + extra_bytes))


def silence() -> None:
    """Points the standard streams at nothing: codecs chatter there about every damaged file."""
    keep_stderr = os.environ.get("FARM_LANE_STDERR") == "1"
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1) if keep_stderr else (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
