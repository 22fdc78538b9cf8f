"""Routes of the pages: log in and out, jobs, single tasks, and files behind the cookie."""

import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from farm.service.access import service_of
from farm.service.model import ApiKey, Scope
from farm.service.page.login import WrongTries, let_in, let_out, visitor_of
from farm.service.page.view import CLIPS, PICTURES, JobView, job_view, task_view
from farm.service.reading import file_by_id, list_jobs, list_tasks

router = APIRouter(include_in_schema=False)

_PER_PAGE = 20
_MOST_PAGES = 10_000
_MOST_FILES = 8

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'; "
        "script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_FILE_HEADERS = _HEADERS | {
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
    "Cache-Control": "private, max-age=3600",
}
_ASSETS = {"style.css": "text/css", "refresh.js": "text/javascript", "mark.svg": "image/svg+xml"}
_FOLDER = Path(__file__).parent / "templates"

_Listed = TypeVar("_Listed")
_PageNumber = Annotated[int, Query(alias="page")]


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("farm.service.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _page(name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    text = _templates().get_template(name).render(values)
    return HTMLResponse(text, status_code=status, headers=_HEADERS)


@router.get("/")
def show_jobs(request: Request, page: _PageNumber = 1) -> Response:
    """A key's jobs, the newest first."""
    key = visitor_of(request)
    if key is None:
        return _login_page()
    read = partial(list_jobs, service_of(request).database, key_id=key.id, with_tasks=True)
    return _list_page(key, read, job_view, page=page, tab="jobs")


@router.get("/page/tasks")
def show_tasks(request: Request, page: _PageNumber = 1) -> Response:
    """A key's tasks that belong to no job, the newest first."""
    key = visitor_of(request)
    if key is None:
        return _login_page()
    read = partial(list_tasks, service_of(request).database, key_id=key.id, alone=True)
    return _list_page(key, read, task_view, page=page, tab="tasks")


def _list_page(
    key: ApiKey,
    read: Callable[..., list[_Listed]],
    view: Callable[..., JobView],
    *,
    page: int,
    tab: str,
) -> Response:
    page = min(max(page, 1), _MOST_PAGES)
    found = read(page=page, per_page=_PER_PAGE)
    # The first of the next page, as a page of one.
    has_next = bool(read(page=page * _PER_PAGE + 1, per_page=1))
    now = time.time()
    jobs = [view(each, now=now, most_files=_MOST_FILES) for each in found]
    return _page("list.html", key=key, jobs=jobs, page=page, has_next=has_next, tab=tab)


@router.get("/page/jobs/{job_id}")
def show_job(request: Request, job_id: str) -> Response:
    """One job with all of its files."""
    key = visitor_of(request)
    if key is None:
        return _login_page()
    job = service_of(request).store.job(job_id)
    if job is None or job.key_id != key.id:
        return _page("missing.html", status=404, key=key, tab="")
    return _page("job.html", key=key, job=job_view(job, now=time.time()), tab="")


@router.get("/page/tasks/{task_id}")
def show_task(request: Request, task_id: str) -> Response:
    """One task on its own with all of its files."""
    key = visitor_of(request)
    if key is None:
        return _login_page()
    task = service_of(request).store.task(task_id)
    if task is None or task.key_id != key.id:
        return _page("missing.html", status=404, key=key, tab="")
    return _page("job.html", key=key, job=task_view(task, now=time.time()), tab="")


@router.get("/page/files/{file_id}")
def show_file(request: Request, file_id: str) -> Response:
    """A file of the key's: pictures and clips to be shown, all else to be saved."""
    key = visitor_of(request)
    service = service_of(request)
    file = None if key is None else file_by_id(service.database, file_id, key_id=key.id)
    path = None if file is None else service.config.data / file.path
    if file is None or path is None or not path.is_file():
        return Response(status_code=404, headers=_HEADERS)
    is_shown = file.content_type in PICTURES | CLIPS
    return FileResponse(
        path,
        media_type=file.content_type if is_shown else "application/octet-stream",
        filename=file.name,
        content_disposition_type="inline" if is_shown else "attachment",
        headers=_FILE_HEADERS,
    )


@router.get("/page/assets/{name}")
def show_asset(name: str) -> Response:
    """Style, script and mark of the pages."""
    kind = _ASSETS.get(name)
    if kind is None:
        return Response(status_code=404, headers=_HEADERS)
    headers = _HEADERS | {"Cache-Control": "no-cache"}
    return FileResponse(_FOLDER / name, media_type=kind, headers=headers)


@router.post("/login")
def log_in(request: Request, key: Annotated[str, Form()] = "") -> Response:
    """Trades a key for a cookie."""
    tries: WrongTries = request.app.state.wrong_tries
    address = request.client.host if request.client is not None else ""
    if seconds := tries.wait_seconds(address):
        words = f"Too many wrong keys. Try again in {seconds} seconds."
        return _login_page(words, status=429, **{"Retry-After": str(seconds)})
    found = service_of(request).keys.find(key.strip())
    if found is None:
        tries.note(address)
        return _login_page("This key is unknown or disabled.", status=401)
    if Scope.TASK_READ not in found.scopes:
        return _login_page("This key lacks the scope task.read, which the page needs.", status=403)
    response = RedirectResponse("/", status_code=303, headers=_HEADERS)
    let_in(request, response, found)
    return response


@router.post("/logout")
def log_out(request: Request) -> Response:
    """Takes the cookie back."""
    response = RedirectResponse("/", status_code=303, headers=_HEADERS)
    let_out(request, response)
    return response


def _login_page(error: str = "", *, status: int = 200, **headers: str) -> Response:
    page = _page("login.html", status=status, error=error)
    page.headers.update(headers)
    return page
