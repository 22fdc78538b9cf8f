"""Webhooks: addresses that a key's holder wants to be told of jobs at."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from farm.service.database import Database
from farm.service.model import webhooks


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address of a key; `events` are the dialect's words, `sealed_secret` is the vault's."""

    id: int
    key_id: str
    url: str
    events: tuple[str, ...]
    sealed_secret: str
    is_disabled: bool
    is_failing: bool
    created_at: float
    updated_at: float


class WebhookStore:
    """The webhooks of all keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, *, key_id: str, url: str, events: Iterable[str], sealed_secret: str) -> Webhook:
        """Adds one and returns it."""
        now = time.time()
        row = {
            "key_id": key_id,
            "url": url,
            "events": list(events),
            "sealed_secret": sealed_secret,
            "is_disabled": False,
            "is_failing": False,
            "created_at": now,
            "updated_at": now,
        }
        with self._database.write() as connection:
            made = connection.execute(insert(webhooks).values(row)).inserted_primary_key
        assert made is not None
        return _webhook(row | {"id": made[0]})

    def list(
        self, *, key_id: str, url: str | None = None, page: int = 1, per_page: int = 100
    ) -> list[Webhook]:
        """A page of a key's webhooks, the oldest first; those of one URL where it is given."""
        asked = select(webhooks).where(webhooks.c.key_id == key_id)
        if url is not None:
            asked = asked.where(webhooks.c.url == url)
        asked = asked.order_by(webhooks.c.id).limit(per_page).offset((page - 1) * per_page)
        with self._database.read() as connection:
            return [_webhook(row) for row in connection.execute(asked).mappings()]

    def get(self, webhook_id: int) -> Webhook | None:
        """One of any key, whether it is disabled or not."""
        asked = select(webhooks).where(webhooks.c.id == webhook_id)
        with self._database.read() as connection:
            row = connection.execute(asked).mappings().one_or_none()
        return None if row is None else _webhook(row)

    def delete(self, webhook_id: int, *, key_id: str) -> bool:
        """Forgets one of a key; False where it has none of that id."""
        gone = delete(webhooks).where(webhooks.c.id == webhook_id, webhooks.c.key_id == key_id)
        with self._database.write() as connection:
            return bool(connection.execute(gone).rowcount)

    def mark(
        self, webhook_id: int, *, is_failing: bool | None = None, is_disabled: bool | None = None
    ) -> None:
        """Notes how deliveries to it go."""
        given = {"is_failing": is_failing, "is_disabled": is_disabled}
        changes = {name: value for name, value in given.items() if value is not None}
        with self._database.write() as connection:
            connection.execute(
                update(webhooks)
                .where(webhooks.c.id == webhook_id)
                .values(**changes, updated_at=time.time())
            )


def _webhook(row: Any) -> Webhook:
    fields = {name: row[name] for name in Webhook.__dataclass_fields__}
    return Webhook(**fields | {"events": tuple(row["events"])})
