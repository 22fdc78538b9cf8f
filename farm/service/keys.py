"""API keys: long random texts of which only digests are kept."""

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Iterable

from sqlalchemy import insert, select, update

from farm.service.database import Database
from farm.service.model import ApiKey, Scope, api_keys
from farm.service.reading import scopes_of

_PREFIX = "farm_"


def digest(secret: str) -> str:
    """What is kept of a key or token.

    A plain hash: they are 256 random bits, which nobody can try out, unlike passwords.
    """
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


class KeyStore:
    """The keys that callers have."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, scopes: Iterable[Scope] = tuple(Scope)) -> str:
        """Makes a key and returns it, for the only time."""
        secret = _PREFIX + secrets.token_urlsafe(32)
        row = {
            "id": str(uuid.uuid4()),
            "name": name,
            "digest": digest(secret),
            "scopes": sorted(scopes),
            "created_at": time.time(),
            "is_disabled": False,
        }
        with self._database.write() as connection:
            connection.execute(insert(api_keys).values(row))
        return secret

    def find(self, secret: str) -> ApiKey | None:
        """Whose key it is; None for one that is unknown or disabled."""
        wanted = digest(secret)
        with self._database.read() as connection:
            asked = select(api_keys).where(api_keys.c.digest == wanted, ~api_keys.c.is_disabled)
            row = connection.execute(asked).mappings().one_or_none()
        # The index compared digests, of which a caller cannot choose a beginning.
        if row is None or not hmac.compare_digest(row["digest"], wanted):
            return None
        return ApiKey(row["id"], row["name"], scopes_of(row["scopes"]), row["created_at"])

    def get(self, key_id: str) -> ApiKey | None:
        """The key of that id, where it is not disabled."""
        with self._database.read() as connection:
            asked = select(api_keys).where(api_keys.c.id == key_id, ~api_keys.c.is_disabled)
            row = connection.execute(asked).mappings().one_or_none()
        if row is None:
            return None
        return ApiKey(row["id"], row["name"], scopes_of(row["scopes"]), row["created_at"])

    def all(self) -> list[ApiKey]:
        """The keys that are not disabled, the oldest first."""
        with self._database.read() as connection:
            asked = select(api_keys).where(~api_keys.c.is_disabled).order_by(api_keys.c.created_at)
            rows = connection.execute(asked).mappings().all()
        return [ApiKey(r["id"], r["name"], scopes_of(r["scopes"]), r["created_at"]) for r in rows]

    def disable(self, key_id: str) -> bool:
        """Lets a key open nothing any more; False where there is none of that id."""
        with self._database.write() as connection:
            changed = connection.execute(
                update(api_keys)
                .where(api_keys.c.id == key_id, ~api_keys.c.is_disabled)
                .values(is_disabled=True)
            )
            return bool(changed.rowcount)
