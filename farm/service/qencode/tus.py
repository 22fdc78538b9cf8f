"""Uploads by the tus protocol 1.0.0: in parts, resumable, also over a restart of the service."""

import asyncio
import base64
import binascii
import errno
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, Any
from weakref import WeakValueDictionary

from fastapi import APIRouter, Depends
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from farm.service.access import origin_of, service_of
from farm.service.filename import NAMELESS, safe_filename
from farm.service.qencode.jobs import job_id_of
from farm.service.service import Service
from farm.service.tokens import TokenKind
from farm.service.uploads import TooManyUploadsError, Upload, Writer

PATH = "/v1/upload_file"

_VERSION = "1.0.0"
_EXTENSIONS = "creation,expiration,termination"
_ID = re.compile(r"[0-9a-f-]{36}")
_KIND = "application/offset+octet-stream"
_MOST_UPLOADS = 10
_SILENCE_SECONDS = 60.0


class TusRefusedError(Exception):
    """A request that the protocol answers with a status of its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class TusRoute(APIRoute):
    """A route that speaks one version of the protocol, and says so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the protocol's checks before it and its headers behind it."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                # Who asks for the versions need not know one.
                if request.method != "OPTIONS":
                    _check_version(request)
                response = await handler(request)
            except TusRefusedError as error:
                response = JSONResponse({"message": str(error)}, status_code=error.status)
                if error.status == 412:
                    response.headers["Tus-Version"] = _VERSION
            response.headers["Tus-Resumable"] = _VERSION
            return response

        return handle


router = APIRouter(prefix=PATH, route_class=TusRoute, tags=["Qencode"])

Running = Annotated[Service, Depends(service_of)]


@router.options("")
@router.options("/{token}", include_in_schema=False)
@router.options("/{token}/{upload_id}", include_in_schema=False)
def capabilities(service: Running) -> Response:
    """What the server can do."""
    headers = {
        "Tus-Version": _VERSION,
        "Tus-Extension": _EXTENSIONS,
        "Tus-Max-Size": str(service.config.upload_bytes),
    }
    return Response(status_code=204, headers=headers)


@router.post("/{token}", status_code=201)
def begin(request: Request, token: str, service: Running) -> Response:
    """Begins an upload for a task that was not started yet."""
    length = _number(request, "Upload-Length")
    if length > service.config.upload_bytes:
        most = service.config.upload_bytes
        raise TusRefusedError(413, f"Upload-Length: expected at most {most} bytes")
    if service.tokens.owner(TokenKind.TASK, token) is None:
        raise TusRefusedError(404, "Token not found")
    name = _name(request.headers.get("upload-metadata", ""))
    try:
        upload = service.uploads.add(
            job_id_of(token), name=name, length_bytes=length, most=_MOST_UPLOADS
        )
    except TooManyUploadsError:
        words = f"a task has at most {_MOST_UPLOADS} uploads"
        raise TusRefusedError(403, words) from None
    location = f"{origin_of(request)}{PATH}/{token}/{upload.id}"
    return Response(status_code=201, headers={"Location": location} | _expiry(service, upload))


@router.head("/{token}/{upload_id}")
async def tell(token: str, upload_id: str, service: Running) -> Response:
    """How much of an upload is here."""
    async with _turn(upload_id):
        upload = await _find(service, token, upload_id)
    headers = {
        "Upload-Offset": str(upload.offset_bytes),
        "Upload-Length": str(upload.length_bytes),
        "Cache-Control": "no-store",
    }
    return Response(status_code=200, headers=headers | _expiry(service, upload))


