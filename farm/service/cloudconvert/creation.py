"""Requests for tasks and jobs become rows of the store."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from farm import engines
from farm.dialects.cloudconvert import (
    ExportS3,
    ImportBase64,
    ImportRaw,
    ImportS3,
    ImportUrl,
    InvalidRequestError,
    JobRequest,
    TaskRequest,
)
from farm.errors import FarmError, InvalidEntryError
from farm.service.cloudconvert import inline
from farm.service.cloudconvert.answer import ApiError, invalid
from farm.service.cloudconvert.asking import too_many
from farm.service.cloudconvert.hiding import hides, parted
from farm.service.model import ApiKey, Job, NewJob, NewTask, StoredFile, Task
from farm.service.operation import UPLOAD
from farm.service.operations.imports import s3_place
from farm.service.runner import folder_of
from farm.service.service import Service
from farm.service.store import BusyError
from farm.service.transition import Changes, Ending, MissingInputError

API = "cloudconvert"
ENGINES = tuple(name for name in engines.names() if name != "synthetic")
"""The engines that a request may name."""

WAITING_FOR_UPLOAD = "Waiting for upload"
_BUSY_SECONDS = 10


@dataclass(slots=True)
class _Batch:
    """Tasks about to be added, and the files of those that end at once."""

    service: Service
    tasks: list[NewTask] = field(default_factory=list)
    files: dict[str, StoredFile] = field(default_factory=dict)

    @property
    def ended(self) -> dict[str, Ending]:
        return {task_id: Ending(files=(file,)) for task_id, file in self.files.items()}


def create_task(service: Service, key: ApiKey, asked: TaskRequest, *, name: str | None) -> Task:
    """A task on its own; raises InvalidRequestError and ApiError."""
    task_id = str(uuid.uuid4())
    with _batch(service) as batch:
        _prepare(batch, asked, task_id=task_id, inputs=asked.inputs, name=name)
        changes = service.store.add_tasks(batch.tasks, key_id=key.id, ended=batch.ended)
    return _settled(service, changes, task_id)


def create_job(
    service: Service, key: ApiKey, asked: JobRequest, *, job_id: str, origin: str
) -> Job:
    """A job with its tasks; raises InvalidRequestError and ApiError."""
    check_url(service, "webhook_url", asked.webhook_url)
    new = NewJob(
        job_id, API, tag=asked.tag, notify_url=asked.webhook_url, payload={"origin": origin}
    )
    ids = {name: str(uuid.uuid4()) for name in asked.tasks}
    with _batch(service) as batch:
        for name, task in asked.tasks.items():
            inputs = tuple(ids.get(each, each) for each in task.inputs)
            try:
                _prepare(batch, task, task_id=ids[name], inputs=inputs, name=name)
            except InvalidRequestError as error:
                found = {f"tasks.{name}.{field}": words for field, words in error.errors.items()}
                raise InvalidRequestError(found) from None
        changes = service.store.add_job(new, batch.tasks, key_id=key.id, ended=batch.ended)
    service.runner.settle(changes)
    job = service.store.job(job_id)
    assert job is not None
    return job


def retry_task(service: Service, key: ApiKey, task: Task) -> Task:
    """The same task once more, on its own; raises ApiError."""
    if task.sealed is None and hides(task.payload):
        raise invalid("task", "The credentials of a finished task are not kept; create a new one.")
    again = NewTask(
        str(uuid.uuid4()),
        task.operation,
        task.payload,
        inputs=task.inputs,
        name=task.name,
        sealed=task.sealed,
        ignore_error=task.ignore_error,
        retry_of=task.id,
        is_held=_is_held(task.operation),
        message=_first_message(task.operation),
    )
    with _batch(service) as batch:
        batch.tasks.append(again)
        if task.operation in inline.OPERATIONS:
            batch.files[again.id] = inline.keep_again(service.config.data, again.id, task.files[0])
        changes = service.store.add_tasks(batch.tasks, key_id=key.id, ended=batch.ended)
    return _settled(service, changes, again.id)


def check_url(service: Service, field: str, url: str | None) -> None:
    """Raises InvalidRequestError for what is no URL of the web."""
    try:
        if url is not None:
            service.config.policy.check_url(url)
    except InvalidEntryError:
        url = ""
    if url is not None and not url.lower().startswith(("http://", "https://")):
        name = field.replace("_", " ")
        raise InvalidRequestError({field: [f"The {name} must be a URL by http or https."]})


def _prepare(
    batch: _Batch,
    asked: TaskRequest,
    *,
    task_id: str,
    inputs: tuple[str, ...],
    name: str | None,
) -> None:
    service, options = batch.service, asked.options
    if isinstance(options, ImportUrl):
        check_url(service, "url", options.url)
    if isinstance(options, ImportS3 | ExportS3):
        _check_place(options)
    shown, secrets = parted(asked)
    batch.tasks.append(
        NewTask(
            task_id,
            asked.operation,
            shown,
            inputs=inputs,
            name=name,
            sealed=service.vault.seal(secrets) if secrets else None,
            ignore_error=asked.ignore_error,
            is_held=_is_held(asked.operation),
            message=_first_message(asked.operation),
        )
    )
    if isinstance(options, ImportBase64 | ImportRaw):
        batch.files[task_id] = inline.keep(service.config.data, task_id, options)


def _is_held(operation: str) -> bool:
    return operation == UPLOAD or operation in inline.OPERATIONS


def _first_message(operation: str) -> str | None:
    return WAITING_FOR_UPLOAD if operation == UPLOAD else None


def _check_place(options: ImportS3 | ExportS3) -> None:
    try:
        s3_place(options)
    except InvalidEntryError as error:
        field, _, words = str(error).partition("; ")[0].partition(": ")
        field = field.partition(".")[0]
        raise InvalidRequestError({field: [f"The {field.replace('_', ' ')}: {words}."]}) from None


@contextmanager
def _batch(service: Service) -> Iterator[_Batch]:
    """Tasks to be added; where that fails, their files are gone, and an error for the caller."""
    batch = _Batch(service)
    try:
        try:
            yield batch
        except BaseException:
            for task in batch.tasks:
                shutil.rmtree(folder_of(service.config.data, task.id), ignore_errors=True)
            raise
    except BusyError:
        raise too_many(_BUSY_SECONDS) from None
    except MissingInputError as error:
        sentences = [f"There is no task {each:.80}." for each in error.args]
        raise InvalidRequestError({"input": sentences}) from None
    except FarmError as error:
        raise ApiError(error.http_status, error.code.upper(), str(error)) from None


def _settled(service: Service, changes: Changes, task_id: str) -> Task:
    service.runner.settle(changes)
    task = service.store.task(task_id)
    assert task is not None
    return task
