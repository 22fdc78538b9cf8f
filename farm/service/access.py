"""What routes need: the running service, and who is asking."""

from typing import cast

from starlette.requests import Request

from farm.service.model import ApiKey
from farm.service.service import Service

_SCHEME = "bearer "


def service_of(request: Request) -> Service:
    """The running service; a FastAPI dependency."""
    return cast(Service, request.app.state.service)


def key_of(request: Request) -> ApiKey | None:
    """The caller by its `Authorization: Bearer KEY`; None without one, or for an unknown one."""
    header = request.headers.get("authorization", "")
    if not header.lower().startswith(_SCHEME):
        return None
    return service_of(request).keys.find(header[len(_SCHEME) :].strip())


def origin_of(request: Request) -> str:
    """How the caller reached the service, or how the operator says that it is reached."""
    public = service_of(request).config.public_url
    return public or f"{request.url.scheme}://{request.url.netloc}"
