"""What a hostile file might try from within a lane: run as a process, it tells how each ended.

`python -m tests.isolation.attempts CANARY PORT FD LACKING NAME...`, LACKING being parts with commas
between; without names it tries all.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from farm.isolation import sandbox

_PTRACE_ATTACH = 16
_IO_URING_SETUP = 425


def _attempts(canary: Path, port: int, fd: int) -> dict[str, Callable[[], object]]:
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getppid()

    def call(number: int, *arguments: object) -> None:
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), "")

    def trace() -> None:
        if libc.ptrace(_PTRACE_ATTACH, parent, 0, 0) < 0:
            raise OSError(ctypes.get_errno(), "")

    def run_thread() -> None:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()

    def fill_memory_file() -> None:
        with open(os.memfd_create("made"), "w+b") as file:
            file.write(b"x" * 100_000)

    return {
        "read a file": canary.read_bytes,
        "read the password file": Path("/etc/passwd").read_bytes,
        "list a folder": lambda: os.listdir(canary.parent),
        "read another process": Path(f"/proc/{parent}/environ").read_bytes,
        "write its own memory": lambda: open("/proc/self/mem", "r+b"),
        "write a new file": lambda: canary.with_name("new").write_bytes(b"x"),
        "write to a file": lambda: canary.write_bytes(b"x"),
        "remove a file": canary.unlink,
        "rename a file": lambda: canary.rename(canary.with_name("renamed")),
        "change a file's mode": lambda: canary.chmod(0o777),
        "truncate a file": lambda: os.truncate(canary, 0),
        "make a folder": lambda: canary.with_name("folder").mkdir(),
        "make a link": lambda: canary.with_name("link").symlink_to(canary),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), timeout=5),
        "open a socket": lambda: socket.socket(socket.AF_UNIX),
        "run a program": lambda: os.execv("/bin/true", ["true"]),
        "spawn a program": lambda: subprocess.run(["/bin/true"], check=True),
        "fork": lambda: os.fork() or os._exit(0),
        "signal its parent": lambda: os.kill(parent, 0),
        "limit its parent": lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE, (9, 9)),
        "trace its parent": trace,
        "use io_uring": lambda: call(_IO_URING_SETUP, 1, None),
        "unshare": lambda: (
            os.unshare(os.CLONE_NEWUSER) if sys.version_info >= (3, 12) else call(272, 1 << 28)
        ),
        "read what it was given": lambda: os.pread(fd, 10, 0),
        "start a thread": run_thread,
        "use memory files": fill_memory_file,
        "import a module": lambda: __import__("sqlite3"),
        "limit itself": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    }


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def main(canary: str, port: str, fd: str, lacking: str, *names: str) -> None:
    sandbox.enter(lacking.split(","))
    attempts = _attempts(Path(canary), int(port), int(fd))
    told = {name: _outcome(attempts[name]) for name in names or attempts}
    sys.stdout.write(json.dumps(told))
    sys.stdout.flush()
    signal.raise_signal(signal.SIGABRT)


if __name__ == "__main__":
    main(*sys.argv[1:])
