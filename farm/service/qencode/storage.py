"""Temporary storage: files of outputs that name no destination, by signed addresses.

The signature is part of the path and is for the output's whole folder, so that what a WebVTT file
names is found beside it.
"""

import time
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from farm.service.access import service_of
from farm.service.service import Service

PATH = "/v1/storage"

_PURPOSE = "qencode output"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
    "Cache-Control": "private, max-age=3600",
    # Players read WebVTT files and tiles from pages of other origins; the address is the secret.
    "Access-Control-Allow-Origin": "*",
}

router = APIRouter(tags=["Qencode"])


def file_url(
    service: Service, origin: str, *, task_id: str, output: int, name: str, expires_at: float
) -> str:
    """Where anybody gets a file of an output until `expires_at`."""
    expires = int(expires_at)
    signature = service.signer.sign(_PURPOSE, task_id, output, expires)
    return f"{origin}{PATH}/{task_id}/{output}/{expires}/{signature}/{quote(name, safe='')}"


@router.api_route(
    PATH + "/{task_id}/{output}/{expires}/{signature}/{name}",
    methods=["GET", "HEAD"],
    response_model=None,
)
def stored(
    request: Request, task_id: str, output: str, expires: str, signature: str, name: str
) -> Response:
    """A file of an output by its signed address, whole or in ranges."""
    service = service_of(request)
    if not service.signer.is_signed(signature, _PURPOSE, task_id, output, expires):
        return _refusal(403, "The signature does not fit the address.")
    task = service.store.task(task_id) if int(expires) >= time.time() else None
    for file in task.files if task is not None else ():
        path = service.config.data / file.path
        if (str(file.facts.get("output")), file.name) == (output, name) and path.is_file():
            return FileResponse(
                path,
                media_type=file.content_type,
                filename=file.name,
                content_disposition_type="inline",
                headers=_HEADERS,
            )
    return _refusal(404, "The file is no longer here.")


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status_code=status)
