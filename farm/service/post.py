"""Sends one notice: a single request to an address that the policy admits, in bounded time."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import httpx

import farm
from farm.errors import InvalidEntryError
from farm.service.connect import Resolve, resolve, web_client
from farm.service.notice import Notice
from farm.service.policy import AddressPolicy, AddressRefusedError
from farm.service.transfer import Stopwatch, Terms, TransferTimeError

ANSWER_SECONDS = 20.0
_AGENT = f"thumbfarm/{farm.__version__}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a notice: a status, None where none came, and words for people."""

    status: int | None
    reason: str
    may_pass: bool = False

    @property
    def is_taken(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_unwelcome(self) -> bool:
        """Whether the receiver wants no more of them."""
        return self.status == HTTPStatus.GONE


def send(
    notice: Notice,
    policy: AddressPolicy,
    *,
    check: Callable[[], None],
    answer_seconds: float = ANSWER_SECONDS,
    resolve: Resolve = resolve,
) -> Answer:
    """What the receiver answers; its words are not read, and redirects are not followed.

    `check` is called about twice a second; what it raises breaks the request off.
    """
    terms = Terms(most_bytes=0, total_seconds=answer_seconds, check=check)
    watch = Stopwatch(terms)
    headers = {"User-Agent": _AGENT, "Accept": "*/*", **notice.headers}
    try:
        policy.check_url(notice.url)
        with (
            web_client(policy, watch=watch, resolve=resolve) as client,
            client.stream("POST", notice.url, content=notice.body, headers=headers) as response,
        ):
            return _answer_of(response.status_code)
    except (InvalidEntryError, AddressRefusedError) as error:
        return Answer(None, str(error))
    except TransferTimeError:
        return Answer(None, f"no answer within {answer_seconds:g} s", may_pass=True)
    except httpx.InvalidURL:
        return Answer(None, "the URL cannot be read")
    except httpx.TransportError as error:
        # The words of libraries may quote the request.
        return Answer(None, f"connection failed: {type(error).__name__}", may_pass=True)


def _answer_of(status: int) -> Answer:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return Answer(status, f"{status} {phrase}".strip(), may_pass=status >= 500)
