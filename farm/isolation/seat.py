"""The worker's side of a GPU's process: its seats look like lanes, but live and die together."""

import contextlib
import os
import socket
import subprocess

from farm.isolation.lane import Lane
from farm.isolation.parent import ParentProcess
from farm.isolation.process import start_gpu
from farm.isolation.visible import Gpu

_EXIT_SECONDS = 5.0
# The exit codes of farm.isolation.pulse, which needs torch.
_ENDINGS = {
    os.EX_IOERR: "lost its GPU",
    os.EX_TEMPFAIL: "used more memory than it may",
    1: "stood still or ended with exit code 1",
}


class Seat(Lane):
    """A place for one entry in a GPU's process: closing it leaves the process to the others."""

    is_shared = True

    def __init__(self, sock: socket.socket, process: "GpuProcess") -> None:
        super().__init__(process.pid, sock, process)
        self.process = process

    def kill(self) -> None:
        """Ends the whole process: no thread of it can be ended. Any thread may, during a call too.

        The other entries in it are lost, to be tried elsewhere.
        """
        if self.is_alive:
            self.process.was_ended = True
        super().kill()

    def close(self) -> None:
        """Gives the seat up."""
        self.is_alive = False
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class GpuProcess(ParentProcess):
    """One process of one GPU, started here.

    `was_ended` where the worker killed it, for the sake of one entry.
    """

    name = child_name = "the GPU's process"

    def __init__(self, gpu: Gpu, *, memory_bytes: int) -> None:
        self._child, control = start_gpu(gpu, memory_bytes)
        self.pid = self._child.pid
        self.was_ended = False
        super().__init__(self._child, control)

    def _lane(self, pid: int, sock: socket.socket) -> Lane:
        return Seat(sock, self)

    def await_end(self) -> str:
        """Waits until the process is gone and says how it ended."""
        self._listener.join()
        return self.ending(self.exit_code(self.pid, wait_seconds=_EXIT_SECONDS))

    def exit_code(self, pid: int, *, wait_seconds: float) -> int | None:
        """The exit code of the process (minus the signal that killed it), None where it runs."""
        try:
            return self._child.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            return None

    def ending(self, exit_code: int | None) -> str:
        """How the process ended, for people."""
        if self.was_ended:
            return f"{self.name} was ended because of one of the entries in it"
        if exit_code in _ENDINGS:
            return f"{self.name} {_ENDINGS[exit_code]}"
        return super().ending(exit_code)
