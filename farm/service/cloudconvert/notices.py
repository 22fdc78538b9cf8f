"""What is told of a job: to the address that it names, and to the webhooks of its key."""

import json

from farm.service.cloudconvert.rendering import Renderer
from farm.service.cloudconvert.signing import signature_of, signing_secret
from farm.service.model import Event, Job
from farm.service.notice import Notice
from farm.service.service import Service
from farm.service.webhooks import Webhook

_EVENTS = {
    Event.CREATED: "job.created",
    Event.FINISHED: "job.finished",
    Event.FAILED: "job.failed",
}
_SIGNATURE = "CloudConvert-Signature"


def notice(service: Service, job: Job, event: Event, webhook: Webhook | None) -> Notice | None:
    """The request that tells of a job; None where nobody wants to know.

    It is signed with the webhook's secret; what goes to the job's own `webhook_url`, with that of
    the job's key.
    """
    word = _EVENTS[event]
    if webhook is None:
        url = job.notify_url if event is not Event.CREATED else None
        secret = signing_secret(service, job.key_id)
    else:
        url = webhook.url if word in webhook.events else None
        secret = service.vault.open(webhook.sealed_secret)["secret"]
    if url is None:
        return None
    origin = service.config.public_url or job.payload.get("origin", "")
    body = json.dumps({"event": word, "job": Renderer(service, origin).job(job)}).encode()
    headers = {
        "Content-Type": "application/json",
        _SIGNATURE: signature_of(body, secret),
    }
    return Notice(url, body, headers)


def undelivered(service: Service, job: Job, event: Event, reason: str) -> None:
    """Nothing: the API has no word for it."""
