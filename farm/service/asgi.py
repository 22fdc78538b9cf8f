"""What is done to every request before a route sees it: its path, and the size of its body."""

import contextlib
import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SLASHES = re.compile("/{2,}")
_SYNC = "/sync/v2/"


class PathMiddleware:
    """Lets routes see one form of each path.

    Clients double slashes and add some at the end. The host that answers when a job has ended is
    the path prefix `/sync/v2`, or a Host that begins with `sync.`: `is_sync` tells of it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = _SLASHES.sub("/", scope["path"])
            path = path.rstrip("/") or "/"
            headers = dict(scope["headers"])
            waits = headers.get(b"host", b"").startswith(b"sync.")
            if path.startswith(_SYNC):
                path, waits = path.removeprefix("/sync"), True
            state = scope.setdefault("state", {})
            scope = {**scope, "path": path, "state": {**state, "waits": waits}}
        await self._app(scope, receive, send)


def is_sync(request: Request) -> bool:
    """Whether the caller wants the answer when the job or task has ended."""
    return bool(getattr(request.state, "waits", False))


class BodyLimitMiddleware:
    """Refuses bodies over a size with 413, told or not; `is_upload` paths bound themselves."""

    def __init__(self, app: ASGIApp, most_bytes: int, is_upload: Callable[[str], bool]) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._is_upload = is_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_upload(scope["path"]):
            await self._app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > self._most_bytes:
            await self._refuse(scope, receive, send)
            return
        received = 0
        has_begun = False

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most_bytes:
                raise BodyTooLargeError
            return message

        async def noticed(message: Message) -> None:
            nonlocal has_begun
            # Frameworks catch what is raised above, and have an answer of their own to it.
            if has_begun or received <= self._most_bytes:
                has_begun = True
                await send(message)

        with contextlib.suppress(BodyTooLargeError):
            await self._app(scope, bounded, noticed)
        if received > self._most_bytes and not has_begun:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = f"The body has more than the {self._most_bytes} bytes that are allowed."
        answer = JSONResponse({"message": message, "code": "PAYLOAD_TOO_LARGE"}, status_code=413)
        await answer(scope, receive, send)


class BodyTooLargeError(Exception):
    """The body is over the bound."""
