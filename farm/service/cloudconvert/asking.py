"""Who asks, what they may do, and what they send: dependencies of the routes."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from farm.service.access import key_of, service_of
from farm.service.cloudconvert.answer import ApiError, invalid, unauthenticated
from farm.service.model import ApiKey, Scope
from farm.service.service import Service

MOST_PER_PAGE = 1000
_MOST_PAGE = 1_000_000

ServiceOf = Annotated[Service, Depends(service_of)]


def holder(scope: Scope) -> Callable[[Request], ApiKey]:
    """A dependency: the caller's key, which has the scope."""

    def find(request: Request) -> ApiKey:
        key = key_of(request)
        if key is None:
            raise unauthenticated()
        if scope not in key.scopes:
            raise ApiError(403, "FORBIDDEN", f"The API key lacks the scope {scope.value}.")
        return key

    return find


Reader = Annotated[ApiKey, Depends(holder(Scope.TASK_READ))]
Writer = Annotated[ApiKey, Depends(holder(Scope.TASK_WRITE))]


def creator(request: Request, key: Writer) -> ApiKey:
    """A dependency: a key that may create one more job or task."""
    count(request, key)
    return key


def count(request: Request, key: ApiKey) -> None:
    """Counts a creation of a key; raises ApiError past what it may within a minute."""
    allowance = service_of(request).limiter.take(key.id)
    request.state.allowance_headers = allowance.headers
    if allowance.retry_after_seconds:
        raise too_many(allowance.retry_after_seconds)


def too_many(seconds: int) -> ApiError:
    """The caller, or all of them, ask for more than there is; later there may be."""
    return ApiError(
        429, "TOO_MANY_REQUESTS", "Too Many Attempts.", headers={"Retry-After": str(seconds)}
    )


Creator = Annotated[ApiKey, Depends(creator)]


async def fields_of(request: Request) -> dict[str, Any]:
    """A dependency: the object in the body; an empty body is an empty one."""
    return await run_in_threadpool(read_object, await request.body())


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object that databases and answers can hold; raises ApiError for anything else."""
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
        # Neither half characters nor numbers without end, which JSON has no words for.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise ApiError(400, "INVALID_JSON", "The body is not valid JSON.") from None
    if found == []:  # PHP writes an empty object so
        return {}
    if not isinstance(found, dict):
        raise ApiError(400, "INVALID_JSON", "The body must be a JSON object.")
    return found


Fields = Annotated[dict[str, Any], Depends(fields_of)]


def page_of(request: Request) -> tuple[int, int]:
    """A dependency: which page of a list, and how long pages are."""
    found = []
    for name, default, most in (("page", 1, _MOST_PAGE), ("per_page", 100, MOST_PER_PAGE)):
        text = request.query_params.get(name) or str(default)
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and 0 < int(text) <= most):
            words = name.replace("_", " ")
            raise invalid(name, f"The {words} must be an integer from 1 to {most}.")
        found.append(int(text))
    return found[0], found[1]


Page = Annotated[tuple[int, int], Depends(page_of)]


def included(request: Request) -> frozenset[str]:
    """A dependency: what the query asks to be included."""
    words = request.query_params.get("include", "").split(",")
    return frozenset(word.strip() for word in words)


Included = Annotated[frozenset[str], Depends(included)]


def filtered(request: Request, name: str) -> str | None:
    """The value of `filter[name]` of the query, None where there is none."""
    return request.query_params.get(f"filter[{name}]", "").replace("\0", "") or None
