"""Callers of CloudConvert's API, each with a key of its own."""

from typing import Any

import httpx

from farm.service.database import Database
from farm.service.keys import KeyStore
from farm.service.model import Scope
from tests.service.live import LiveServer

RAW = {"operation": "import/raw", "file": "abc", "filename": "a.txt"}


def client_of(server: LiveServer, *scopes: Scope) -> httpx.Client:
    """A client with a fresh key; made here, as a command takes seconds to start."""
    database = Database(f"sqlite:///{server.data / 'service.db'}")
    try:
        return server.client_of(KeyStore(database).add("own", scopes or tuple(Scope)))
    finally:
        database.close()


def create(client: httpx.Client, operation: str = "import/raw", **fields: Any) -> dict[str, Any]:
    body = {"file": "abc", "filename": "a.txt"} | fields if operation == "import/raw" else fields
    answer = client.post(f"/v2/{operation}", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["data"]
    return made
