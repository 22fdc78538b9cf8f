"""Tokens that stand for a key for a while; only digests of them are kept."""

import secrets
import time
from enum import StrEnum

from sqlalchemy import delete, insert, select

from farm.service.database import Database
from farm.service.keys import digest
from farm.service.model import tokens

_BYTES = 16


class TokenKind(StrEnum):
    """What a token is for; one of a kind never serves for another."""

    ACCESS = "access"
    TASK = "task"
    PAGE = "page"


class TokenStore:
    """The tokens of all keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def issue(self, kind: TokenKind, *, key_id: str, expires_at: float) -> str:
        """Makes a token, 32 hexadecimal digits."""
        token = secrets.token_hex(_BYTES)
        row = {"digest": _digest(kind, token), "key_id": key_id, "expires_at": expires_at}
        with self._database.write() as connection:
            connection.execute(insert(tokens).values(row))
        return token

    def owner(self, kind: TokenKind, token: str) -> str | None:
        """The id of the key that a token stands for; None for one that is unknown or expired."""
        asked = select(tokens.c.key_id).where(
            tokens.c.digest == _digest(kind, token), tokens.c.expires_at > time.time()
        )
        with self._database.read() as connection:
            return connection.scalar(asked)

    def drop(self, kind: TokenKind, token: str) -> None:
        """Forgets a token."""
        with self._database.write() as connection:
            connection.execute(delete(tokens).where(tokens.c.digest == _digest(kind, token)))

    def expire(self) -> None:
        """Forgets what has expired, of whatever kind."""
        with self._database.write() as connection:
            connection.execute(delete(tokens).where(tokens.c.expires_at <= time.time()))


def _digest(kind: TokenKind, token: str) -> str:
    return digest(f"{kind.value}:{token}")
