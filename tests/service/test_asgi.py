"""What happens to every request: one form of each path, and bodies within bounds."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from farm.service.asgi import BodyLimitMiddleware, PathMiddleware, is_sync


async def _echo(request: Request) -> JSONResponse:
    body = await request.body()
    return JSONResponse({"bytes": len(body), "sync": is_sync(request), "path": request.url.path})


def ask(method: str, path: str, **options) -> httpx.Response:
    """What the application answers."""
    routes = [Route(each, _echo, methods=["GET", "POST"]) for each in ("/v2/jobs", "/upload")]
    app = PathMiddleware(
        BodyLimitMiddleware(Starlette(routes=routes), 100, lambda path: path == "/upload")
    )

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, f"http://example.org{path}", **options)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("path", "sync"),
    [
        ("/v2/jobs", False),
        ("//v2//jobs/", False),
        ("/sync/v2/jobs", True),
        ("//sync/v2/jobs//", True),
    ],
)
def test_routes_see_one_form_of_a_path(path: str, sync: bool) -> None:
    answer = ask("GET", path)
    assert answer.status_code == 200
    assert answer.json()["sync"] is sync


def test_a_host_says_it_too() -> None:
    assert ask("GET", "/v2/jobs", headers={"Host": "sync.example.org"}).json()["sync"] is True


@pytest.mark.parametrize("size", [0, 100])
def test_a_body_within_the_bound_comes_through(size: int) -> None:
    assert ask("POST", "/v2/jobs", content=b"x" * size).json()["bytes"] == size


def test_a_body_over_the_bound_is_refused() -> None:
    answer = ask("POST", "/v2/jobs", content=b"x" * 101)
    assert answer.status_code == 413
    assert answer.json()["code"] == "PAYLOAD_TOO_LARGE"
    assert "100 bytes" in answer.json()["message"]


def test_also_where_its_length_is_not_told() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield b"x" * 60

    assert ask("POST", "/v2/jobs", content=parts()).status_code == 413


def test_uploads_bound_themselves() -> None:
    assert ask("POST", "/upload", content=b"x" * 1000).json()["bytes"] == 1000
