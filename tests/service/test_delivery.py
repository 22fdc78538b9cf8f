"""The courier: what is told, in which order, how often, and what becomes of who does not answer."""

import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from farm.service import notice as notices
from farm.service.config import ServiceConfig
from farm.service.delivery import Courier, Notice
from farm.service.model import Event, Job, NewJob, NewTask, deliveries
from farm.service.policy import AddressPolicy
from farm.service.post import send
from farm.service.service import Service
from farm.service.transition import Ending
from farm.service.webhooks import Webhook, WebhookStore
from tests.service.live import Receiver

PAUSES = (0.2, 0.3, 0.4)


class _NoCluster:
    """Deliveries need none."""

    def close(self) -> None:
        """Nothing to let go of."""


class _Words:
    """A dialect that says little, and keeps what could not be told."""

    def __init__(self) -> None:
        self.undelivered_reasons: list[tuple[str, Event, str]] = []

    def notice(
        self, service: Service, job: Job, event: Event, webhook: Webhook | None
    ) -> Notice | None:
        if job.tag == "broken":
            raise ValueError("s3cr3t")
        if webhook is not None:
            if event not in webhook.events:
                return None
            return Notice(webhook.url, f"{job.tag} {event}".encode(), {"X-Secret": "yes"})
        assert job.notify_url is not None
        return Notice(job.notify_url, f"{job.tag} {event}".encode())

    def undelivered(self, service: Service, job: Job, event: Event, reason: str) -> None:
        self.undelivered_reasons.append((job.tag or "", event, reason))


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> _Words:
    words = _Words()
    monkeypatch.setitem(sys.modules, "words_of_test", words)
    monkeypatch.setitem(notices._NOTICES, "test", "words_of_test")
    return words


@pytest.fixture
def config(tmp_path: Path) -> ServiceConfig:
    return ServiceConfig(data=tmp_path / "data", policy=AddressPolicy(allow_hosts=("127.0.0.1",)))


@pytest.fixture
def open_service(config: ServiceConfig, words: _Words) -> Iterator[Callable[[], Service]]:
    opened: list[Service] = []

    def open_one() -> Service:
        opened.append(Service.open(config, _NoCluster))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for service in opened:
        service.close()


@pytest.fixture
def service(open_service: Callable[[], Service]) -> Service:
    return open_service()


@pytest.fixture
def courier(service: Service) -> Iterator[Courier]:
    courier = Courier(service, pauses_seconds=PAUSES)
    courier.start()
    yield courier
    courier.close()


def _end_job(service: Service, tag: str, *, url: str | None = None, code: str | None = None) -> str:
    """A job that begins and ends at once, with what it has to tell in the table."""
    job, task = str(uuid.uuid4()), str(uuid.uuid4())
    new = NewTask(task, "import/url", {})
    service.store.add_job(NewJob(job, "test", tag=tag, notify_url=url), [new], key_id="k")
    service.store.end(task, Ending(code))
    return job


def _webhook(service: Service, url: str, *events: Event) -> Webhook:
    chosen = events or tuple(Event)
    return WebhookStore(service.database).add(
        key_id="k", url=url, events=chosen, sealed_secret=service.vault.seal({"secret": "s"})
    )


def _left(service: Service) -> int:
    with service.database.read() as connection:
        return connection.scalar(select(func.count()).select_from(deliveries)) or 0


def _until(holds: Callable[[], bool], *, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)


def test_a_job_tells_its_own_url(service: Service, courier: Courier, receiver: Receiver) -> None:
    _end_job(service, "a", url=f"{receiver.url}/done?x=1")
    courier.wake()
    told = receiver.wait(2)
    assert [each.body for each in told] == [b"a created", b"a finished"]
    assert {each.path for each in told} == {"/done?x=1"}
    assert told[0].headers["user-agent"].startswith("thumbfarm/")
    _until(lambda: _left(service) == 0)


def test_webhooks_get_the_events_that_they_want(
    service: Service, courier: Courier, receiver: Receiver
) -> None:
    _webhook(service, f"{receiver.url}/all")
    _webhook(service, f"{receiver.url}/failed", Event.FAILED)
    _end_job(service, "good")
    _end_job(service, "bad", code="OPEN_FAILED")
    courier.wake()
    assert [each.body for each in receiver.wait(1, path="/failed")] == [b"bad failed"]
    bodies = {each.body for each in receiver.wait(4, path="/all")}
    assert bodies == {b"good created", b"good finished", b"bad created", b"bad failed"}
    assert receiver.wait(1)[0].headers["x-secret"] == "yes"
    _until(lambda: _left(service) == 0)


def test_a_failure_is_tried_again_and_holds_back_what_follows(
    service: Service, courier: Courier, receiver: Receiver
) -> None:
    receiver.answer(500, 503)
    webhook = _webhook(service, f"{receiver.url}/")
    _end_job(service, "a")
    courier.wake()
    told = receiver.wait(4)
    assert [each.body for each in told] == [b"a created"] * 3 + [b"a finished"]
    assert told[1].at - told[0].at >= PAUSES[0]
    assert told[2].at - told[1].at >= PAUSES[1]
    _until(lambda: _left(service) == 0)
    kept = WebhookStore(service.database).get(webhook.id)
    assert kept is not None
    assert not kept.is_failing


