"""What Qencode's API answers to whoever may not, or asks for what cannot be."""

import json
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.service.live import FileServer, LiveServer
from tests.service.qencode_caller import Caller

SECRET = "s3cr3t-value"
THUMBNAIL = {"output": "thumbnail", "width": 64}


@pytest.fixture
def caller(server: LiveServer) -> Caller:
    return Caller(server)


def test_access_tokens(caller: Caller, server: LiveServer) -> None:
    answer = caller.call("access_token", api_key=server.key)
    assert re.fullmatch("[0-9a-f]{32}", answer["token"])
    expire = datetime.strptime(answer["expire"], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    left = expire - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    task = caller.call("create_task", token=answer["token"])
    assert task["upload_url"] == f"{server.url}/v1/upload_file"
    assert re.fullmatch("[0-9a-f]{32}", task["task_token"])
    # As the published page names it; and as clients write paths.
    for path in ("/v1/create_token", "//v1/create_task", "/v1/create_task/"):
        url = f"{server.url}{path}"
        again = server.client.post(url, data={"token": answer["token"]}).json()
        assert (again["error"], len(again["task_token"])) == (0, 32)
    files = {"token": (None, answer["token"])}
    assert server.client.post("/v1/create_task", files=files).json()["error"] == 0


@pytest.mark.parametrize(
    ("method", "fields", "error", "message"),
    [
        ("access_token", {}, 14, "api_key is required"),
        ("access_token", {"api_key": ""}, 14, "api_key is required"),
        ("access_token", {"api_key": "x"}, 2, "API key is not valid"),
        ("access_token", {"api_key": "farm_" + "é" * 40}, 2, "API key is not valid"),
        ("access_token", {"api_key": "farm_" + "x" * 40}, 3, "API key not found"),
        ("create_task", {}, 14, "token is required"),
        ("create_task", {"token": "nope"}, 4, "Token is not valid"),
        ("create_task", {"token": "0" * 32}, 5, "Token not found"),
        ("start_encode2", {"query": "{}"}, 14, "task_token is required"),
        ("start_encode2", {"task_token": "x", "query": "{}"}, 4, "Token is not valid"),
        ("start_encode2", {"task_token": "0" * 32}, 5, "Token not found"),
        ("start_encode", {"task_token": "0" * 32}, 5, "Token not found"),
        ("status", {}, 14, "task_tokens is required"),
        ("status", {"task_tokens": ","}, 14, "task_tokens is required"),
        ("status", {"task_tokens": "x"}, 13, "task_tokens: 'x' is no task"),
        ("status", {"task_tokens": "0" * 32}, 13, f"task_tokens: '{'0' * 32}' is no task"),
        ("status", {"task_tokens": ",".join(map(str, range(101)))}, 13, "task_tokens: expected"),
        ("request_templates", {}, 14, "api_key is required"),
    ],
)
def test_refusals(
    caller: Caller, method: str, fields: dict[str, str], error: int, message: str
) -> None:
    answer = caller.call(method, **fields)
    assert (answer["error"], answer["message"][: len(message)]) == (error, message)
    assert ("field" in answer) == (error == 14)


def test_profiles_and_templates(caller: Caller, server: LiveServer) -> None:
    answer = caller.call("start_encode", task_token=caller.new_task(), profiles="a", uri="b")
    assert answer["error"] == 11
    assert "start_encode2" in answer["message"]
    answer = caller.call("request_templates", api_key=server.key)
    assert answer == {"error": 0, "templates": []}


def test_a_key_needs_its_scope(caller: Caller, server: LiveServer) -> None:
    answer = caller.call("access_token", api_key=server.new_key("reader", "task.read"))
    assert (answer["error"], answer["message"]) == (2, "API key has no scope task.write")


def test_tokens_are_for_one_purpose(caller: Caller, files: FileServer) -> None:
    access, task = caller.access_token(), caller.new_task()
    assert caller.call("create_task", token=task)["error"] == 5
    assert caller.start(access, THUMBNAIL, source=files.url_of("vp9.webm"))["error"] == 5
    assert caller.call("status", task_tokens=access)["error"] == 13


def test_a_task_starts_once(caller: Caller, files: FileServer, server: LiveServer) -> None:
    first, second = caller.new_task(), caller.new_task()
    assert caller.status(first)["status"] == "created"
    source = files.url_of("vp9.webm")
    assert caller.start(first, THUMBNAIL, source=source, payload="x" * 1001)["error"] == 9
    assert caller.start(first, source=source)["error"] == 19
    assert caller.start(first, THUMBNAIL, source=source, payload="x" * 1000)["error"] == 0
    again = caller.start(first, THUMBNAIL, source=source)
    assert (again["error"], again["message"]) == (5, "Token not found")
    assert caller.wait(first)["status"] == "completed"
    listed = {"task_tokens[]": [first, second]}
    answer = server.client.post("/v1/status", data=listed).json()
    assert {name: each["status"] for name, each in answer["statuses"].items()} == {
        first: "completed",
        second: "created",
    }
    assert caller.call("status", task_tokens=f"{first}, {'0' * 32}")["error"] == 13


def test_of_many_starts_one_counts(caller: Caller, files: FileServer) -> None:
    token, source = caller.new_task(), files.url_of("vp9.webm")
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(caller.start, token, THUMBNAIL, source=source) for _ in range(8)]
    assert sorted(answer.result()["error"] for answer in answers) == [0] + 7 * [5]
    assert len(caller.wait(token)["images"]) == 1


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        ({"source": "ftp://a/b"}, 19, "source: expected a URL by"),
        ({"source": "nowhere"}, 19, "source: expected a URL"),
        ({"source": "http://"}, 19, "source: expected a URL"),
        ({"source": f"s3://KEY:{SECRET}@"}, 19, "source: expected s3://"),
        ({"source": "s3://host/bucket/key"}, 19, "source: expected a key and a secret"),
        ({"callback_url": "s3://a/b"}, 19, "callback_url: expected a URL by http"),
        ({"callback_url": "http://"}, 19, "callback_url: expected a URL with a host"),
        ({"destination": f"s3://KEY:{SECRET}@x"}, 19, "format[0].destination[0]: expected a b"),
        ({"destination": {"url": "s3://h/b/k"}}, 19, "destination[0]: expected a key and a"),
        ({"destination": {"url": "ftp://h/b/k"}}, 19, "destination[0]: expected s3://"),
        (
            {"destination": {"url": f"s3://K:{SECRET}@h/bucket/k", "permissions": "all"}},
            19,
            "format[0].destination[0]: acl",
        ),
    ],
)
def test_queries_that_cannot_be(
    caller: Caller, query: dict[str, Any], error: int, words: str
) -> None:
    asked = THUMBNAIL | {name: query[name] for name in query if name == "destination"}
    rest = {name: query[name] for name in query if name != "destination"}
    fields = {"source": "https://example.org/a.mp4"} | rest
    answer = caller.start(caller.new_task(), asked, **fields)
    assert answer["error"] == error
    assert words in answer["message"]
    assert SECRET not in json.dumps(answer)


