"""Tasks and jobs as CloudConvert's API shows them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from fastapi import Request

from farm.service.access import origin_of
from farm.service.cloudconvert.form import upload_form
from farm.service.download import download_url
from farm.service.model import Job, Status, Task
from farm.service.operation import UPLOAD
from farm.service.reading import list_tasks
from farm.service.service import Service

T = TypeVar("T")


def time_text(seconds: float | None) -> str | None:
    """A time as the API writes it, None where there is none."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


@dataclass(frozen=True, slots=True)
class Renderer:
    """Shows things to somebody who reached the service at `origin`."""

    service: Service
    origin: str

    def task(self, task: Task) -> dict[str, Any]:
        """A task as lists and jobs have it."""
        asked = task.payload
        return {
            "id": task.id,
            "job_id": task.job_id,
            "name": task.name,
            "operation": task.operation,
            "status": task.status.value,
            "message": task.message,
            "code": task.code,
            "credits": 0 if task.status is Status.FINISHED else None,
            "percent": task.percent,
            "created_at": time_text(task.created_at),
            "started_at": time_text(task.started_at),
            "ended_at": time_text(task.ended_at),
            "depends_on_task_ids": list(task.inputs),
            "retry_of_task_id": task.retry_of,
            "copy_of_task_id": None,
            "engine": task.engine or asked.get("engine"),
            "engine_version": task.engine_version or asked.get("engine_version"),
            "payload": {"operation": task.operation, **asked},
            "result": self._result(task),
            "host_name": None,
            "storage": None,
            "links": {"self": f"{self.origin}/v2/tasks/{task.id}"},
        }

    def full_task(self, task: Task, include: Iterable[str] = ()) -> dict[str, Any]:
        """A task on its own, with what it waits for and what else is asked for."""
        store = self.service.store
        shown = self.task(task)
        shown["depends_on_tasks"] = [self.task(each) for each in store.tasks(task.inputs)]
        if "retries" in include:
            shown["retries"] = [self.task(each) for each in retries_of(self.service, task)]
        if "job" in include:
            job = store.job(task.job_id) if task.job_id else None
            shown["job"] = None if job is None else self.job(job, with_tasks=False)
        return shown

    def job(self, job: Job, *, with_tasks: bool = True) -> dict[str, Any]:
        """A job, with its tasks or without."""
        shown: dict[str, Any] = {
            "id": job.id,
            "tag": job.tag,
            "status": job.status.value,
            "created_at": time_text(job.created_at),
            "started_at": time_text(job.started_at),
            "ended_at": time_text(job.ended_at),
            "links": {"self": f"{self.origin}/v2/jobs/{job.id}"},
        }
        if with_tasks:
            shown["tasks"] = [self.task(task) for task in job.tasks]
        return shown

    def files(self, task: Task) -> list[dict[str, Any]]:
        """The files of a task, or those that it put elsewhere; of an `export/url` with URLs."""
        if elsewhere := (task.result or {}).get("files"):
            return list(elsewhere)
        shown: list[dict[str, Any]] = [
            {"filename": file.name, "size": file.size_bytes} for file in task.files
        ]
        if task.operation == "export/url":
            end = (task.ended_at or 0.0) + self.service.config.lifetime_seconds
            inline = bool((task.result or {}).get("inline"))
            for each, file in zip(shown, task.files, strict=True):
                each["url"] = download_url(
                    self.service, self.origin, file, expires_at=end, inline=inline
                )
        return shown

    def _result(self, task: Task) -> dict[str, Any] | None:
        if task.operation == UPLOAD and task.is_held:
            return {"form": upload_form(self.service, self.origin, task)}
        return {"files": self.files(task)} if task.status is Status.FINISHED else None


def retries_of(service: Service, task: Task) -> list[Task]:
    """The tasks that tried a task again."""
    return list_tasks(service.database, key_id=task.key_id, retry_of=task.id)


def read_page(listed: Callable[..., list[T]], page: tuple[int, int]) -> tuple[list[T], bool]:
    """A page of a list, and whether there is more behind it.

    `page` is the number of the page, from 1, and how long pages are.
    """
    number, size = page
    found = listed(page=number, per_page=size)
    # The one thing right behind the page, as a page of its own.
    return found, len(found) == size and bool(listed(page=number * size + 1, per_page=1))


def paging(request: Request, *, page: tuple[int, int], count: int, more: bool) -> dict[str, Any]:
    """The `links` and `meta` of a list: how to go on, and which `count` things these are."""
    number, size = page
    path = origin_of(request) + request.url.path
    kept = [pair for pair in request.query_params.multi_items() if pair[0] != "page"]

    def link(number: int) -> str:
        return f"{path}?{urlencode([*kept, ('page', str(number))])}"

    first = (number - 1) * size + 1
    return {
        "links": {
            "first": link(1),
            "last": None,
            "prev": link(number - 1) if number > 1 else None,
            "next": link(number + 1) if more else None,
        },
        "meta": {
            "current_page": number,
            "from": first if count else None,
            "path": path,
            "per_page": size,
            "to": first + count - 1 if count else None,
        },
    }
