"""The worker's handle on a process that makes lanes when asked: a zygote, or that of a GPU."""

import contextlib
import queue
import signal
import socket
import subprocess
import threading
import time
from typing import ClassVar

from farm.errors import ClusterError, LaneCrashError
from farm.isolation import wire
from farm.isolation.lane import Lane
from farm.isolation.process import start_zygote
from farm.settings import LaneRules

_START_SECONDS = 120.0


class ParentProcess:
    """One such process, which has been started, and our end of its control socket.

    `process` is None where it is no child of ours; such a one ends when its socket is closed.
    `lacking` are the parts of the sandbox that its lanes do not have, with the reasons.
    """

    name: ClassVar[str] = "the decoders' process"
    child_name: ClassVar[str] = "the decoder's process"

    def __init__(self, process: "subprocess.Popen[bytes] | None", control: socket.socket) -> None:
        self._process = process
        self._control = control
        self.is_alive = True
        self.lacking: dict[str, str] = {}
        self._fork_lock = threading.Lock()
        self._forked: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._exit_codes: dict[int, int] = {}
        self._exited = threading.Condition()
        self._listener = threading.Thread(target=self._listen, name="farm-zygote", daemon=True)

    def await_ready(self) -> None:
        """Returns when it can make lanes; raises ClusterError where it cannot."""
        try:
            message = wire.receive(self._control, deadline=time.monotonic() + _START_SECONDS)
        except (EOFError, OSError) as error:
            self._let_go()
            exit_code = _end(self._process)
            raise ClusterError(
                f"{self.name} did not start (exit code {exit_code}): "
                f"{type(error).__name__}; run `farm doctor` on this machine"
            ) from error
        if message.header["op"] != "ready":
            self._let_go()
            _end(self._process)
            raise ClusterError(f"{self.name} cannot work: {message.header['reason']}")
        self.lacking = message.header.get("lacking", {})
        self._listener.start()

    def _let_go(self) -> None:
        self.is_alive = False
        self._control.close()

    def _listen(self) -> None:
        while True:
            try:
                message = wire.receive(self._control)
            except (EOFError, OSError, ValueError):
                break
            if message.header["op"] == "forked":
                self._forked.put(message.header["pid"])
            else:
                with self._exited:
                    self._exit_codes[message.header["pid"]] = message.header["exit_code"]
                    self._exited.notify_all()
        with self._exited:
            self.is_alive = False
            self._exited.notify_all()
        self._forked.put(None)

    def fork(self) -> Lane:
        """Makes one lane; raises LaneCrashError where the process is gone."""
        ours, theirs = socket.socketpair()
        with theirs, self._fork_lock:
            try:
                wire.send(self._control, {"op": "fork"}, fds=(theirs.fileno(),))
                pid = self._forked.get(timeout=_START_SECONDS)
            except (OSError, queue.Empty):
                pid = None
        if pid is None:
            self.is_alive = False
            ours.close()
            raise LaneCrashError("the process that starts decoders is gone")
        with self._exited:
            self._exit_codes.pop(pid, None)
        return self._lane(pid, ours)

    def _lane(self, pid: int, sock: socket.socket) -> Lane:
        return Lane(pid, sock, self)

    def exit_code(self, pid: int, *, wait_seconds: float) -> int | None:
        """The exit code of a lane (minus the signal that killed it), None where it still runs."""
        with self._exited:
            self._exited.wait_for(
                lambda: pid in self._exit_codes or not self.is_alive, timeout=wait_seconds
            )
            return self._exit_codes.get(pid)

    def ending(self, exit_code: int | None) -> str:
        """How a lane ended, for people."""
        if exit_code is None:
            return f"{self.child_name} left without an answer"
        if exit_code < 0:
            return f"{self.child_name} died of {signal.Signals(-exit_code).name}"
        return f"{self.child_name} ended with exit code {exit_code}"

    def close(self) -> None:
        """Ends the process and with it all of its lanes."""
        self.is_alive = False
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        _end(self._process)
        # It was never begun where the process did not get ready.
        if self._listener.is_alive():
            self._listener.join()
        self._control.close()


class Zygote(ParentProcess):
    """A zygote, started here unless `control` is that of one which waits already.

    Raises ClusterError where it cannot start.
    """

    def __init__(self, rules: LaneRules, control: socket.socket | None = None) -> None:
        process = None
        if control is None:
            process, control = start_zygote(rules)
        super().__init__(process, control)
        self.await_ready()


def _end(process: "subprocess.Popen[bytes] | None") -> int | None:
    """The exit code of a process of ours; another one ends when it finds its socket closed."""
    if process is None:
        return None
    process.kill()
    return process.wait()