def test_the_least_that_is_wrong_is_no_failure_of_the_server(
    caller: Caller, server: LiveServer
) -> None:
    token = caller.new_task()
    bodies: list[tuple[bytes, str]] = [
        (b"\xff\xfe\x00", "application/x-www-form-urlencoded"),
        (b"a" * 100, "multipart/form-data; boundary=x"),
        (b"--x\r\n", "multipart/form-data"),
        (b"&".join([b"a=1"] * 2000), "application/x-www-form-urlencoded"),
        (json.dumps({"task_token": token}).encode(), "application/json"),
        (f"task_token={token}&query=%00".encode(), "application/x-www-form-urlencoded"),
        (f"task_token={token}&payload=%00&query=1".encode(), "application/x-www-form-urlencoded"),
    ]
    for body, kind in bodies:
        answer = server.client.post(
            "/v1/start_encode2", content=body, headers={"Content-Type": kind}
        )
        assert answer.status_code == 200, (body, answer.text)
        assert answer.json()["error"] in (9, 14, 19)


def test_callers_that_leave_are_no_failure(server: LiveServer) -> None:
    # The fixture looks for tracebacks in the log.
    host, port = server.url.removeprefix("http://").split(":")
    for path in ("/v1/status", "/v1/upload_file/x/y"):
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n"
            connection.sendall(f"{head}task_".encode())
    assert server.client.post("/v1/status").status_code == 200


def test_bodies_have_a_bound(server: LiveServer) -> None:
    def body():
        for _ in range(17):
            yield b"a" * (1 << 20)

    for content in (b"a" * (17 << 20), body()):
        answer = server.client.post("/v1/start_encode2", content=content)
        assert answer.status_code == 413


def test_too_much_is_told_to_come_back(serve: Callable[..., LiveServer]) -> None:
    caller = Caller(serve(creations_per_minute=3, queue_tasks=2))
    token, task = caller.access_token(), caller.new_task()
    busy = caller.call("create_task", token=token)
    assert busy["error"] == 8
    assert 0 < busy["retry_after"] <= 60
    place = {"url": "s3://h/bucket/k", "key": "k", "secret": "s"}
    asked = THUMBNAIL | {"destination": place}
    answer = caller.start(task, asked, source="https://example.org/a.mp4")
    assert (answer["error"], answer["retry_after"]) == (8, 15)
    # The task is still there to be started.
    assert caller.status(task)["status"] == "created"
