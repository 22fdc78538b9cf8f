"""What Qencode's callers are told of their tasks, at their `callback_url`."""

import json
import re
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import select, update

from farm.service.model import Event, Job, jobs
from farm.service.notice import Notice
from farm.service.qencode.status import status_of
from farm.service.service import Service
from farm.service.webhooks import Webhook

_WORDS = {Event.CREATED: "queued", Event.FINISHED: "saved", Event.FAILED: "error"}
_TASK_FAILED = 1
_STATUS = re.compile(r"^(\d{3})(?= )")
_HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}


def notice(service: Service, job: Job, event: Event, webhook: Webhook | None) -> Notice | None:
    """The form that tells of an event; webhooks are the other dialect's."""
    if webhook is not None or job.notify_url is None:
        return None
    hidden = service.vault.open(job.payload["sealed"])
    status = status_of(service, job, origin=job.payload["origin"])
    fields = {
        "task_token": hidden["task_token"],
        "event": _WORDS[event],
        "callback_type": "task",
        "payload": job.payload["payload"],
        "status": json.dumps(status),
    }
    if event is Event.FAILED:
        fields |= {"error_code": str(_TASK_FAILED), "error_message": status["error_description"]}
    return Notice(hidden["callback_url"], urlencode(fields).encode(), _HEADERS)


def undelivered(service: Service, job: Job, event: Event, reason: str) -> None:
    """Adds a warning to the task's status."""
    del event
    words = _STATUS.sub(r"\1:", reason)
    warning = {
        "message": "Callback delivery error",
        "details": f"Error sending callback to {job.notify_url} {words}.",
        "tag": None,
    }
    with service.database.write() as connection:
        asked = select(jobs.c.payload).where(jobs.c.id == job.id)
        payload: dict[str, Any] | None = connection.scalar(asked)
        if payload is None or warning in payload["warnings"]:
            return
        payload = payload | {"warnings": [*payload["warnings"], warning]}
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(payload=payload))
