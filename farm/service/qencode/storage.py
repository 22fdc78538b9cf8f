"""Temporary storage: files of outputs that name no destination, by signed addresses.

The signature is part of the path and is for the output's whole folder, so that what a WebVTT file
names is found beside it.
"""

import time
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from farm.service.access import service_of
from farm.service.model import StoredFile, files
from farm.service.reading import file_of
from farm.service.service import Service

PATH = "/v1/storage"
_FILE = PATH + "/{task_id}/{output}/{expires}/{signature}/{name}"

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


@router.get(_FILE, response_model=None)
@router.head(_FILE, response_model=None, include_in_schema=False)
def stored(
    request: Request, task_id: str, output: str, expires: str, signature: str, name: str
) -> Response:
    """A file of an output by its signed address, whole or in ranges."""
    service = service_of(request)
    if not service.signer.is_signed(signature, _PURPOSE, task_id, output, expires):
        return _refusal(403, "The signature does not fit the address.")
    file = _find(service, task_id, int(output), name) if int(expires) >= time.time() else None
    path = None if file is None else service.config.data / file.path
    if file is None or path is None or not path.is_file():
        return _refusal(404, "The file is no longer here.")
    return FileResponse(
        path,
        media_type=file.content_type,
        filename=file.name,
        content_disposition_type="inline",
        headers=_HEADERS,
    )


def _find(service: Service, task_id: str, output: int, name: str) -> StoredFile | None:
    if "\0" in name:  # no text for some databases
        return None
    asked = select(files).where(files.c.task_id == task_id, files.c.name == name)
    with service.database.read() as connection:
        found = map(file_of, connection.execute(asked).mappings().all())
    return next((file for file in found if file.facts.get("output") == output), None)


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status_code=status)
