"""Jobs by an address alone: who holds a key's secret signs them, and anybody may open them."""

import base64
import binascii
import hmac
import uuid
from urllib.parse import unquote, unquote_plus

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from sqlalchemy.exc import IntegrityError

from farm.dialects.cloudconvert import JobRequest, parse_job
from farm.service.access import origin_of, service_of
from farm.service.cloudconvert.answer import ApiError, answer, not_found
from farm.service.cloudconvert.asking import count, read_object
from farm.service.cloudconvert.creation import ENGINES, create_job
from farm.service.cloudconvert.jobs import first_url
from farm.service.cloudconvert.rendering import Renderer
from farm.service.cloudconvert.signing import (
    SIGNED_PATH,
    signature_of,
    signed_base,
    signing_secret,
)
from farm.service.cloudconvert.waiting import ended_job
from farm.service.model import ApiKey, Job, Scope, Status
from farm.service.service import Service

router = APIRouter(tags=["CloudConvert: signed addresses"])

_CACHED = uuid.UUID("5ee0c9fa-0b5c-4e43-9c6f-3d2b7f0f6a11")


@router.get(SIGNED_PATH + "{key_id}")
async def open_signed(
    request: Request, key_id: str, job: str = "", cache_key: str = "", s: str = ""
) -> Response:
    """Carries out the job in a signed address, and leads to its file.

    Addresses of one `cache_key` and job share what it made, as long as that is kept.
    """
    service = service_of(request)
    key = await run_in_threadpool(_signer, request, service, key_id)
    query = _query(request)
    asked = parse_job(read_object(_decoded(query.get("job", ""))), engines=ENGINES)
    found = await run_in_threadpool(_job, request, service, key, asked, query)
    ended = found if found.status.is_end else await ended_job(request, service, found.id)
    if ended is None:
        raise not_found("job")
    origin = origin_of(request)
    if url := first_url(service, origin, ended):
        return RedirectResponse(url, 302)
    failed = [task for task in ended.tasks if task.code is not None]
    if failed:
        raise ApiError(422, failed[0].code or "", failed[0].message or "")
    return answer(Renderer(service, origin).job(ended), request=request)


def _signer(request: Request, service: Service, key_id: str) -> ApiKey:
    """The key that an address is signed for; raises ApiError for anything else."""
    key = service.keys.get(key_id) if len(key_id) <= 36 and "\0" not in key_id else None
    raw = request.scope["query_string"].decode("latin-1")
    content, _, signature = raw.rpartition("&s=")
    base = signed_base(origin_of(request), key_id)
    # Some clients encode what is signed as it stands.
    texts = {f"{base}?{content}", f"{base}?{unquote(content)}"}
    secret = signing_secret(service, key_id)
    fits = [hmac.compare_digest(signature_of(text.encode(), secret), signature) for text in texts]
    if key is None or Scope.TASK_WRITE not in key.scopes or not any(fits):
        raise ApiError(403, "FORBIDDEN", "The signature does not fit the address.")
    return key


def _query(request: Request) -> dict[str, str]:
    """The query, in which a plus is a plus: base64 has it."""
    raw = request.scope["query_string"].decode("latin-1")
    pairs = (each.partition("=") for each in raw.split("&"))
    return {unquote_plus(name): unquote(value) for name, _, value in pairs}


def _decoded(text: str) -> bytes:
    """Base64 of either alphabet, or of a mixture, padded or not."""
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, "INVALID_JSON", "The job must be JSON in base64.") from None


def _job(
    request: Request, service: Service, key: ApiKey, asked: JobRequest, query: dict[str, str]
) -> Job:
    """The job of an address: a new one, or the one that its cache key stands for."""
    job_id = uuid.uuid4()
    if cache_key := query.get("cache_key"):
        job_id = uuid.uuid5(_CACHED, f"{key.id} {cache_key} {query['job']}")
        found = service.store.job(str(job_id))
        if found is not None and found.status is not Status.ERROR:
            return found
        if found is not None:
            service.runner.forget(service.store.delete_job(found.id))
    count(request, key)
    try:
        return create_job(service, key, asked, job_id=str(job_id), origin=origin_of(request))
    except IntegrityError:
        # Somebody else came with the same cache key at the same time.
        again = service.store.job(str(job_id))
        if again is None:
            raise
        return again