@router.patch("/{token}/{upload_id}", status_code=204)
async def append(request: Request, token: str, upload_id: str, service: Running) -> Response:
    """Adds bytes to an upload, behind those that are here; keeps all that arrive."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _KIND:
        raise TusRefusedError(415, f"Content-Type: expected {_KIND}")
    offset = _number(request, "Upload-Offset")
    async with _turn(upload_id) as is_unwanted:
        upload = await _find(service, token, upload_id)
        if offset != upload.offset_bytes:
            words = f"Upload-Offset: expected {upload.offset_bytes}, received {offset}"
            raise TusRefusedError(409, words)
        try:
            async with contextmanager_in_threadpool(service.uploads.writing(upload)) as writer:
                await _receive(request, writer, is_unwanted)
        except FileNotFoundError:
            raise TusRefusedError(410, "the upload is no longer here") from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise TusRefusedError(507, "no space is left") from None
    headers = {"Upload-Offset": str(writer.offset_bytes)}
    return Response(status_code=204, headers=headers | _expiry(service, upload))


@router.delete("/{token}/{upload_id}", status_code=204)
async def end(token: str, upload_id: str, service: Running) -> Response:
    """Forgets an upload."""
    async with _turn(upload_id):
        upload = await _find(service, token, upload_id)
        await run_in_threadpool(service.uploads.remove, upload.id)
    return Response(status_code=204)


@router.post("/{token}/{upload_id}", include_in_schema=False)
async def override(request: Request, token: str, upload_id: str, service: Running) -> Response:
    """Does what `X-HTTP-Method-Override` says, for who can send nothing but GET and POST."""
    match request.headers.get("x-http-method-override", "").upper():
        case "PATCH":
            return await append(request, token, upload_id, service)
        case "HEAD":
            return await tell(token, upload_id, service)
        case "DELETE":
            return await end(token, upload_id, service)
    raise TusRefusedError(405, "expected PATCH, HEAD or DELETE")


async def _receive(request: Request, writer: Writer, is_unwanted: asyncio.Event) -> None:
    """Writes what comes, until all is here, or nothing comes, or another request takes over."""
    stream = request.stream()
    unwanted = asyncio.ensure_future(is_unwanted.wait())
    try:
        while True:
            part = asyncio.ensure_future(anext(stream, b""))
            await asyncio.wait(
                (part, unwanted), timeout=_SILENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not part.done():
                part.cancel()
                with suppress(asyncio.CancelledError):
                    await part
                words = "another request goes on" if unwanted.done() else "nothing comes any more"
                raise TusRefusedError(408, words)
            data = part.result()
            if not data:
                return
            if len(data) > writer.left_bytes:
                raise TusRefusedError(413, "more bytes than Upload-Length says")
            await run_in_threadpool(writer.write, data)
    except ClientDisconnect:
        raise TusRefusedError(400, "the connection broke") from None
    finally:
        unwanted.cancel()


class _Turn:
    """Lets one request at a time have an upload.

    Who comes later ends the one before: its connection may be dead without anybody's knowing.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._is_unwanted = asyncio.Event()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[asyncio.Event]:
        """The turn, with an event that tells when somebody else wants it."""
        self._is_unwanted.set()
        async with self._lock:
            self._is_unwanted = asyncio.Event()
            yield self._is_unwanted


# Of the event loop's thread; a turn is there for as long as somebody has or wants it.
_turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()


@asynccontextmanager
async def _turn(upload_id: str) -> AsyncIterator[asyncio.Event]:
    turn = _turns.get(upload_id)
    if turn is None:
        turn = _turns[upload_id] = _Turn()
    async with turn.taken() as is_unwanted:
        yield is_unwanted


async def _find(service: Service, token: str, upload_id: str) -> Upload:
    upload = None
    if _ID.fullmatch(upload_id):  # what is none may be no text for a database either
        upload = await run_in_threadpool(service.uploads.find, upload_id, job_id_of(token))
    if upload is None:
        raise TusRefusedError(404, "no such upload")
    return upload


def _check_version(request: Request) -> None:
    if request.headers.get("tus-resumable") != _VERSION:
        raise TusRefusedError(412, f"Tus-Resumable: expected {_VERSION}")


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise TusRefusedError(400, f"{header}: expected a number of bytes")
    return int(text)


def _name(metadata: str) -> str:
    """The file's name in `Upload-Metadata`: keys, each with its value in base64."""
    for pair in metadata.split(","):
        key, _, value = pair.strip().partition(" ")
        if key in ("filename", "name"):
            with suppress(binascii.Error, ValueError):
                return safe_filename(base64.b64decode(value).decode())
    return NAMELESS


def _expiry(service: Service, upload: Upload) -> dict[str, str]:
    at = datetime.fromtimestamp(upload.created_at + service.config.lifetime_seconds, UTC)
    return {"Upload-Expires": format_datetime(at, usegmt=True)}
