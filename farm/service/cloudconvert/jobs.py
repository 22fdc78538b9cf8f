"""Routes of jobs: to create, show, wait for, list and delete them."""

import uuid
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse

from farm.dialects.cloudconvert import OPERATIONS, parse_job
from farm.service.access import origin_of
from farm.service.asgi import is_sync
from farm.service.cloudconvert.answer import answer, not_found
from farm.service.cloudconvert.asking import (
    Creator,
    Fields,
    Included,
    Page,
    Reader,
    ServiceOf,
    Writer,
    filtered,
)
from farm.service.cloudconvert.creation import API, ENGINES, create_job
from farm.service.cloudconvert.rendering import Renderer, paging, read_page
from farm.service.cloudconvert.schema import json_body
from farm.service.cloudconvert.waiting import ended_job
from farm.service.model import ApiKey, Job
from farm.service.reading import list_jobs
from farm.service.service import Service

router = APIRouter(prefix="/v2", tags=["CloudConvert: jobs"], default_response_class=JSONResponse)

_BODY = json_body(
    {
        "type": "object",
        "required": ["tasks"],
        "properties": {
            "tasks": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {
                    "type": "object",
                    "required": ["operation"],
                    "properties": {
                        "operation": {"enum": list(OPERATIONS)},
                        "ignore_error": {"type": "boolean"},
                    },
                },
            },
            "tag": {"type": "string"},
            "webhook_url": {"type": "string"},
            "redirect": {"type": "boolean"},
        },
    }
)


@router.post("/jobs", status_code=201, openapi_extra=_BODY)
async def create(request: Request, service: ServiceOf, key: Creator, fields: Fields) -> Response:
    """Creates a job; on the sync host, answers when it has ended."""
    asked = parse_job(fields, engines=ENGINES)
    origin = origin_of(request)
    job = await run_in_threadpool(
        create_job, service, key, asked, job_id=str(uuid.uuid4()), origin=origin
    )
    # Who has to upload first must know where.
    if is_sync(request) and not any(task.is_held for task in job.tasks):
        job = await ended_job(request, service, job.id) or job
        if asked.redirect and (url := first_url(service, origin, job)):
            return RedirectResponse(url, 302)
    return answer(Renderer(service, origin).job(job), request=request, status=201)


@router.get("/jobs")
def index(
    request: Request, service: ServiceOf, key: Reader, page: Page, include: Included
) -> Response:
    """The caller's jobs, the newest first; with their tasks where these are included."""
    with_tasks = "tasks" in include
    listed = partial(
        list_jobs,
        service.database,
        key_id=key.id,
        api=API,
        status=filtered(request, "status"),
        tag=filtered(request, "tag"),
        with_tasks=with_tasks,
    )
    found, more = read_page(listed, page)
    renderer = Renderer(service, origin_of(request))
    return answer(
        [renderer.job(job, with_tasks=with_tasks) for job in found],
        request=request,
        **paging(request, page=page, count=len(found), more=more),
    )


@router.get("/jobs/{job_id}")
async def show(
    request: Request, job_id: str, service: ServiceOf, key: Reader, redirect: str = ""
) -> Response:
    """A job; on the sync host, once it has ended, or its file."""
    waits = is_sync(request)
    return await _shown(request, service, key, job_id, waits=waits, redirect=redirect)


@router.get("/jobs/{job_id}/wait")
async def wait(
    request: Request, job_id: str, service: ServiceOf, key: Reader, redirect: str = ""
) -> Response:
    """A job once it has ended."""
    return await _shown(request, service, key, job_id, waits=True, redirect=redirect)


@router.delete("/jobs/{job_id}", status_code=204)
def delete(job_id: str, service: ServiceOf, key: Writer) -> Response:
    """Forgets a job with its tasks and files."""
    job = own_job(service, key, job_id)
    service.runner.forget(service.store.delete_job(job.id))
    service.watch.ended([job.id, *(task.id for task in job.tasks)])
    return Response(status_code=204)


def own_job(service: Service, key: ApiKey, job_id: str) -> Job:
    """A job of the caller; raises ApiError for anything else."""
    job = service.store.job(job_id) if len(job_id) <= 36 and "\0" not in job_id else None
    if job is None or job.key_id != key.id or job.api != API:
        raise not_found("job")
    return job


def first_url(service: Service, origin: str, job: Job) -> str | None:
    """Where the first exported file of a job is, None where there is none."""
    renderer = Renderer(service, origin)
    for task in job.tasks:
        if task.operation == "export/url" and task.files:
            return str(renderer.files(task)[0]["url"])
    return None


async def _shown(
    request: Request, service: Service, key: ApiKey, job_id: str, *, waits: bool, redirect: str
) -> Response:
    job = await run_in_threadpool(own_job, service, key, job_id)
    if waits and not job.status.is_end:
        found = await ended_job(request, service, job.id)
        if found is None:
            raise not_found("job")
        job = found
    origin = origin_of(request)
    if waits and redirect.lower() in ("1", "true") and (url := first_url(service, origin, job)):
        return RedirectResponse(url, 302)
    return answer(Renderer(service, origin).job(job), request=request)
