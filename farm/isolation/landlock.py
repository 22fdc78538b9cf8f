"""Landlock for lanes: no file but the libraries may be opened, and those only to be read.

Descriptors that the worker hands over stay usable: Landlock asks when files are opened.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

# The numbers are the same on all architectures.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

# linux/landlock.h: all that can be done to files, by the version that knows it first.
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_BIND_AND_CONNECT_TCP = 0b11  # from version 4 on
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # from version 6 on

_LIBRARIES = ("/usr", "/lib", "/lib64", "/opt", "/nix/store", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")


def version() -> int:
    """The kernel's version of Landlock; 0 where it has none or may not use it."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    return max(0, int(found))


def missing() -> str | None:
    """Why lanes cannot have it here; None where they can."""
    return None if version() else "the kernel has no Landlock, or it is switched off"


def library_folders() -> list[Path]:
    """Where code may still be loaded from: Python, its packages, and the system's libraries."""
    own = Path(__file__).resolve().parents[2]
    named: list[str | Path] = [
        sys.prefix,
        sys.base_prefix,
        *(path for path in sys.path if path and Path(path).resolve() != own),
        own / "farm",
        own / "kernels",
        *_LIBRARIES,
    ]
    found = dict.fromkeys(Path(path).resolve() for path in named)
    # A root that Python was told to import from would open everything.
    return [path for path in found if path.exists() and path != Path(path.anchor)]


def restrict(readable: Iterable[Path]) -> None:
    """Lets this process open nothing but what lies below some paths, to read it, for good.

    Needs PR_SET_NO_NEW_PRIVS. TCP, abstract sockets and signals to others go too, where the
    kernel's version knows them. Raises OSError.
    """
    known = version()
    files = sum(rights for first, rights in _FILE_RIGHTS.items() if first <= known)
    attributes = struct.pack(
        "=QQQ",
        files,
        _BIND_AND_CONNECT_TCP if known >= 4 else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if known >= 6 else 0,
    )
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    ruleset = _call(_CREATE_RULESET, ctypes.c_char_p(attributes), size, 0)
    try:
        for path in (*readable, *map(Path, _DEVICES)):
            _allow(ruleset, path)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path) -> None:
    # Not to execute: that is for programs, libraries are read.
    rights = _READ_FILE | (_READ_DIR if path.is_dir() else 0)
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, descriptor)
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result
