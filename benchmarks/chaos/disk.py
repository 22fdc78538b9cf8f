"""A small disk of its own, which can be full for a while."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

_BALLAST = "ballast"
_BLOCK = bytes(1 << 16)


@contextlib.contextmanager
def small_disk(folder: Path, *, size_bytes: int) -> Iterator[str]:
    """Mounts a tmpfs at a folder; yields why that could not be done, empty where it was."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "farm-chaos", str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
        cause = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        cause = f"mount: {error.strerror}"
    try:
        yield cause
    finally:
        if not cause:
            subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


def fill(folder: Path) -> None:
    """Leaves no byte on the disk of a folder."""
    with open(folder / _BALLAST, "ab", buffering=0) as ballast:
        for size in (len(_BLOCK), 1):
            try:
                while ballast.write(_BLOCK[:size]):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def relieve(folder: Path) -> None:
    """Gives the space back."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(folder / _BALLAST)