def test_it_is_given_up_after_three_more_tries(
    service: Service, courier: Courier, receiver: Receiver, words: _Words
) -> None:
    receiver.answer(500, 500, 500, 500)
    _end_job(service, "a", url=f"{receiver.url}/")
    courier.wake()
    told = receiver.wait(5)
    assert [each.body for each in told] == [b"a created"] * 4 + [b"a finished"]
    assert words.undelivered_reasons == [("a", Event.CREATED, "500 Internal Server Error")]


def test_a_webhook_that_fails_is_noted_until_it_works(
    service: Service, courier: Courier, receiver: Receiver
) -> None:
    store = WebhookStore(service.database)
    webhook = _webhook(service, f"{receiver.url}/", Event.FINISHED)
    receiver.answer(404)
    _end_job(service, "a")
    courier.wake()
    _until(lambda: store.get(webhook.id).is_failing)
    assert len(receiver.wait(1)) == 1  # what the receiver refuses is not repeated
    _end_job(service, "b")
    courier.wake()
    _until(lambda: not store.get(webhook.id).is_failing)


def test_gone_ends_a_webhook(service: Service, courier: Courier, receiver: Receiver) -> None:
    webhook = _webhook(service, f"{receiver.url}/")
    receiver.answer(410)
    _end_job(service, "a")
    courier.wake()
    _until(lambda: _left(service) == 0)
    assert [each.body for each in receiver.wait(1)] == [b"a created"]
    kept = WebhookStore(service.database).get(webhook.id)
    assert kept is not None
    assert kept.is_disabled
    _end_job(service, "b")
    assert _left(service) == 0


def test_a_slow_receiver_holds_up_nobody_else(
    service: Service, courier: Courier, receiver: Receiver
) -> None:
    slow = Receiver()
    try:
        slow.answer(*[200] * 40, after_seconds=1.0)
        for number in range(20):
            _end_job(service, f"slow {number}", url=f"{slow.url}/")
        courier.wake()
        slow.wait(2)
        began = time.monotonic()
        _end_job(service, "fast", url=f"{receiver.url}/")
        courier.wake()
        receiver.wait(2, timeout_seconds=5)
        assert time.monotonic() - began < 5
        assert _left(service) > 20
    finally:
        courier.close()
        slow.close()


def test_deliveries_survive_a_restart(
    open_service: Callable[[], Service], receiver: Receiver
) -> None:
    first = open_service()
    courier = Courier(first, pauses_seconds=(0.1,))
    receiver.answer(200, after_seconds=2.0)
    _end_job(first, "a", url=f"{receiver.url}/")
    courier.start()
    receiver.wait(1)
    courier.close()  # while the receiver is still thinking
    assert _left(first) == 2
    first.close()
    second = open_service()
    courier = Courier(second, pauses_seconds=(0.1,))
    courier.start()
    try:
        bodies = [each.body for each in receiver.wait(3)]
        assert bodies == [b"a created", b"a created", b"a finished"]
    finally:
        courier.close()


def test_a_notice_that_cannot_be_worded_costs_itself_only(
    service: Service, courier: Courier, receiver: Receiver, words: _Words, caplog
) -> None:
    _end_job(service, "broken", url=f"{receiver.url}/")
    _end_job(service, "good", url=f"{receiver.url}/")
    courier.wake()
    receiver.wait(2)
    _until(lambda: _left(service) == 0)
    reasons = {reason for _, _, reason in words.undelivered_reasons}
    assert reasons == {"internal error: ValueError"}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://10.0.0.1/", "not public"),
        ("http://127.0.0.1:9/", "connection failed: ConnectError"),
        ("file:///etc/passwd", "expected a URL"),
        ("s3://bucket/key", "connection failed"),
        ("http://[", "expected a URL"),
    ],
)
def test_what_cannot_be_told_says_why(config: ServiceConfig, url: str, reason: str) -> None:
    answer = send(Notice(url, b""), config.policy, check=lambda: None)
    assert not answer.is_taken
    assert reason in answer.reason


def test_redirects_are_not_followed(config: ServiceConfig, receiver: Receiver) -> None:
    receiver.answer(307)
    answer = send(Notice(f"{receiver.url}/", b"x"), config.policy, check=lambda: None)
    assert (answer.status, answer.is_taken, answer.may_pass) == (307, False, False)


def test_an_answer_is_not_waited_for_forever(config: ServiceConfig, receiver: Receiver) -> None:
    receiver.answer(200, after_seconds=3.0)
    began = time.monotonic()
    notice = Notice(f"{receiver.url}/", b"x")
    answer = send(notice, config.policy, check=lambda: None, answer_seconds=1.0)
    assert time.monotonic() - began < 2.5
    assert (answer.status, answer.may_pass) == (None, True)
    assert answer.reason == "no answer within 1 s"
