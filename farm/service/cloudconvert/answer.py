"""Answers in CloudConvert's envelope, and its errors."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from farm.dialects.cloudconvert import InvalidRequestError

INVALID_MESSAGE = "The given data was invalid."


class ApiError(Exception):
    """A request that is answered with an error."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        errors: Mapping[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.errors = errors
        self.headers = dict(headers or {})


def unauthenticated() -> ApiError:
    """No key, or one that is none."""
    return ApiError(401, "UNAUTHENTICATED", "Unauthenticated.")


def not_found(what: str = "resource") -> ApiError:
    """Something that is not there, or not the caller's."""
    return ApiError(404, "NOT_FOUND", f"The {what} was not found.")


def invalid(field: str, sentence: str, *, status: int = 422) -> ApiError:
    """A field that is wrong."""
    return ApiError(status, "INVALID_DATA", INVALID_MESSAGE, errors={field: [sentence]})


def answer(data: object, *, request: Request, status: int = 200, **beside: object) -> JSONResponse:
    """The envelope around some data; `beside` are further members of it."""
    return JSONResponse({"data": data, **beside}, status_code=status, headers=_headers(request))


def answer_error(request: Request, error: Exception) -> JSONResponse:
    """The answer to an ApiError; an exception handler."""
    assert isinstance(error, ApiError)
    body: dict[str, Any] = {"message": str(error), "code": error.code}
    if error.errors is not None:
        body["errors"] = dict(error.errors)
    headers = _headers(request) | error.headers
    return JSONResponse(body, status_code=error.status, headers=headers)


def answer_invalid(request: Request, error: Exception) -> JSONResponse:
    """The answer to an InvalidRequestError; an exception handler."""
    assert isinstance(error, InvalidRequestError)
    return answer_error(
        request, ApiError(422, "INVALID_DATA", INVALID_MESSAGE, errors=error.errors)
    )


def _headers(request: Request) -> dict[str, str]:
    """What the limiter says, where it was asked."""
    return dict(getattr(request.state, "allowance_headers", {}))
