"""One service for one folder: a lock that a process holds for as long as it lives."""

import fcntl
import os
import socket
from pathlib import Path
from typing import Self

from farm.errors import InvalidJobError, RunConflictError

_MOST_BYTES = 300


class FolderLock:
    """Held from `take` to `close`, or to the end of the process, however that comes.

    The file tells who holds it: process and host. It stays when the lock is gone, as another process
    may have opened it already.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Self:
        """Raises RunConflictError where another process holds it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InvalidJobError(f"data: cannot write {path}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, _MOST_BYTES).decode(errors="replace").strip()
            os.close(descriptor)
            raise RunConflictError(
                f"another service uses {path.parent}: {holder or 'it does not say which'}; "
                "end it first, or name another folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        return cls(descriptor)

    def close(self) -> None:
        """Lets others have it."""
        os.close(self._descriptor)
