"""The worker's lanes: as many as may work at once, forked by its zygote, replaced when used up."""

import contextlib
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

from farm.errors import ClusterError, FarmError, LaneCrashError, LaneError
from farm.isolation import wire
from farm.isolation.handover import take_over
from farm.isolation.lane import Lane
from farm.isolation.process import start_zygote

_START_SECONDS = 120.0


class LanePool:
    """As many lanes as may work at once, made when needed and replaced when used up.

    `zygote_address` is where an `EarlyZygote` may wait for a pool.

    Thread-safe. `close` ends all of them; they also end by themselves when this process dies.
    """

    def __init__(
        self,
        *,
        lanes: int,
        lane_memory_bytes: int,
        lane_entries: int,
        zygote_address: str | None = None,
    ) -> None:
        self.lanes = lanes
        self._lane_memory_bytes = lane_memory_bytes
        self._lane_entries = lane_entries
        self._turns = _Turns(lanes)
        self._lock = threading.Lock()
        self._idle: list[Lane] = []
        early = take_over(zygote_address) if zygote_address is not None else None
        self._zygote = _Zygote(lane_memory_bytes, early)

    @contextlib.contextmanager
    def lease(self, *, alone: bool = False) -> Iterator[Lane]:
        """Lends a lane, waiting until one is free.

        With `alone` it has seen no other entry, and no other lane is lent meanwhile.
        """
        with self._turns.turn(alone=alone):
            lane = self._take(fresh=alone)
            # Anything but an answer leaves the conversation in an unknown place; a lane that lied
            # is not asked again.
            has_answered = False
            try:
                yield lane
                has_answered = True
            except FarmError as error:
                has_answered = not isinstance(error, LaneError)
                raise
            finally:
                if has_answered and lane.is_alive and lane.entries_done < self._lane_entries:
                    with self._lock:
                        self._idle.append(lane)
                else:
                    lane.close()

    def _take(self, *, fresh: bool) -> Lane:
        with self._lock:
            if not self._zygote.is_alive:
                # Its lanes died with it.
                self._close_idle()
                self._zygote.close()
                self._zygote = _Zygote(self._lane_memory_bytes)
            if self._idle and not fresh:
                return self._idle.pop()
            if self._idle:
                # A lane more than slots would be a memory budget more than promised.
                self._idle.pop(0).close()
            zygote = self._zygote
        return zygote.fork()

    def close(self) -> None:
        """Ends all lanes and the zygote."""
        with self._lock:
            self._close_idle()
            self._zygote.close()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _Turns:
    """Whose turn it is: so many at once, or one alone, who goes before all others that wait."""

    def __init__(self, at_once: int) -> None:
        self._free = self._at_once = at_once
        self._waiting_alone = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        taken = self._at_once if alone else 1
        with self._changed:
            self._waiting_alone += alone
            self._changed.wait_for(
                lambda: self._free >= taken and (alone or not self._waiting_alone)
            )
            self._waiting_alone -= alone
            self._free -= taken
        try:
            yield
        finally:
            with self._changed:
                self._free += taken
                # Where all wait for one turn, any of them will do.
                if alone or self._waiting_alone:
                    self._changed.notify_all()
                else:
                    self._changed.notify()


class _Zygote:
    """The handle on one zygote process, which is started unless it is there already."""

    def __init__(self, lane_memory_bytes: int, control: socket.socket | None = None) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if control is None:
            self._process, control = start_zygote(lane_memory_bytes)
        self._control = control
        self.is_alive = True
        self._fork_lock = threading.Lock()
        self._forked: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._exit_codes: dict[int, int] = {}
        self._exited = threading.Condition()
        self._await_ready()
        self._listener = threading.Thread(target=self._listen, name="farm-zygote", daemon=True)
        self._listener.start()

    def _await_ready(self) -> None:
        try:
            wire.receive(self._control, deadline=time.monotonic() + _START_SECONDS)
        except (EOFError, TimeoutError, ConnectionError) as error:
            self._control.close()
            exit_code = _end(self._process)
            raise ClusterError(
                f"the decoders' process did not start (exit code {exit_code}): "
                f"{type(error).__name__}; run `farm doctor` on this machine"
            ) from error

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
        """Makes one lane; raises LaneCrashError where the zygote is gone."""
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
        return Lane(pid, ours, self)

    def exit_code(self, pid: int, *, wait_seconds: float) -> int | None:
        """The exit code of a lane (minus the signal that killed it), None where it still runs."""
        with self._exited:
            self._exited.wait_for(
                lambda: pid in self._exit_codes or not self.is_alive, timeout=wait_seconds
            )
            return self._exit_codes.get(pid)

    def close(self) -> None:
        """Ends the zygote and with it all of its lanes."""
        self.is_alive = False
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        _end(self._process)
        self._listener.join()
        self._control.close()


def _end(process: "subprocess.Popen[bytes] | None") -> int | None:
    """The exit code of a process of ours; another one ends when it finds its socket closed."""
    if process is None:
        return None
    process.kill()
    return process.wait()
