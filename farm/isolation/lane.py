"""The worker's side of one lane: send it an entry, keep its clock, bury it when it dies."""

import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from farm.errors import (
    EngineUnavailableError,
    FarmError,
    InternalError,
    LaneCrashError,
    LaneMemoryError,
    LaneTimeoutError,
    error_from,
)
from farm.isolation import wire
from farm.meter import LaneEnd
from farm.range_file import ReadAt
from farm.settings import LaneRules, Limits
from farm.spec import Entry

_EXIT_SECONDS = 5.0
_ENTRIES_BETWEEN_LOOKS = 16
_PAGE_BYTES = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class Reply:
    """A lane's answer: its facts, and the encoded pictures one after the other."""

    header: dict[str, Any]
    payload: bytes


def request_of(
    op: Literal["make", "probe"],
    entry: Entry,
    *,
    row: int,
    limits: Limits,
    size_bytes: int,
    name: str,
) -> dict[str, Any]:
    """What a lane is asked: to make an entry's pictures, or to tell what is planned for it.

    `name` is what messages call the source; `row` is the entry's number in the manifest. A lane
    runs the same code, so it knows what is not said here.
    """
    return {
        "op": op,
        "entry": entry.model_dump(mode="json", exclude_defaults=True),
        "row": row,
        "limits": limits.model_dump(mode="json", exclude_defaults=True),
        "size_bytes": size_bytes,
        "name": name,
    }


class Parent(Protocol):
    """What a lane's handle needs of the process that made it."""

    def exit_code(self, pid: int, *, wait_seconds: float) -> int | None:
        """The exit code of a lane (minus the signal that killed it), None where it still runs."""

    def ending(self, exit_code: int | None) -> str:
        """How a lane ended, for people."""


class Lane:
    """One isolated process that works on one entry at a time.

    With `is_shared` others work in the same process, and it can be ended for all of them only.
    `was_killed` where it was ended before it had answered.
    """

    is_shared: ClassVar[bool] = False

    def __init__(self, pid: int, sock: socket.socket, parent: Parent) -> None:
        self.pid = pid
        self.entries_done = 0
        self.is_alive = True
        self.was_killed = False
        self._began = time.monotonic()
        self._sock = sock
        self._parent = parent

    def wear(self, rules: LaneRules) -> LaneEnd | None:
        """Why a fresh one should take its place: its entries, its age or its memory."""
        if self.entries_done >= rules.entries:
            return LaneEnd.ENTRIES
        if self.is_shared:
            return None
        if time.monotonic() - self._began >= rules.seconds:
            return LaneEnd.AGE
        # Asked now and then: it takes as long as a hundredth of a small picture.
        if self.entries_done % _ENTRIES_BETWEEN_LOOKS:
            return None
        return LaneEnd.MEMORY if resident_bytes(self.pid) > rules.resident_bytes else None

    def call(
        self,
        request: dict[str, Any],
        *,
        fd: int | None = None,
        head: bytes = b"",
        read_at: ReadAt | None = None,
        timeout_seconds: float,
        held_seconds: Callable[[], float] = lambda: 0.0,
    ) -> Reply:
        """Lets the lane work on one request and returns its answer.

        The lane reads the source from `fd`, or gets its first bytes, `head`, and asks for ranges
        beyond, which `read_at(offset, length)` fetches. What `held_seconds` grows by meanwhile does
        not count as time: so long reads were held back. Raises the FarmError that the lane met, the
        one that `read_at` met, or a LaneError where the lane did not survive; then the lane is gone
        and another must be leased.
        """
        ends = time.monotonic() + timeout_seconds - held_seconds()

        def deadline() -> float:
            return ends + held_seconds()

        try:
            fds = () if fd is None else (fd,)
            wire.send(self._sock, request, payloads=(head,), fds=fds, deadline=deadline())
            reply = self._await(read_at, deadline)
        except TimeoutError:
            self.kill()
            raise LaneTimeoutError(f"took longer than {timeout_seconds:g} s") from None
        except (EOFError, ConnectionError):
            raise self._bury() from None
        except ValueError as error:
            self.kill()
            raise LaneCrashError(
                f"the decoder's process gave an impossible answer: {error}"
            ) from None
        self.entries_done += 1
        if reply.header.get("op") == "error":
            # Half a character, which JSON can hold, has no place in a record.
            message = str(reply.header["message"])[:1000].encode(errors="replace").decode()
            met = error_from(str(reply.header["code"]), message)
            if isinstance(met, LaneMemoryError) and not self.is_shared:
                self.kill()
            if met.environment and not isinstance(met, EngineUnavailableError):
                # A lane reaches no store: it may not pause the run by blaming one.
                raise InternalError(message)
            raise met
        return reply

    def _await(self, read_at: ReadAt | None, deadline: Callable[[], float]) -> Reply:
        failure: FarmError | None = None
        while True:
            message = wire.receive(self._sock, deadline=deadline())
            if message.header.get("op") != "read":
                if failure is not None:
                    raise failure
                return Reply(message.header, message.payload)
            try:
                data = _read(read_at, message.header)
            except FarmError as error:
                failure = error
                refusal = {"error": "the source cannot be read"}
                wire.send(self._sock, refusal, deadline=deadline())
            else:
                wire.send(self._sock, {"op": "data"}, payloads=(data,), deadline=deadline())

    def kill(self) -> None:
        """Ends the lane and whatever it started, at once; any thread may, during a call too."""
        if self.is_alive:
            self.is_alive = False
            self.was_killed = True
            # Not closed: another thread may be waiting on this very descriptor.
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            if self._parent.exit_code(self.pid, wait_seconds=0) is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends the lane where it still runs, and lets go of it."""
        self.kill()
        self._sock.close()

    def _bury(self) -> LaneCrashError:
        self.is_alive = False
        exit_code = self._parent.exit_code(self.pid, wait_seconds=_EXIT_SECONDS)
        if exit_code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        return LaneCrashError(self._parent.ending(exit_code))


def _read(read_at: ReadAt | None, header: dict[str, Any]) -> bytes:
    offset, length = header.get("offset"), header.get("length")
    if (
        read_at is None
        or not isinstance(offset, int)
        or not isinstance(length, int)
        or offset < 0
        or not 0 < length <= wire.MOST_READ_BYTES
    ):
        raise ValueError(f"read of {length!r} bytes at {offset!r}")
    return read_at(offset, length)


def resident_bytes(pid: int) -> int:
    """The memory that a process has in use, what it shares with others included; 0 if unknown."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
