"""The steps of tasks inside a transaction: what ends, what may begin then, and who is told."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from farm.service.model import (
    Event,
    NewTask,
    Status,
    StoredFile,
    deliveries,
    files,
    inputs,
    jobs,
    tasks,
    webhooks,
)

INPUT_FAILED = "INPUT_TASK_FAILED"
CANCELLED = "CANCELLED"

OPEN = (Status.WAITING, Status.PROCESSING)


class MissingInputError(Exception):
    """A task names inputs that do not exist; the ids are the arguments."""


@dataclass(slots=True)
class Changes:
    """What a step brought about: tasks that may begin, and what came to its end."""

    ready: list[str] = field(default_factory=list)
    ended_tasks: list[str] = field(default_factory=list)
    ended_jobs: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a task ended: `code` is None where it went well."""

    code: str | None = None
    message: str | None = None
    result: Mapping[str, Any] | None = None
    files: Sequence[StoredFile] = ()
    engine: str | None = None
    engine_version: str | None = None


def task_row(task: NewTask, key_id: str, job_id: str | None, now: float) -> dict[str, Any]:
    """A new task as the table has it."""
    return {
        "id": task.id,
        "job_id": job_id,
        "key_id": key_id,
        "name": task.name,
        "operation": task.operation,
        "status": Status.WAITING,
        "message": task.message,
        "percent": 0,
        "payload": dict(task.payload),
        "sealed": task.sealed,
        "ignore_error": task.ignore_error,
        "is_held": task.is_held,
        "retry_of": task.retry_of,
        "attempts": 0,
        "created_at": now,
    }


def check_inputs(connection: Connection, new: Sequence[NewTask], key_id: str) -> None:
    """Raises MissingInputError where a task names an input that is not the caller's."""
    named = {other for task in new for other in task.inputs} - {task.id for task in new}
    mine = select(tasks.c.id).where(tasks.c.id.in_(named), tasks.c.key_id == key_id)
    if missing := named.difference(connection.scalars(mine)):
        raise MissingInputError(*sorted(missing))


def look(connection: Connection, task_id: str, changes: Changes) -> None:
    """Sees whether a waiting task may begin, or never will."""
    asked = (
        select(inputs.c.input_id, tasks.c.status, tasks.c.ignore_error)
        .select_from(inputs.outerjoin(tasks, tasks.c.id == inputs.c.input_id))
        .where(inputs.c.task_id == task_id)
    )
    needed = connection.execute(asked).all()
    # One that was deleted can give nothing any more.
    failed = any(status in (None, Status.ERROR) and not ignore for _, status, ignore in needed)
    if failed:
        end_task(connection, task_id, Ending(INPUT_FAILED, "Input task has failed"), changes)
    elif all(Status(status).is_end for _, status, _ in needed if status is not None):
        changes.ready.append(task_id)


def end_task(connection: Connection, task_id: str, ending: Ending, changes: Changes) -> None:
    """Ends an open task, those that can't do without it, and its job where it was the last."""
    now = time.time()
    ended = connection.execute(
        update(tasks)
        .where(tasks.c.id == task_id, tasks.c.status.in_(OPEN))
        .values(
            status=Status.FINISHED if ending.code is None else Status.ERROR,
            code=ending.code,
            message=ending.message,
            percent=100,
            result=None if ending.result is None else dict(ending.result),
            engine=ending.engine,
            engine_version=ending.engine_version,
            # What failed may be tried again, for which its secrets are needed.
            sealed=None if ending.code is None else tasks.c.sealed,
            is_held=False,
            started_at=func.coalesce(tasks.c.started_at, now if ending.code is None else None),
            ended_at=now,
        )
    )
    if not ended.rowcount:
        return
    changes.ended_tasks.append(task_id)
    if ending.files:
        connection.execute(insert(files), _file_rows(task_id, ending.files))
    waiting = (
        select(tasks.c.id)
        .join(inputs, inputs.c.task_id == tasks.c.id)
        .where(inputs.c.input_id == task_id, tasks.c.status == Status.WAITING)
    )
    for child in connection.scalars(waiting).all():
        look(connection, child, changes)
    job_id = connection.scalar(select(tasks.c.job_id).where(tasks.c.id == task_id))
    if job_id is not None:
        _end_job(connection, job_id, now, changes)


def _file_rows(task_id: str, made: Sequence[StoredFile]) -> list[dict[str, Any]]:
    return [
        {
            "id": file.id,
            "task_id": task_id,
            "position": position,
            "name": file.name,
            "path": file.path,
            "size_bytes": file.size_bytes,
            "md5": file.md5,
            "content_type": file.content_type,
            "facts": dict(file.facts),
        }
        for position, file in enumerate(made)
    ]


def _end_job(connection: Connection, job_id: str, now: float, changes: Changes) -> None:
    """Ends a job none of whose tasks is open any more."""
    asked = select(tasks.c.status, tasks.c.ignore_error).where(tasks.c.job_id == job_id)
    found = connection.execute(asked).all()
    if any(not Status(status).is_end for status, _ in found):
        return
    failed = any(status == Status.ERROR and not ignored for status, ignored in found)
    status = Status.ERROR if failed else Status.FINISHED
    ended = connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.status.in_(OPEN))
        .values(status=status, ended_at=now, started_at=func.coalesce(jobs.c.started_at, now))
    )
    if ended.rowcount:
        changes.ended_jobs.append(job_id)
        announce(connection, job_id, Event.FAILED if failed else Event.FINISHED)


def announce(connection: Connection, job_id: str, event: Event) -> None:
    """Notes whom to tell of a job, in the transaction that makes it true: no news is lost."""
    key_id, notify_url = connection.execute(
        select(jobs.c.key_id, jobs.c.notify_url).where(jobs.c.id == job_id)
    ).one()
    listening = select(webhooks.c.id).where(webhooks.c.key_id == key_id, ~webhooks.c.is_disabled)
    whom: list[int | None] = list(connection.scalars(listening))
    if notify_url is not None:
        whom.append(None)
    rows = [
        {"job_id": job_id, "webhook_id": each, "event": event, "due_at": time.time()}
        for each in whom
    ]
    if rows:
        connection.execute(insert(deliveries), rows)
