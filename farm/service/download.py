"""Signed addresses of stored files: who has one needs no API key, until it expires."""

import time
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from farm.service.access import service_of
from farm.service.model import StoredFile
from farm.service.reading import file_by_id
from farm.service.service import Service

router = APIRouter(tags=["Files"])

# What a browser may show on our origin without running anything that it holds.
_SHOWN = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"})
_SHOWN_KINDS = ("video/", "audio/")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
    "Cache-Control": "private, max-age=3600",
}
_PURPOSE = "file"


def download_url(
    service: Service, origin: str, file: StoredFile, *, expires_at: float, inline: bool = False
) -> str:
    """Where anybody gets a file until `expires_at`; `inline`: to be shown, not saved."""
    expires = int(expires_at)
    signature = service.signer.sign(_PURPOSE, file.id, expires, int(inline))
    query = f"expires={expires}&inline={int(inline)}&signature={signature}"
    return f"{origin}/download/{file.id}/{quote(file.name, safe='')}?{query}"


@router.get("/download/{file_id}/{name}", response_model=None)
@router.head("/download/{file_id}/{name}", response_model=None, include_in_schema=False)
def download(
    request: Request,
    file_id: str,
    name: str,
    expires: str = "",
    inline: str = "0",
    signature: str = "",
) -> Response:
    """A file by its signed address, whole or in ranges; `name` is for whoever saves it."""
    service = service_of(request)
    if not service.signer.is_signed(signature, _PURPOSE, file_id, expires, inline):
        return _refusal(403, "FORBIDDEN", "The signature does not fit the address.")
    file = file_by_id(service.database, file_id)
    path = None if file is None else service.config.data / file.path
    if int(expires) < time.time() or file is None or path is None or not path.is_file():
        return _refusal(404, "NOT_FOUND", "The file is no longer here.")
    kind = file.content_type or "application/octet-stream"
    is_shown = inline == "1" and (kind in _SHOWN or kind.startswith(_SHOWN_KINDS))
    return FileResponse(
        path,
        media_type=kind,
        filename=file.name,
        content_disposition_type="inline" if is_shown else "attachment",
        headers=_HEADERS,
    )


def _refusal(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"message": message, "code": code}, status_code=status)
