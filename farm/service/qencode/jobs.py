"""Queries become jobs: one task brings the source, one makes all outputs, one saves each."""

import hashlib
import uuid
from typing import Any

from sqlalchemy.exc import IntegrityError

from farm.dialects.qencode.query import Format, OutputKind, Query
from farm.dialects.qencode.refusal import ErrorCode, QencodeError
from farm.errors import InvalidEntryError
from farm.service.model import NewJob, NewTask
from farm.service.operations.places import (
    UPLOAD_SCHEME,
    secrets_of,
    shown_place,
    shown_source,
)
from farm.service.service import Service
from farm.service.store import BusyError
from farm.storage import redact

API = "qencode"
BUSY_SECONDS = 15


def job_id_of(task_token: str) -> str:
    """The id of a task's job, which does not tell the token."""
    # Another digest than the one by which tokens are looked up.
    digest = hashlib.sha256(f"job:{task_token}".encode(errors="replace")).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def busy(seconds: int = BUSY_SECONDS) -> QencodeError:
    """The service takes on nothing more for the moment."""
    return QencodeError(
        ErrorCode.SYSTEM_BUSY,
        f"The service is busy; try again in {seconds} seconds.",
        retry_after_seconds=seconds,
    )


def start(
    service: Service, query: Query, *, key_id: str, task_token: str, payload: str, origin: str
) -> None:
    """Begins the job of a task; raises QencodeError."""
    hidden = {"task_token": task_token, "callback_url": query.callback_url}
    job = NewJob(
        id=job_id_of(task_token),
        api=API,
        notify_url=_notify_url(service, query),
        payload={
            "payload": payload,
            "origin": origin,
            "warnings": query.warnings,
            "sealed": service.vault.seal(hidden),
        },
    )
    source = _source_task(service, query, job.id)
    make = NewTask(
        id=str(uuid.uuid4()),
        operation="make",
        name="make",
        inputs=(source.id,),
        payload={"query": _stored(query) | {"source": source.payload["source"]}},
    )
    saves = [
        _save_task(service, asked, place, make.id)
        for place, asked in enumerate(query.format)
        if asked.destination
    ]
    try:
        changes = service.store.add_job(job, [source, make, *saves], key_id=key_id)
    except BusyError:
        raise busy() from None
    except IntegrityError:
        raise QencodeError(ErrorCode.TOKEN_NOT_FOUND, "Token not found") from None
    service.runner.settle(changes)


def _stored(query: Query) -> dict[str, Any]:
    """The query as it is kept, without what may be secret in it."""
    hidden: Any = {"source": True, "callback_url": True, "format": {"__all__": {"destination"}}}
    return query.model_dump(mode="json", exclude=hidden, exclude_unset=True)


def _notify_url(service: Service, query: Query) -> str | None:
    """What is shown of the callback's address, once it was found to be one."""
    if query.callback_url is None:
        return None
    if not query.callback_url.lower().startswith(("http://", "https://")):
        raise _refused("callback_url", "expected a URL by http or https")
    try:
        service.config.policy.check_url(query.callback_url)
    except InvalidEntryError as error:
        raise _refused("callback_url", str(error)) from None
    return redact(query.callback_url)


def _source_task(service: Service, query: Query, job_id: str) -> NewTask:
    id = str(uuid.uuid4())
    try:
        payload = {"source": shown_source(query.source, service.config)}
    except InvalidEntryError as error:
        raise _refused("source", str(error)) from None
    if query.source.startswith(UPLOAD_SCHEME):
        # Control characters were refused before: it is text for any database.
        upload = service.uploads.find(query.source.removeprefix(UPLOAD_SCHEME), job_id)
        if upload is None:
            raise _refused("source", "this task has no such upload")
        if not upload.is_complete:
            raise _refused(
                "source",
                f"the upload is not complete: {upload.offset_bytes} of {upload.length_bytes} bytes",
            )
        payload |= {"upload": upload.id, "name": upload.name}
        return NewTask(id=id, operation="import/place", name="source", payload=payload)
    sealed = service.vault.seal({"source": query.source})
    return NewTask(id=id, operation="import/place", name="source", payload=payload, sealed=sealed)


def _save_task(service: Service, asked: Format, place: int, make_id: str) -> NewTask:
    shown = []
    for number, each in enumerate(asked.destination):
        try:
            shown.append(shown_place(each, service.config))
        except InvalidEntryError as error:
            raise _refused(f"format[{place}].destination[{number}]", str(error)) from None
    return NewTask(
        id=str(uuid.uuid4()),
        operation="export/places",
        name=f"save-{place}",
        inputs=(make_id,),
        payload={
            "output": place,
            "is_folder": asked.output is OutputKind.THUMBNAILS,
            "destinations": shown,
        },
        sealed=service.vault.seal({"destinations": [secrets_of(d) for d in asked.destination]}),
        ignore_error=asked.allow_soft_fail,
    )


def _refused(field: str, words: str) -> QencodeError:
    return QencodeError(ErrorCode.QUERY, f"{field}: {words}")
