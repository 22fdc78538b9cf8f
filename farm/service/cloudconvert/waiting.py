"""Lets a request wait until a task or a job has ended."""

from collections.abc import Callable

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from farm.service.cloudconvert.answer import ApiError
from farm.service.model import Job, Task
from farm.service.service import Service

# How often it is looked whether who waits is still there, and the thing too.
_LOOK_SECONDS = 10.0


async def ended_task(request: Request, service: Service, task_id: str) -> Task | None:
    """The task once it has ended; None where it was deleted."""
    await _wait(request, service, task_id, lambda: service.store.task(task_id))
    return await run_in_threadpool(service.store.task, task_id)


async def ended_job(request: Request, service: Service, job_id: str) -> Job | None:
    """The job once it has ended; None where it was deleted."""
    await _wait(request, service, job_id, lambda: service.store.job(job_id))
    return await run_in_threadpool(service.store.job, job_id)


async def _wait(
    request: Request, service: Service, id: str, look: Callable[[], Task | Job | None]
) -> None:
    def has_ended() -> bool:
        found = look()
        return found is None or found.status.is_end

    while not await service.watch.wait(id, has_ended=has_ended, timeout_seconds=_LOOK_SECONDS):
        if service.watch.is_closed:
            raise ApiError(
                503,
                "SERVICE_UNAVAILABLE",
                "The service ends and will take the task up again.",
                headers={"Retry-After": "5"},
            )
        if await request.is_disconnected():
            raise ApiError(499, "GONE", "Nobody waits any more.")
