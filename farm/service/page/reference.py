"""The page at `/docs`: all routes, to read and to try, from what `/openapi.json` says.

FastAPI's own would load its scripts from elsewhere, onto the origin of the status page's cookie.
These come with the package fastapi-offline.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

router = APIRouter(include_in_schema=False)

_HEADERS = {
    # The interface sets styles on its elements, and draws pictures from its own text.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_OWN = {"start.js": ("reference.js", "text/javascript")}
_FOREIGN = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


@cache
def _foreign_folder() -> Path:
    return Path(str(files("fastapi_offline"))) / "static"


@router.get("/docs")
def show_reference() -> Response:
    """The page."""
    page = Path(__file__).parent / "templates" / "reference.html"
    return FileResponse(page, media_type="text/html", headers=_HEADERS)


@router.get("/docs/{name}")
def asset(name: str) -> Response:
    """A script or style of the page."""
    if name in _OWN:
        own, kind = _OWN[name]
        path = Path(__file__).parent / "templates" / own
    elif name in _FOREIGN:
        path, kind = _foreign_folder() / name, _FOREIGN[name]
    else:
        return Response(status_code=404)
    return FileResponse(path, media_type=kind, headers=_HEADERS)
