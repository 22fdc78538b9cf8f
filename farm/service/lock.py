"""One service for one folder: a lock that a process holds for as long as it lives."""

import fcntl
import os
import socket
from pathlib import Path
from typing import BinaryIO, Self

from farm.errors import InvalidJobError, RunConflictError

_MOST_BYTES = 300


class FolderLock:
    """Held from `take` to `close`, or to the end of the process, however that comes.

    The file tells who holds it: process and host. It stays when the lock is gone, as another
    process may have opened it already.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @classmethod
    def take(cls, path: Path) -> Self:
        """Raises RunConflictError where another process holds it."""
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
        except OSError as error:
            raise InvalidJobError(f"data: cannot write {path}: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with file:
                holder = file.read(_MOST_BYTES).decode(errors="replace").strip()
            raise RunConflictError(
                f"another service uses {path.parent}: {holder or 'it does not say which'}; "
                "end it first, or name another folder"
            ) from None
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        file.flush()
        return cls(file)

    def close(self) -> None:
        """Lets others have it."""
        self._file.close()
