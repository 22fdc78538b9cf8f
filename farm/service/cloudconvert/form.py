"""The form by which the file of an `import/upload` comes: whom it lets in, and until when."""

import time
from collections.abc import Mapping
from typing import Any

from farm.service.model import Task
from farm.service.service import Service

PATH = "/upload/"
_PURPOSE = "upload"


def upload_form(service: Service, origin: str, task: Task) -> dict[str, Any]:
    """Where to post the file of a task, and what to post before it."""
    parameters: dict[str, Any] = {
        "expires": int(task.created_at + service.config.lifetime_seconds),
        "max_file_count": 1,
        "max_file_size": service.config.upload_bytes,
    }
    parameters["signature"] = service.signer.sign(_PURPOSE, task.id, *parameters.values())
    return {"url": f"{origin}{PATH}{task.id}", "parameters": parameters}


def most_bytes(service: Service, task_id: str, posted: Mapping[str, str]) -> int | None:
    """The bytes that a file may have by the posted parameters; None where they let nobody in."""
    names = ("expires", "max_file_count", "max_file_size")
    values = [posted.get(name, "") for name in names]
    if not service.signer.is_signed(posted.get("signature", ""), _PURPOSE, task_id, *values):
        return None
    return int(values[2]) if int(values[0]) > time.time() else None
