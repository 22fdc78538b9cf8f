"""Routes of tasks: to create, show, wait for, list, cancel, retry and delete them."""

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from farm.dialects.cloudconvert import OPERATIONS, parse_task
from farm.service.access import origin_of
from farm.service.asgi import is_sync
from farm.service.cloudconvert.answer import answer, invalid, not_found
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
from farm.service.cloudconvert.creation import ENGINES, create_task, retry_task
from farm.service.cloudconvert.rendering import Renderer, paging, read_page
from farm.service.cloudconvert.schema import body_of
from farm.service.cloudconvert.waiting import ended_task
from farm.service.model import ApiKey, Task
from farm.service.reading import list_tasks
from farm.service.service import Service

router = APIRouter(prefix="/v2", tags=["CloudConvert: tasks"], default_response_class=JSONResponse)

_COMPLETED = "Cannot change status: task already completed."


@router.get("/tasks")
def index(
    request: Request, service: ServiceOf, key: Reader, page: Page, include: Included
) -> Response:
    """The caller's tasks, the newest first."""
    listed = partial(
        list_tasks,
        service.database,
        key_id=key.id,
        operations=OPERATIONS,
        job_id=filtered(request, "job_id"),
        status=filtered(request, "status"),
        operation=filtered(request, "operation"),
    )
    found, more = read_page(listed, page)
    renderer = Renderer(service, origin_of(request))
    full = include & {"retries", "depends_on_tasks", "job"}
    shown = [renderer.full_task(task, full) if full else renderer.task(task) for task in found]
    return answer(
        shown,
        request=request,
        **paging(request, page=page, count=len(found), more=more),
    )


@router.get("/tasks/{task_id}")
async def show(
    request: Request, task_id: str, service: ServiceOf, key: Reader, include: Included
) -> Response:
    """A task; on the sync host, once it has ended."""
    return await _shown(request, service, key, task_id, include, waits=is_sync(request))


@router.get("/tasks/{task_id}/wait")
async def wait(
    request: Request, task_id: str, service: ServiceOf, key: Reader, include: Included
) -> Response:
    """A task once it has ended."""
    return await _shown(request, service, key, task_id, include, waits=True)


@router.post("/tasks/{task_id}/cancel")
def cancel(request: Request, task_id: str, service: ServiceOf, key: Writer) -> Response:
    """Ends a task that waits or runs."""
    task = own_task(service, key, task_id)
    if not service.runner.cancel(task.id):
        raise invalid("status", _COMPLETED, status=400)
    shown = Renderer(service, origin_of(request)).full_task(own_task(service, key, task_id))
    return answer(shown, request=request)


@router.post("/tasks/{task_id}/retry", status_code=201)
def retry(request: Request, task_id: str, service: ServiceOf, key: Creator) -> Response:
    """Creates the same task once more, on its own."""
    made = retry_task(service, key, own_task(service, key, task_id))
    shown = Renderer(service, origin_of(request)).full_task(made)
    return answer(shown, request=request, status=201)


@router.delete("/tasks/{task_id}", status_code=204)
def delete(task_id: str, service: ServiceOf, key: Writer) -> Response:
    """Forgets a task with its files; those that wait for it fail."""
    task = own_task(service, key, task_id)
    changes = service.store.delete_task(task.id)
    service.runner.forget([task.id])
    service.runner.settle(changes)
    return Response(status_code=204)


def own_task(service: Service, key: ApiKey, task_id: str) -> Task:
    """A task of the caller; raises ApiError for anything else."""
    task = service.store.task(task_id) if len(task_id) <= 36 and "\0" not in task_id else None
    if task is None or task.key_id != key.id or task.operation not in OPERATIONS:
        raise not_found("task")
    return task


async def _shown(
    request: Request,
    service: Service,
    key: ApiKey,
    task_id: str,
    include: frozenset[str],
    *,
    waits: bool,
) -> Response:
    task = await run_in_threadpool(own_task, service, key, task_id)
    if waits and not task.status.is_end:
        found = await ended_task(request, service, task.id)
        if found is None:
            raise not_found("task")
        task = found
    renderer = Renderer(service, origin_of(request))
    return answer(await run_in_threadpool(renderer.full_task, task, include), request=request)


def _add_creation(operation: str) -> None:
    """The route that creates tasks of an operation."""
    model = OPERATIONS[operation]

    async def create(
        request: Request, service: ServiceOf, key: Creator, fields: Fields
    ) -> Response:
        asked = parse_task(operation, fields, engines=ENGINES)
        name = str(fields.get("name") or "").replace("\0", "")[:255] or None
        task = await run_in_threadpool(create_task, service, key, asked, name=name)
        if is_sync(request) and not task.is_held:
            task = await ended_task(request, service, task.id) or task
        renderer = Renderer(service, origin_of(request))
        shown = await run_in_threadpool(renderer.full_task, task)
        return answer(shown, request=request, status=201)

    router.add_api_route(
        f"/{operation}",
        create,
        methods=["POST"],
        status_code=201,
        name=f"create_{operation.replace('/', '_')}",
        summary=(model.__doc__ or "").strip(),
        openapi_extra=body_of(model),
    )


for _operation in OPERATIONS:
    _add_creation(_operation)
