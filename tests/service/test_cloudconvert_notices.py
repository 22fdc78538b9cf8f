"""Who is told of CloudConvert's jobs, and jobs by signed addresses."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import cloudconvert
import httpx
import pytest

from tests.service.caller import client_of
from tests.service.live import FileServer, LiveServer, Received, Receiver

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

RAW = {"operation": "import/raw", "file": "abc", "filename": "a.txt"}
EXPORT = {"operation": "export/url", "input": "a"}
BAD = {"operation": "thumbnail", "input": "a", "output_format": "png"}


@pytest.fixture
def nobody() -> Iterator[httpx.Client]:
    """A client without a key."""
    with httpx.Client(trust_env=False, timeout=60) as client:
        yield client


def told(received: Received, secret: str) -> dict[str, Any]:
    """What a notice says, once its signature was found to fit."""
    signature = received.headers["cloudconvert-signature"]
    assert cloudconvert.Webhook.verify(received.body.decode(), signature, secret)
    assert received.headers["content-type"] == "application/json"
    notice: dict[str, Any] = json.loads(received.body)
    return notice


def test_webhooks(server: LiveServer, receiver: Receiver, nobody: httpx.Client) -> None:
    body = {"url": f"{receiver.url}/all", "events": ["job.created", "job.finished", "job.failed"]}
    answer = server.client.post("/v2/webhooks", json=body)
    assert answer.status_code == 201
    hook = answer.json()["data"]
    assert (hook["disabled"], hook["failing"], hook["events"]) == (False, False, body["events"])
    some = {"url": f"{receiver.url}/failed", "events": ["job.failed"]}
    other = server.client.post("/v2/webhooks", json=some).json()["data"]
    listed = server.client.get("/v2/users/me/webhooks").json()["data"]
    assert [each["id"] for each in listed] == [hook["id"], other["id"]]
    listed = server.client.get("/v2/users/me/webhooks", params={"filter[url]": some["url"]}).json()
    assert [each["id"] for each in listed["data"]] == [other["id"]]

    good = server.client.post("/v2/jobs", json={"tasks": {"a": RAW, "b": EXPORT}, "tag": "t"})
    notices = [told(each, hook["signing_secret"]) for each in receiver.wait(2, path="/all")]
    assert [each["event"] for each in notices] == ["job.created", "job.finished"]
    assert {each["job"]["id"] for each in notices} == {good.json()["data"]["id"]}
    assert notices[1]["job"]["tag"] == "t"
    file = next(task for task in notices[1]["job"]["tasks"] if task["name"] == "b")["result"]
    assert nobody.get(file["files"][0]["url"]).text == "abc"

    server.client.post("/v2/jobs", json={"tasks": {"a": RAW, "b": BAD}})
    assert receiver.wait(4, path="/all")
    (failed,) = receiver.wait(1, path="/failed")
    assert told(failed, other["signing_secret"])["event"] == "job.failed"
    for each in (hook, other):
        assert server.client.delete(f"/v2/webhooks/{each['id']}").status_code == 204
        assert server.client.delete(f"/v2/webhooks/{each['id']}").status_code == 404
    assert server.client.get("/v2/users/me/webhooks").json()["data"] == []


def test_webhooks_are_bounded(server: LiveServer) -> None:
    body = {"url": "https://example.org/", "events": ["job.failed"]}
    with client_of(server) as client:
        answers = [client.post("/v2/webhooks", json=body).status_code for _ in range(51)]
        assert answers == [201] * 50 + [422]
        listed = client.get("/v2/users/me/webhooks?per_page=20&page=3").json()
        assert (len(listed["data"]), listed["links"]["next"]) == (10, None)


def test_the_address_that_a_job_names(server: LiveServer, receiver: Receiver) -> None:
    body = {"tasks": {"a": RAW, "b": BAD}, "webhook_url": f"{receiver.url}/mine?x=1"}
    assert server.client.post("/v2/jobs", json=body).status_code == 201
    (received,) = receiver.wait(1)
    assert received.path == "/mine?x=1"
    secret = server.client.get("/v2/users/me").json()["data"]["signing_secret"]
    assert told(received, secret)["event"] == "job.failed"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "ftp://x", "events": ["job.failed"]}, "url"),
        ({"url": "http://x", "events": []}, "events"),
        ({"url": "http://x", "events": ["job.lost"]}, "events"),
        ({"url": "http://x", "events": "job.failed"}, "events"),
    ],
)
def test_webhooks_that_are_none(server: LiveServer, body: dict[str, Any], field: str) -> None:
    answer = server.client.post("/v2/webhooks", json=body)
    assert answer.status_code == 422
    assert field in answer.json()["errors"]
    assert server.client.get("/v2/users/me/webhooks").json()["data"] == []


def test_a_job_names_an_address_of_the_web(server: LiveServer) -> None:
    body = {"tasks": {"a": RAW}, "webhook_url": "file:///etc/passwd"}
    answer = server.client.post("/v2/jobs", json=body)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["webhook_url"])


def signed(server: LiveServer, job: dict[str, Any], **options: Any) -> str:
    me = server.client.get("/v2/users/me").json()["data"]
    url = cloudconvert.SignedUrl.sign(me["signed_url_base"], me["signing_secret"], job, **options)
    return str(url)


def test_signed_addresses(server: LiveServer, files: FileServer, nobody: httpx.Client) -> None:
    job = {
        "tasks": {
            "a": {"operation": "import/url", "url": files.url_of("h264-one-frame.mp4")},
            "t": {**BAD, "width": 16, "x": "\u00ff\u00fe??>>~~"},
            "b": {**EXPORT, "input": "t", "inline": True},
        }
    }
    url = signed(server, job)
    answer = nobody.get(url)
    assert answer.status_code == 302, answer.text
    picture = nobody.get(answer.headers["location"])
    assert picture.headers["content-type"] == "image/png"
    # Each address without a cache key is a job of its own.
    assert nobody.get(url).headers["location"] != answer.headers["location"]
    cached = url.replace("&s=", "&cache_key=x&s=")
    for wrong in (url[:-1] + "g", cached, url + "&x=1", url + "\u00e9"):
        assert nobody.get(wrong).status_code == 403
    base, _, query = url.partition("?")
    assert nobody.get(f"{base[:-1]}?{query}").status_code == 403


def test_signed_addresses_with_a_cache_key(server: LiveServer, nobody: httpx.Client) -> None:
    job = {"tasks": {"a": RAW, "b": EXPORT}}
    url = signed(server, job, cache_key="k1")
    found = {nobody.get(url).headers["location"].partition("?")[0] for _ in range(3)}
    assert len(found) == 1
    other = nobody.get(signed(server, job, cache_key="k2")).headers["location"]
    assert other.partition("?")[0] not in found


def test_a_signed_job_that_fails_or_is_none(server: LiveServer, nobody: httpx.Client) -> None:
    answer = nobody.get(signed(server, {"tasks": {"a": RAW, "b": BAD}}))
    assert (answer.status_code, answer.json()["code"]) == (422, "NOT_MEDIA")
    answer = nobody.get(signed(server, {"tasks": {}}))
    assert answer.json()["errors"] == {"tasks": ["The tasks field is required."]}
    assert nobody.get(signed(server, {"tasks": {"a": RAW}})).json()["data"]["status"] == "finished"


def test_base64_as_the_clients_write_it(server: LiveServer, nobody: httpx.Client) -> None:
    me = server.client.get("/v2/users/me").json()["data"]
    text = json.dumps({"tasks": {"a": RAW, "b": EXPORT}, "tag": "\u00ff>>>???~~~"}).encode()
    plain = base64.b64encode(text).decode()
    mixed = plain.rstrip("=").replace("+", "-", 1).replace("/", "_", 1)
    url = f"{me['signed_url_base']}?job={mixed}"
    signature = hmac.new(me["signing_secret"].encode(), url.encode(), hashlib.sha256).hexdigest()
    assert nobody.get(f"{url}&s={signature}").status_code == 302
