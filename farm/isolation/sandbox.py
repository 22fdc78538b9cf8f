"""The sandbox of a lane: what it may still do once a hostile file has taken over a decoder.

In order: no new privileges, a user of its own where it was root, no files but the libraries
(Landlock), no system calls that decoding never needs (seccomp). Each is left out where the kernel
or the installation does not offer it, and `missing` says so: nothing is assumed.
"""

import ctypes
import os
import resource
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from farm.isolation import landlock, seccomp

_PR_SET_NO_NEW_PRIVS = 38
_NOBODY = 65534
_MOST_DESCRIPTORS = 256


def missing() -> dict[str, str]:
    """The parts that lanes of this process cannot have here, each with the reason."""
    reasons = {
        "landlock": landlock.missing(),
        "seccomp": seccomp.missing(),
        "own user": _user_missing(landlock.library_folders()),
    }
    return {part: reason for part, reason in reasons.items() if reason is not None}


def enter(lacking: Iterable[str]) -> None:
    """Puts this process into the sandbox for good, without the parts that are lacking.

    To be called in a process of one thread, behind the last import that must not fail. Raises
    OSError where a part that should be there is refused: then nothing may be decoded.
    """
    absent = set(lacking)
    readable = landlock.library_folders()
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MOST_DESCRIPTORS, _MOST_DESCRIPTORS))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs is refused")
    if "own user" not in absent and os.geteuid() == 0:
        _become_nobody()
    if "landlock" not in absent:
        landlock.restrict(readable)
    if "seccomp" not in absent:
        seccomp.install()


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _user_missing(folders: Sequence[Path]) -> str | None:
    """Why a root's lanes cannot be somebody else's; None where they can, or need not."""
    if os.geteuid() != 0:
        return None
    for folder in folders:
        for part in (folder, *folder.parents):
            if not part.stat().st_mode & stat.S_IXOTH:
                return f"others than root may not read {folder}, from which code is loaded"
    return None
