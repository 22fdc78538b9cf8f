"""CloudConvert's API v2, as far as it has to do with thumbnails."""

from fastapi import APIRouter, FastAPI, Request

from farm.dialects.cloudconvert import InvalidRequestError
from farm.service.cloudconvert import account, jobs, operations, signed, tasks, upload
from farm.service.cloudconvert.answer import ApiError, answer_error, answer_invalid, not_found
from farm.service.cloudconvert.form import PATH

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

_rest = APIRouter()


@_rest.api_route("/v2/{path:path}", methods=_METHODS, include_in_schema=False)
def nothing(request: Request, path: str) -> None:
    """What the API has, and this service has not."""
    raise not_found(f"address {request.method} /v2/{path:.100}")


def install(app: FastAPI) -> None:
    """Adds the routes to the application."""
    for part in (jobs, tasks, account, operations, upload, signed):
        app.include_router(part.router)
    app.include_router(_rest)
    app.add_exception_handler(ApiError, answer_error)
    app.add_exception_handler(InvalidRequestError, answer_invalid)


def is_upload(path: str) -> bool:
    """Whether a path takes files, whose size its route bounds."""
    return path.startswith(PATH)
