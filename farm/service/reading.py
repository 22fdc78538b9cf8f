"""Rows of the database become jobs and tasks; lists come a page at a time."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from farm.service.database import Database
from farm.service.model import Job, Scope, Status, StoredFile, Task, files, inputs, jobs, tasks

_TASK_FIELDS = frozenset(Task.__dataclass_fields__) - {"status", "inputs", "files"}
_JOB_FIELDS = frozenset(Job.__dataclass_fields__) - {"status", "tasks"}
# Fewer than any database's bound on the variables of a statement.
_CHUNK = 500


def task_of(connection: Connection, task_id: str) -> Task | None:
    """A task with its inputs and files."""
    found = tasks_of(connection, tasks.c.id == task_id)
    return found[0] if found else None


def job_of(connection: Connection, job_id: str) -> Job | None:
    """A job with all of its tasks, in the order in which they were added."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one_or_none()
    if row is None:
        return None
    return _job(row, tasks_of(connection, tasks.c.job_id == job_id))


def tasks_of(connection: Connection, which: ColumnElement[bool]) -> list[Task]:
    """The tasks that fit a condition, with their inputs and files."""
    return _with_parts(connection, select(tasks).where(which).order_by(tasks.c.created_at))


def list_tasks(
    database: Database,
    *,
    key_id: str,
    page: int = 1,
    per_page: int = 100,
    operations: Iterable[str] | None = None,
    alone: bool = False,
    **equal: str | None,
) -> list[Task]:
    """A page of a caller's tasks, the newest first; pages count from 1.

    `operations` are those that are listed at all, `alone` leaves out those of jobs, `equal` are
    values that columns have.
    """
    chosen = select(tasks).where(tasks.c.key_id == key_id)
    if operations is not None:
        chosen = chosen.where(tasks.c.operation.in_(list(operations)))
    if alone:
        chosen = chosen.where(tasks.c.job_id.is_(None))
    for column, value in equal.items():
        if value is not None:
            chosen = chosen.where(tasks.c[column] == value)
    chosen = chosen.order_by(tasks.c.created_at.desc(), tasks.c.id)
    with database.read() as connection:
        return _with_parts(connection, chosen.limit(per_page).offset((page - 1) * per_page))


def list_jobs(
    database: Database,
    *,
    key_id: str | None,
    page: int = 1,
    per_page: int = 100,
    api: str | None = None,
    status: str | None = None,
    tag: str | None = None,
    with_tasks: bool = False,
) -> list[Job]:
    """A page of a caller's jobs, the newest first; of all callers' without `key_id`."""
    chosen = select(jobs)
    if key_id is not None:
        chosen = chosen.where(jobs.c.key_id == key_id)
    if api is not None:
        chosen = chosen.where(jobs.c.api == api)
    if status is not None:
        chosen = chosen.where(jobs.c.status == status)
    if tag is not None:
        chosen = chosen.where(jobs.c.tag == tag)
    chosen = chosen.order_by(jobs.c.created_at.desc(), jobs.c.id)
    with database.read() as connection:
        paged = chosen.limit(per_page).offset((page - 1) * per_page)
        rows = connection.execute(paged).mappings().all()
        of_job: dict[str, list[Task]] = {row["id"]: [] for row in rows}
        if with_tasks and rows:
            for task in tasks_of(connection, tasks.c.job_id.in_(of_job)):
                of_job[task.job_id or ""].append(task)
    return [_job(row, of_job[row["id"]]) for row in rows]


def _with_parts(connection: Connection, chosen: Select[Any]) -> list[Task]:
    rows = connection.execute(chosen).mappings().all()
    edges: dict[str, list[str]] = {row["id"]: [] for row in rows}
    made: dict[str, list[StoredFile]] = {row["id"]: [] for row in rows}
    ids = list(edges)
    for start in range(0, len(ids), _CHUNK):
        some = ids[start : start + _CHUNK]
        of_inputs = select(inputs).where(inputs.c.task_id.in_(some)).order_by(inputs.c.position)
        for edge in connection.execute(of_inputs).mappings():
            edges[edge["task_id"]].append(edge["input_id"])
        of_files = select(files).where(files.c.task_id.in_(some)).order_by(files.c.position)
        for file in connection.execute(of_files).mappings():
            made[file["task_id"]].append(file_of(file))
    return [
        Task(
            status=Status(row["status"]),
            inputs=tuple(edges[row["id"]]),
            files=tuple(made[row["id"]]),
            **{name: row[name] for name in _TASK_FIELDS},
        )
        for row in rows
    ]


def file_by_id(database: Database, file_id: str, *, key_id: str | None = None) -> StoredFile | None:
    """A file of a caller, or of any without `key_id`."""
    asked = select(files).where(files.c.id == file_id)
    if key_id is not None:
        asked = asked.join(tasks, tasks.c.id == files.c.task_id).where(tasks.c.key_id == key_id)
    with database.read() as connection:
        row = connection.execute(asked).mappings().one_or_none()
    return None if row is None else file_of(row)


def file_of(row: Any) -> StoredFile:
    """A file as the table has it."""
    return StoredFile(
        id=row["id"],
        name=row["name"],
        path=row["path"],
        size_bytes=row["size_bytes"],
        md5=row["md5"],
        content_type=row["content_type"],
        facts=row["facts"],
    )


def _job(row: Any, found: Sequence[Task]) -> Job:
    fields = {name: row[name] for name in _JOB_FIELDS}
    return Job(status=Status(row["status"]), tasks=tuple(found), **fields)


def scopes_of(words: Sequence[str]) -> frozenset[Scope]:
    """The scopes that a key has, as far as this farm knows them."""
    return frozenset(Scope(word) for word in words if word in set(Scope))
