"""Keeps what is secret in a request apart from what may be read again."""

from collections.abc import Mapping
from typing import Any

from farm.dialects.cloudconvert import TaskRequest
from farm.storage.redaction import redact

HIDDEN = "***"


def parted(asked: TaskRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """The request as its sender may read it again, and what nobody may; files are in neither."""
    shown = dict(asked.fields)
    secrets: dict[str, Any] = {}
    for name in asked.options.secrets & shown.keys():
        value = shown[name]
        if value is None:
            continue
        if name == "url":
            shown[name] = redact(str(value))
        elif isinstance(value, dict):
            shown[name] = dict.fromkeys(value, HIDDEN)
        elif value:
            shown[name] = HIDDEN
        if name != "file" and shown[name] != value:
            secrets[name] = getattr(asked.options, name)
    return shown, secrets


def hides(payload: Mapping[str, Any]) -> bool:
    """Whether something of a request is hidden, without which it cannot be carried out."""
    headers = payload.get("headers")
    values = [payload.get("url"), payload.get("secret_access_key")]
    values += headers.values() if isinstance(headers, dict) else []
    return any(HIDDEN in str(value) for value in values)
