"""What callers are told of their jobs: the requests, and the dialects that word them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from farm.service.model import Event, Job
from farm.service.webhooks import Webhook

if TYPE_CHECKING:
    from farm.service.service import Service


@dataclass(frozen=True, slots=True)
class Notice:
    """A POST request that tells of a job; `body` is sent as it is."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class NoticeModule(Protocol):
    """What a dialect says to those who want to be told."""

    def notice(
        self, service: "Service", job: Job, event: Event, webhook: Webhook | None
    ) -> Notice | None:
        """The request that tells of it; None where this event is not wanted there.

        `webhook` is None where the job itself names whom to tell, as its `notify_url`.
        """

    def undelivered(self, service: "Service", job: Job, event: Event, reason: str) -> None:
        """Notes that the job's own `notify_url` could not be told, after all tries.

        `reason` is what its server said, such as `500 Internal Server Error`, or what else failed.
        """


# By `Job.api`; loaded when there is something to tell.
_NOTICES = {
    "cloudconvert": "farm.service.cloudconvert.notices",
    "qencode": "farm.service.qencode.notices",
}


def notices_of(api: str) -> NoticeModule:
    """The notices of a dialect; raises KeyError for one that is unknown."""
    return cast(NoticeModule, import_module(_NOTICES[api]))
