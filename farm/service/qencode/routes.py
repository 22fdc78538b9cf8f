"""The methods of the API: tokens, tasks, their start and their status."""

import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from starlette.requests import Request

from farm.dialects.qencode.query import check_payload, parse_query
from farm.dialects.qencode.refusal import ErrorCode, QencodeError
from farm.service.access import origin_of, service_of
from farm.service.model import Scope
from farm.service.qencode import jobs, tus
from farm.service.qencode.answer import Form, QencodeRoute, form_of, form_schema
from farm.service.qencode.status import created_status, status_of
from farm.service.service import Service
from farm.service.tokens import TokenKind

_TOKEN_SECONDS = 24 * 3600.0
_MOST_TOKENS = 100
_TOKEN = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"[\x21-\x7e]{8,200}")

router = APIRouter(route_class=QencodeRoute, tags=["Qencode"], default_response_class=JSONResponse)

Asked = Annotated[Form, Depends(form_of)]
Running = Annotated[Service, Depends(service_of)]


@router.post("/v1/access_token", openapi_extra=form_schema("api_key"))
def access_token(form: Asked, service: Running) -> dict[str, Any]:
    """A token for the holder of an API key, good for 24 hours."""
    given = form.required("api_key")
    if not _KEY.fullmatch(given):
        raise QencodeError(ErrorCode.BAD_API_KEY, "API key is not valid")
    key = service.keys.find(given)
    if key is None:
        raise QencodeError(ErrorCode.API_KEY_NOT_FOUND, "API key not found")
    if Scope.TASK_WRITE not in key.scopes:
        raise QencodeError(ErrorCode.BAD_API_KEY, "API key has no scope task.write")
    _take(service, key.id)
    expires_at = time.time() + _TOKEN_SECONDS
    token = service.tokens.issue(TokenKind.ACCESS, key_id=key.id, expires_at=expires_at)
    expire = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return {"error": 0, "token": token, "expire": expire}


@router.post("/v1/create_task", openapi_extra=form_schema("token"))
@router.post("/v1/create_token", openapi_extra=form_schema("token"), include_in_schema=False)
def create_task(request: Request, form: Asked, service: Running) -> dict[str, Any]:
    """A task to upload a file for and to start, once."""
    key_id = _owner(service, TokenKind.ACCESS, form.required("token"))
    _take(service, key_id)
    if service.store.count_open() >= service.config.queue_tasks:
        raise jobs.busy()
    token = service.tokens.issue(
        TokenKind.TASK, key_id=key_id, expires_at=time.time() + _TOKEN_SECONDS
    )
    return {"error": 0, "upload_url": f"{origin_of(request)}{tus.PATH}", "task_token": token}


@router.post(
    "/v1/start_encode2",
    openapi_extra=form_schema("task_token", "query", payload="given back in callbacks"),
)
def start_encode2(request: Request, form: Asked, service: Running) -> dict[str, Any]:
    """Starts a task with what it is asked, `{"query": {...}}` in JSON."""
    token = form.required("task_token")
    key_id = _owner(service, TokenKind.TASK, token)
    payload = check_payload(form.first("payload"))
    query = parse_query(form.required("query"))
    origin = origin_of(request)
    jobs.start(service, query, key_id=key_id, task_token=token, payload=payload, origin=origin)
    service.tokens.drop(TokenKind.TASK, token)
    return {"error": 0, "status_url": f"{origin}/v1/status"}


@router.post("/v1/start_encode", openapi_extra=form_schema("task_token", "profiles"))
def start_encode(form: Asked, service: Running) -> dict[str, Any]:
    """Refuses: there are no profiles here."""
    _owner(service, TokenKind.TASK, form.required("task_token"))
    form.required("profiles")
    words = "There are no profiles here; use start_encode2 with a query."
    raise QencodeError(ErrorCode.BAD_PROFILE, words)


@router.post("/v1/request_templates", openapi_extra=form_schema("api_key"))
def request_templates(form: Asked) -> dict[str, Any]:
    """No templates: there are none here."""
    form.required("api_key")
    return {"error": 0, "templates": []}


@router.post("/v1/status", openapi_extra=form_schema("task_tokens"))
def status(request: Request, form: Asked, service: Running) -> dict[str, Any]:
    """How far tasks are, by their tokens: a list with commas, or the field several times."""
    given = [*form.fields.get("task_tokens", ()), *form.fields.get("task_tokens[]", ())]
    tokens = list(dict.fromkeys(token.strip() for text in given for token in text.split(",")))
    tokens = [token for token in tokens if token]
    if not tokens:
        raise QencodeError(ErrorCode.FIELD_REQUIRED, "task_tokens is required", field="task_tokens")
    if len(tokens) > _MOST_TOKENS:
        raise QencodeError(ErrorCode.BAD_TOKENS, f"task_tokens: expected at most {_MOST_TOKENS}")
    origin = origin_of(request)
    return {"error": 0, "statuses": {each: _status(service, each, origin) for each in tokens}}


def _status(service: Service, token: str, origin: str) -> dict[str, Any]:
    if _TOKEN.fullmatch(token):
        job = service.store.job(jobs.job_id_of(token))
        if job is not None:
            return status_of(service, job, origin=origin)
        if service.tokens.owner(TokenKind.TASK, token) is not None:
            return created_status(origin)
    raise QencodeError(ErrorCode.BAD_TOKENS, f"task_tokens: {token!r:.40} is no task")


def _owner(service: Service, kind: TokenKind, token: str) -> str:
    """The id of the key that a token stands for; raises QencodeError."""
    if not _TOKEN.fullmatch(token):
        raise QencodeError(ErrorCode.BAD_TOKEN, "Token is not valid")
    key_id = service.tokens.owner(kind, token)
    key = None if key_id is None else service.keys.get(key_id)
    if key is None:
        # One of the clients looks for these very words to ask for a new one.
        raise QencodeError(ErrorCode.TOKEN_NOT_FOUND, "Token not found")
    return key.id


def _take(service: Service, key_id: str) -> None:
    allowance = service.limiter.take(key_id)
    if allowance.retry_after_seconds:
        raise jobs.busy(allowance.retry_after_seconds)
