"""Who holds something for a command: a process of a machine, and whether it still lives."""

import os
import pwd
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_DEAD_STATES = {"Z", "X"}
# Of /proc/PID/stat, counted from behind the name: the state, and when the process began.
_STATE_FIELD, _START_FIELD = 0, 19


@dataclass(frozen=True, slots=True)
class Holder:
    """One command on one machine.

    `machine` names a boot of a kernel and a namespace of process numbers, within which `pid` and
    `start_ticks` mean one process and no other; it is empty where the system does not tell.
    """

    run: str
    user: str
    host: str
    pid: int
    machine: str
    start_ticks: int
    since: str

    @classmethod
    def here(cls) -> Self:
        """This process, under a name of its own."""
        pid = os.getpid()
        return cls(
            run=uuid.uuid4().hex,
            user=_user(),
            host=socket.gethostname(),
            pid=pid,
            machine=_machine(),
            start_ticks=_start_ticks(pid) or 0,
            since=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    @property
    def is_here(self) -> bool:
        """Whether this machine can tell if the process lives."""
        return bool(self.machine) and self.machine == _machine()

    def is_alive(self) -> bool:
        """Whether the process lives, stopped ones included; only to be asked where it is here."""
        return _start_ticks(self.pid) == self.start_ticks

    def __str__(self) -> str:
        return f"{self.user} on {self.host}, process {self.pid}, since {self.since}"


def _user() -> str:
    with suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def _machine() -> str:
    with suppress(OSError):
        return f"{_BOOT_ID.read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"
    return ""


def _start_ticks(pid: int) -> int | None:
    """When a living process began, in ticks since the boot; None for a dead one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[_STATE_FIELD] in _DEAD_STATES else int(fields[_START_FIELD])
