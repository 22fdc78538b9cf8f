"""CloudConvert's envelope: keys, scopes, errors, lists, limits; against a server in a process."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from farm.service.model import Scope
from tests.service.caller import RAW, client_of, create
from tests.service.live import LiveServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

UNAUTHENTICATED = {"message": "Unauthenticated.", "code": "UNAUTHENTICATED"}
INVALID = {"message": "The given data was invalid.", "code": "INVALID_DATA"}


@pytest.fixture
def own(server: LiveServer) -> Iterator[httpx.Client]:
    """A client with a key of its own, so that nobody else's tasks are listed."""
    with client_of(server) as client:
        yield client


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer farm_wrong", "Basic eDp5", "é"])
def test_who_has_no_key(server: LiveServer, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    for method, path in (
        ("GET", "jobs"),
        ("POST", "jobs"),
        ("DELETE", "tasks/1"),
        ("GET", "users/me"),
    ):
        answer = httpx.request(method, f"{server.url}/v2/{path}", headers=headers, trust_env=False)
        assert (answer.status_code, answer.json()) == (401, UNAUTHENTICATED)
        assert answer.headers["content-type"] == "application/json"


SCOPES = {
    "task.read": ["GET jobs", "GET tasks", "GET jobs/x", "GET tasks/x", "GET tasks/x/wait"],
    "task.write": [
        *("POST jobs", "POST thumbnail", "POST import/url", "POST export/url", "DELETE jobs/x"),
        *("POST tasks/x/cancel", "POST tasks/x/retry", "DELETE tasks/x"),
    ],
    "user.read": ["GET users/me"],
    "webhook.read": ["GET users/me/webhooks"],
    "webhook.write": ["POST webhooks", "DELETE webhooks/1"],
}


def test_scopes(server: LiveServer) -> None:
    for scope in SCOPES:
        with client_of(server, Scope(scope)) as client:
            for needed, routes in SCOPES.items():
                for route in routes:
                    method, path = route.split()
                    answer = client.request(method, f"/v2/{path}")
                    assert (answer.status_code == 403) == (needed != scope), (scope, route)
                    if needed != scope:
                        assert answer.json()["message"] == f"The API key lacks the scope {needed}."


def test_operations_need_no_key(server: LiveServer) -> None:
    assert httpx.get(f"{server.url}/v2/operations", trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "INVALID_JSON"),
        (b"[1]", 400, "INVALID_JSON"),
        (b'"x"', 400, "INVALID_JSON"),
        (b'{"tasks": NaN}', 400, "INVALID_JSON"),
        (b'{"tasks": 1e999}', 400, "INVALID_JSON"),
        (b'{"tag": "\\ud800"}', 400, "INVALID_JSON"),
        (b'{"tag": ' + b"[" * 100_000, 400, "INVALID_JSON"),
        (b"\xff\xfe", 400, "INVALID_JSON"),
        (b"[]", 422, "INVALID_DATA"),
        (b"", 422, "INVALID_DATA"),
    ],
)
def test_bodies_that_are_none(server: LiveServer, body: bytes, status: int, code: str) -> None:
    answer = server.client.post("/v2/jobs", content=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_job_without_tasks(server: LiveServer) -> None:
    answer = server.client.post("/v2/jobs", json={})
    assert answer.status_code == 422
    assert answer.json() == INVALID | {"errors": {"tasks": ["The tasks field is required."]}}


def test_a_wrong_request_does_nothing(own: httpx.Client) -> None:
    tasks = {
        "good": RAW,
        "bad": {"operation": "thumbnail", "input": "good", "output_format": "gif", "width": -1},
    }
    answer = own.post("/v2/jobs", json={"tasks": tasks})
    assert answer.status_code == 422
    assert answer.json()["errors"] == {
        "tasks.bad.output_format": ["Converting this file to gif is not supported."],
        "tasks.bad.width": ["The width must be at least 1."],
    }
    assert own.get("/v2/jobs").json()["data"] == []
    assert own.get("/v2/tasks").json()["data"] == []


@pytest.mark.parametrize(
    ("operation", "fields", "field"),
    [
        ("import/url", {"url": "ftp://x/y"}, "url"),
        ("import/url", {"url": "file:///etc/passwd"}, "url"),
        ("import/url", {"url": "s3://bucket/key"}, "url"),
        ("import/base64", {"file": "!", "filename": "a"}, "file"),
        ("thumbnail", {"input": str(uuid.uuid4()), "output_format": "png"}, "input"),
        ("thumbnail", {"input": "x", "output_format": "png", "engine": "synthetic"}, "engine"),
        ("export/url", {"input": "nobody"}, "input"),
        (
            "export/s3",
            {
                "input": "x",
                "bucket": "../x",
                "region": "r",
                "access_key_id": "a",
                "secret_access_key": "b",
            },
            "bucket",
        ),
    ],
)
def test_wrong_fields(
    own: httpx.Client, operation: str, fields: dict[str, Any], field: str
) -> None:
    answer = own.post(f"/v2/{operation}", json=fields)
    assert answer.status_code == 422, answer.text
    assert answer.json().keys() == {"message", "code", "errors"}
    assert list(answer.json()["errors"]) == [field]
    assert own.get("/v2/tasks").json()["data"] == []


def test_what_is_not_there(server: LiveServer, own: httpx.Client) -> None:
    theirs = create(server.client)
    job = server.client.post("/v2/jobs", json={"tasks": {"a": RAW}}).json()["data"]
    ids = [theirs["id"], str(uuid.uuid4()), "x", "x" * 300, "%00", "..%2f.."]
    for path in [f"tasks/{id}" for id in ids] + [f"jobs/{job['id']}", "jobs/x"]:
        for method in ("GET", "DELETE"):
            answer = own.request(method, f"/v2/{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), path
    assert own.post(f"/v2/tasks/{theirs['id']}/cancel").status_code == 404
    assert own.post(f"/v2/tasks/{theirs['id']}/retry").status_code == 404
    asked = {"input": theirs["id"], "output_format": "png"}
    assert own.post("/v2/thumbnail", json=asked).status_code == 422
    assert server.client.get(f"/v2/tasks/{theirs['id']}").status_code == 200
    for path in ("convert", "nothing/at/all"):
        answer = own.post(f"/v2/{path}", json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_inline_files_end_at_once(own: httpx.Client) -> None:
    task = create(own, filename="../../etc/pa\tsswd")
    assert (task["status"], task["percent"], task["credits"]) == ("finished", 100, 0)
    assert task["result"] == {"files": [{"filename": "passwd", "size": 3}]}
    assert task["payload"] == {
        "operation": "import/raw",
        "file": "***",
        "filename": "../../etc/pa\tsswd",
    }
    again = own.post(f"/v2/tasks/{task['id']}/retry")
    assert again.status_code == 201
    assert again.json()["data"]["status"] == "finished"
    assert own.delete(f"/v2/tasks/{task['id']}").status_code == 204
    assert own.get(f"/v2/tasks/{again.json()['data']['id']}").status_code == 200


def test_lists(own: httpx.Client) -> None:
    ids = [create(own)["id"] for _ in range(5)]
    job = own.post("/v2/jobs", json={"tasks": {"a": RAW, "b": RAW}, "tag": "x"}).json()["data"]
    found = own.get("/v2/tasks", params={"per_page": 3}).json()
    path = f"{str(own.base_url).rstrip('/')}/v2/tasks"
    assert found["meta"] == {"current_page": 1, "from": 1, "path": path, "per_page": 3, "to": 3}
    assert found["links"] == {
        "first": f"{path}?per_page=3&page=1",
        "last": None,
        "prev": None,
        "next": f"{path}?per_page=3&page=2",
    }
    rest = httpx.get(found["links"]["next"], headers=own.headers, trust_env=False).json()
    assert [task["id"] for task in rest["data"]] == ids[3::-1][:3]
    last = own.get("/v2/tasks", params={"per_page": 3, "page": 3}).json()
    assert (len(last["data"]), last["links"]["next"]) == (1, None)
    empty = own.get("/v2/tasks", params={"page": 9}).json()
    assert (empty["data"], empty["meta"]["from"], empty["meta"]["to"]) == ([], None, None)

    of_job = own.get("/v2/tasks", params={"filter[job_id]": job["id"]}).json()["data"]
    assert {task["name"] for task in of_job} == {"a", "b"}
    assert "depends_on_tasks" not in of_job[0]
    assert own.get("/v2/tasks?filter[status]=error").json()["data"] == []
    assert own.get("/v2/tasks?filter[operation]=thumbnail").json()["data"] == []
    (with_job,) = own.get("/v2/tasks?include=job&per_page=1").json()["data"]
    assert with_job["job"]["id"] == job["id"]


def test_lists_of_jobs(own: httpx.Client) -> None:
    jobs = [
        own.post("/v2/jobs", json={"tasks": {"a": RAW}, "tag": tag}).json()["data"]
        for tag in ("x", "y")
    ]
    assert [job["status"] for job in jobs] == ["finished", "finished"]
    found = own.get("/v2/jobs").json()["data"]
    assert [job["tag"] for job in found] == ["y", "x"]
    assert "tasks" not in found[0]
    (found,) = own.get("/v2/jobs?include=tasks&filter[tag]=x&filter[status]=finished").json()[
        "data"
    ]
    assert found["tasks"][0]["name"] == "a"
    assert own.get("/v2/jobs?filter[status]=processing").json()["data"] == []
    assert own.delete(f"/v2/jobs/{jobs[0]['id']}").status_code == 204
    assert own.get(f"/v2/jobs/{jobs[0]['id']}").status_code == 404
    assert own.get(f"/v2/tasks/{jobs[0]['tasks'][0]['id']}").status_code == 404


@pytest.mark.parametrize("query", ["page=0", "page=x", "per_page=1001", "page=1e9", "per_page=-1"])
def test_pages_that_are_none(own: httpx.Client, query: str) -> None:
    answer = own.get(f"/v2/tasks?{query}")
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [query.partition("=")[0]]


def test_slashes_and_hosts(server: LiveServer, own: httpx.Client) -> None:
    assert own.get(f"{server.url}//v2//jobs/").status_code == 200
    job = own.post("/v2/jobs/", json={"tasks": {"a": RAW}}, headers={"Host": "sync.farm.example"})
    assert job.status_code == 201
    assert job.json()["data"]["links"]["self"].startswith("http://sync.farm.example/v2/jobs/")


def test_operations(server: LiveServer) -> None:
    def listed(query: str) -> list[dict[str, Any]]:
        answer = server.client.get(f"/v2/operations?{query}")
        assert answer.json().keys() == {"data"}
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    found = listed("filter[operation]=thumbnail&filter[input_format]=mp4")
    assert [each["output_format"] for each in found] == ["png", "jpg", "webp"]
    assert {each["engine"] for each in found} == {"pyav"}
    assert not any(each["experimental"] for each in found)
    many = listed("filter[input_format]=mp4&filter[output_format]=png&alternatives=true")
    assert {each["engine"] for each in many} >= {"pyav", "decord", "nvdec"}
    assert next(each for each in many if each["engine"] == "nvdec")["experimental"]
    (named,) = listed("filter[input_format]=mp4&filter[output_format]=jpg&filter[engine]=ffmpeg")
    assert named["engine"] == "pyav"
    (shown,) = listed(
        "filter[input_format]=jpg&filter[output_format]=jpg&include=options,engine_versions"
    )
    assert {each["name"] for each in shown["options"]} >= {"width", "height", "fit", "count"}
    fit = next(each for each in shown["options"] if each["name"] == "fit")
    assert fit == {
        "name": "fit",
        "type": "enum",
        "default": "max",
        "possible_values": ["max", "crop", "scale"],
    }
    assert shown["engine_versions"][0]["default"]
    assert {each["operation"] for each in listed("")} >= {"import/url", "export/s3", "thumbnail"}
    assert listed("filter[input_format]=pdf") == []


def test_who_i_am(own: httpx.Client, server: LiveServer) -> None:
    me = own.get("/v2/users/me").json()["data"]
    assert me["username"] == "own"
    assert json.dumps(me).count(server.key) == 0
