"""The route to which the file of an `import/upload` is posted."""

import mimetypes
import re
import uuid
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.requests import ClientDisconnect

from farm.service.access import service_of
from farm.service.cloudconvert.answer import ApiError, invalid, not_found
from farm.service.cloudconvert.form import PATH, most_bytes
from farm.service.cloudconvert.multipart import FormError, FormReader, PostedFile
from farm.service.filename import safe_filename
from farm.service.model import StoredFile, Task
from farm.service.operation import UPLOAD
from farm.service.runner import folder_of
from farm.service.service import Service
from farm.service.transition import Ending
from farm.storage.failure import WRITE, translate

router = APIRouter(tags=["CloudConvert: uploads"])

_FEED_BYTES = 1 << 20
_KIND = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_UPLOADED = "The file of this task has been uploaded already."
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


@router.post(PATH + "{task_id}", status_code=201, openapi_extra=_FORM)
async def upload(request: Request, task_id: str) -> Response:
    """Takes the file of a task by the form in its result: the parameters first, the file last."""
    service = service_of(request)
    task = await run_in_threadpool(_held_task, service, task_id)
    # Two may send at once: the first to be done wins.
    folder = folder_of(service.config.data, task.id)
    path = folder / uuid.uuid4().hex
    try:
        await run_in_threadpool(folder.mkdir, parents=True, exist_ok=True)
        posted = await _receive(request, service, task, path)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, FormError):
            raise ApiError(error.status, "INVALID_DATA", str(error)) from None
        if isinstance(error, ClientDisconnect):
            raise ApiError(400, "INVALID_DATA", "The upload broke off.") from None
        if isinstance(error, OSError):
            failure = translate(error, "the upload", WRITE)
            raise ApiError(507, failure.code.upper(), str(failure)) from None
        raise
    await run_in_threadpool(_end, service, task, path, posted)
    if redirect := task.payload.get("redirect"):
        return RedirectResponse(str(redirect), 303)
    # Scripts of any page may read that it went well.
    return Response(status_code=201, headers={"Access-Control-Allow-Origin": "*"})


def _held_task(service: Service, task_id: str) -> Task:
    task = service.store.task(task_id) if len(task_id) <= 36 and "\0" not in task_id else None
    if task is None or task.operation != UPLOAD:
        raise not_found("task")
    if not task.is_held:
        raise invalid("file", _UPLOADED, status=400)
    return task


async def _receive(request: Request, service: Service, task: Task, path: Path) -> PostedFile:
    def admit(fields: Mapping[str, str]) -> int:
        most = most_bytes(service, task.id, fields)
        if most is None:
            raise ApiError(
                403, "FORBIDDEN", "The parameters of the form must be sent unchanged, and in time."
            )
        return most

    reader = FormReader(request.headers.get("content-type", ""), path, admit=admit)
    waiting = bytearray()
    try:
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= _FEED_BYTES:
                await run_in_threadpool(reader.feed, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(reader.feed, bytes(waiting))
        return reader.end()
    finally:
        reader.close()


def _end(service: Service, task: Task, path: Path, posted: PostedFile) -> None:
    name = safe_filename(posted.filename or "file")
    suffix = Path(name.lower()).suffix
    if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix):
        try:
            path = path.rename(path.with_suffix(suffix))
        except FileNotFoundError:  # the task was deleted meanwhile
            raise not_found("task") from None
    kind = posted.content_type
    is_told = kind is not None and _KIND.fullmatch(kind) and kind != "application/octet-stream"
    file = StoredFile(
        id=str(uuid.uuid4()),
        name=name,
        path=str(path.relative_to(service.config.data)),
        size_bytes=posted.size_bytes,
        md5=posted.md5,
        content_type=kind if is_told else mimetypes.guess_type(name)[0],
    )
    changes = service.store.end(task.id, Ending(files=(file,)))
    if task.id not in changes.ended_tasks:
        path.unlink(missing_ok=True)
        raise invalid("file", _UPLOADED, status=400)
    service.runner.settle(changes)
