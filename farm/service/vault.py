"""Keeps what is secret in a request unreadable where it is stored."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from farm.errors import InvalidJobError, VaultError


class Vault:
    """Seals and opens small values with the keys of a file.

    The file has one key a line, the newest first: the first seals, each of them opens. To rotate,
    put a new line in front (`Vault.new_key`), and drop the last one when nothing is left of its
    time. A missing file is made, readable for its owner alone.
    """

    def __init__(self, key_file: Path) -> None:
        """Raises InvalidJobError where the file is there but cannot serve."""
        self._path = key_file
        self._keys = MultiFernet(_read_keys(key_file))

    @staticmethod
    def new_key() -> str:
        """A line for the key file."""
        return Fernet.generate_key().decode()

    def seal(self, secrets: Mapping[str, Any]) -> str:
        """What can be stored anywhere of values that JSON has."""
        return self._keys.encrypt(json.dumps(dict(secrets)).encode()).decode()

    def open(self, sealed: str) -> dict[str, Any]:
        """What was sealed; raises VaultError where that was not by a key of the file."""
        try:
            text = self._keys.decrypt(sealed.encode())
        except (InvalidToken, UnicodeError):
            raise VaultError(
                f"cannot open a sealed value: none of the keys in {self._path} made it"
            ) from None
        found: dict[str, Any] = json.loads(text)
        return found

    def __repr__(self) -> str:
        return f"Vault({str(self._path)!r})"


def _read_keys(path: Path) -> list[Fernet]:
    _make_once(path)
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidJobError(f"cannot read the key file {path}: {type(error).__name__}") from None
    if mode & 0o077:
        raise InvalidJobError(f"the key file {path} is open to others: chmod 600 {path}")
    if not lines:
        raise InvalidJobError(f"the key file {path} is empty")
    # Fernet's own check takes what merely resembles a key, and its error quotes nothing.
    for number, line in enumerate(lines, 1):
        if not re.fullmatch(r"[\w-]{43}=", line, re.ASCII):
            raise InvalidJobError(f"line {number} of the key file {path} is no key")
    return [Fernet(line) for line in lines]


def _make_once(path: Path) -> None:
    """Makes the file unless it is there; of several at once, one wins and the others read it."""
    if path.exists():
        return
    temporary = path.with_name(f"{path.name}.{os.urandom(6).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            file.write(f"{Vault.new_key()}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(temporary)
    except OSError as error:
        raise InvalidJobError(f"cannot make the key file {path}: {error.strerror}") from None
