"""Routes of the caller's own account: who it is, and its webhooks."""

import secrets
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from farm.dialects.cloudconvert import validate
from farm.service.access import origin_of
from farm.service.cloudconvert.answer import answer, invalid, not_found
from farm.service.cloudconvert.asking import Fields, Page, ServiceOf, filtered, holder
from farm.service.cloudconvert.creation import check_url
from farm.service.cloudconvert.rendering import paging, read_page, time_text
from farm.service.cloudconvert.schema import body_of
from farm.service.cloudconvert.signing import signed_base, signing_secret
from farm.service.model import ApiKey, Scope
from farm.service.service import Service
from farm.service.webhooks import Webhook, WebhookStore

router = APIRouter(
    prefix="/v2", tags=["CloudConvert: account"], default_response_class=JSONResponse
)

UserReader = Annotated[ApiKey, Depends(holder(Scope.USER_READ))]
HookReader = Annotated[ApiKey, Depends(holder(Scope.WEBHOOK_READ))]
HookWriter = Annotated[ApiKey, Depends(holder(Scope.WEBHOOK_WRITE))]

# Nothing is billed here; scripts that watch their credits shall go on.
_CREDITS = 1_000_000
_SECRET_BYTES = 32
_MOST_WEBHOOKS = 50


class NewWebhook(BaseModel):
    """An address to be told of the caller's jobs."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    url: str = Field(min_length=1, max_length=4096)
    events: list[Literal["job.created", "job.finished", "job.failed"]] = Field(
        min_length=1, max_length=3
    )


@router.get("/users/me")
def me(request: Request, service: ServiceOf, key: UserReader) -> Response:
    """Whose key it is, and what it signs with."""
    origin = origin_of(request)
    shown = {
        "id": key.id,
        "username": key.name,
        "email": None,
        "credits": _CREDITS,
        "created_at": time_text(key.created_at),
        "signing_secret": signing_secret(service, key.id),
        "signed_url_base": signed_base(origin, key.id),
        "links": {"self": f"{origin}/v2/users/me"},
    }
    return answer(shown, request=request)


@router.post("/webhooks", status_code=201, openapi_extra=body_of(NewWebhook))
def add_webhook(request: Request, service: ServiceOf, key: HookWriter, fields: Fields) -> Response:
    """Adds an address, whose notices are signed with the answer's `signing_secret`."""
    asked = validate(NewWebhook, fields)
    check_url(service, "url", asked.url)
    store = WebhookStore(service.database)
    if store.list(key_id=key.id, page=_MOST_WEBHOOKS, per_page=1):
        raise invalid("url", f"A key has at most {_MOST_WEBHOOKS} webhooks.")
    sealed = service.vault.seal({"secret": secrets.token_urlsafe(_SECRET_BYTES)})
    made = store.add(
        key_id=key.id, url=asked.url, events=dict.fromkeys(asked.events), sealed_secret=sealed
    )
    return answer(_shown(service, origin_of(request), made), request=request, status=201)


@router.get("/users/me/webhooks")
@router.get("/webhooks", include_in_schema=False)
def list_webhooks(request: Request, service: ServiceOf, key: HookReader, page: Page) -> Response:
    """The caller's addresses."""
    store = WebhookStore(service.database)
    listed = partial(store.list, key_id=key.id, url=filtered(request, "url"))
    found, more = read_page(listed, page)
    origin = origin_of(request)
    return answer(
        [_shown(service, origin, each) for each in found],
        request=request,
        **paging(request, page=page, count=len(found), more=more),
    )


@router.delete("/webhooks/{webhook_id}", status_code=204)
def delete_webhook(webhook_id: str, service: ServiceOf, key: HookWriter) -> Response:
    """Tells this address nothing any more."""
    number = int(webhook_id) if webhook_id.isascii() and webhook_id.isdecimal() else 0
    if number >= 2**31 or not WebhookStore(service.database).delete(number, key_id=key.id):
        raise not_found("webhook")
    return Response(status_code=204)


def _shown(service: Service, origin: str, webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "disabled": webhook.is_disabled,
        "events": list(webhook.events),
        "failing": webhook.is_failing,
        "signing_secret": service.vault.open(webhook.sealed_secret)["secret"],
        "created_at": time_text(webhook.created_at),
        "updated_at": time_text(webhook.updated_at),
        "links": {"self": f"{origin}/v2/webhooks/{webhook.id}"},
    }
