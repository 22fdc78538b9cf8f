"""How requests are read and answered: forms in, JSON out, status 200 whatever happens."""

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from farm.dialects.qencode.refusal import ErrorCode, QencodeError
from farm.service.asgi import BodyTooLargeError

_MOST_FIELDS = 1000

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form; one may come several times."""

    fields: Mapping[str, Sequence[str]]

    def first(self, name: str) -> str:
        """The first value of a field; empty where it is absent."""
        return next(iter(self.fields.get(name, ())), "")

    def required(self, name: str) -> str:
        """The value of a field; raises QencodeError where it is absent or empty."""
        if not (value := self.first(name)):
            raise QencodeError(ErrorCode.FIELD_REQUIRED, f"{name} is required", field=name)
        return value


async def form_of(request: Request) -> Form:
    """The form that a request brings, in either encoding; what is none has no fields."""
    fields: dict[str, list[str]] = {}
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        try:
            async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
                for name, value in form.multi_items():
                    if isinstance(value, str):
                        fields.setdefault(name, []).append(value)
        except HTTPException:
            return Form({})
        return Form(fields)
    text = (await request.body()).decode(errors="replace")
    try:
        return Form(parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        return Form({})


def form_schema(*required: str, **optional: str) -> dict[str, Any]:
    """What OpenAPI says of a form: the required fields, and others with a description each."""
    fields = {name: {"type": "string"} for name in required}
    more = {name: {"type": "string", "description": words} for name, words in optional.items()}
    schema = {"type": "object", "required": list(required), "properties": fields | more}
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def refusal(error: QencodeError) -> JSONResponse:
    """An error in the API's own words."""
    body: dict[str, Any] = {"error": error.code.value, "message": str(error)}
    headers = {}
    if error.field is not None:
        body["field"] = error.field
    if error.retry_after_seconds is not None:
        body["retry_after"] = error.retry_after_seconds
        headers["Retry-After"] = str(error.retry_after_seconds)
    return JSONResponse(body, headers=headers)


class QencodeRoute(APIRoute):
    """A route whose errors are answers, as the API's clients expect them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, which raises nothing."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except QencodeError as error:
                return refusal(error)
            except BodyTooLargeError:
                raise
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it
            except Exception:
                # The API has a code for defects; its clients give up on any status but 200.
                _logger.exception("%s failed", request.url.path)
                words = "internal error"
                return refusal(QencodeError(ErrorCode.SERVER_INTERNAL, words))

        return handle
