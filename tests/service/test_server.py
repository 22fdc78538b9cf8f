"""The process of the service: how it starts, ends, and bears what it must."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.service.live import FileServer, LiveServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

Serve = Callable[..., LiveServer]

TASKS = 50


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with little room."""
    folder = tmp_path_factory.mktemp("narrow")
    server = LiveServer(folder, inline_bytes=2000, queue_tasks=6, creations_per_minute=8)
    yield server.start()
    server.close()


def _body(source: str, **options: Any) -> dict[str, Any]:
    """A job of three tasks, by CloudConvert's API."""
    picture = {"operation": "thumbnail", "input": "get", "output_format": "jpg", "width": 48}
    return {
        "tasks": {
            "get": {"operation": "import/url", "url": source},
            "picture": picture | options,
            "give": {"operation": "export/url", "input": "picture"},
        }
    }


def _jobs(client: httpx.Client, ids: list[str]) -> list[dict[str, Any]]:
    """The jobs as they are now, in one request."""
    listed = client.get("/v2/jobs", params={"include": "tasks", "per_page": 100})
    found = {job["id"]: job for job in listed.raise_for_status().json()["data"]}
    return [found[each] for each in ids]


def _until_ended(client: httpx.Client, ids: list[str], *, seconds: float) -> list[dict[str, Any]]:
    deadline = time.monotonic() + seconds
    while True:
        jobs = _jobs(client, ids)
        if all(job["status"] in ("finished", "error") for job in jobs):
            return jobs
        assert time.monotonic() < deadline, Counter(job["status"] for job in jobs)
        time.sleep(0.3)


def test_it_describes_its_routes(server: LiveServer) -> None:
    schema = server.client.get("/openapi.json").raise_for_status().json()
    assert schema["info"]["title"] == "thumbfarm"


def test_a_second_server_on_the_folder_is_refused(narrow: LiveServer) -> None:
    assert narrow.process is not None
    with pytest.raises(AssertionError) as second:
        LiveServer(narrow.folder / "second", data=str(narrow.data)).start()
    message = str(second.value)
    assert f"another service uses {narrow.data}: process {narrow.process.pid} on " in message
    assert "Traceback" not in message
    assert narrow.client.get("/openapi.json").status_code == 200


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v2/jobs", "application/json"),
        ("/v1/start_encode2", "application/x-www-form-urlencoded"),
        ("/login", "application/x-www-form-urlencoded"),
        ("/login", "multipart/form-data; boundary=x"),
    ],
)
def test_bodies_are_bounded(narrow: LiveServer, path: str, kind: str) -> None:
    headers = {"Content-Type": kind}
    whole = narrow.client.post(path, headers=headers, content=b"x" * 2001)
    parts = narrow.client.post(path, headers=headers, content=iter([b"x" * 500] * 5))
    for answer in (whole, parts):
        assert answer.status_code == 413
        assert answer.json()["code"] == "PAYLOAD_TOO_LARGE"


def test_what_waits_and_what_is_created_is_bounded(narrow: LiveServer, files: FileServer) -> None:
    body = _body(files.url_of("slow.syn"), count=8)
    with narrow.client_of(narrow.new_key("busy")) as client:
        answers = [client.post("/v2/jobs", json=body) for _ in range(3)]
        assert [each.status_code for each in answers] == [201, 201, 429]
        assert int(answers[2].headers["retry-after"]) > 0
        for made in answers[:2]:
            client.delete(f"/v2/jobs/{made.json()['data']['id']}").raise_for_status()
        more = [client.post("/v2/jobs", json=_body(files.url_of("gray.jpg"))) for _ in range(9)]
        assert more[-1].status_code == 429
        assert more[-1].headers["x-ratelimit-remaining"] == "0"
        assert 0 < int(more[-1].headers["retry-after"]) <= 60
        assert client.get("/v2/jobs").status_code == 200  # reading is not counted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_though_callers_wait(serve: Serve, files: FileServer, number: int) -> None:
    server = serve()
    made = server.client.post("/v2/jobs", json=_body(files.url_of("slow.syn"), count=60))
    job = made.raise_for_status().json()["data"]["id"]
    ends: list[str] = []

    def wait() -> None:
        try:
            ends.append(str(server.client.get(f"/sync/v2/jobs/{job}").status_code))
        except httpx.TransportError as error:
            ends.append(type(error).__name__)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(1)
    began = time.monotonic()
    server.stop(number)
    assert time.monotonic() - began < 30
    waiting.join()
    assert len(ends) == 1
    assert "Traceback" not in server.log_text


def test_what_ran_when_it_was_killed_is_taken_up(
    serve: Serve, files: FileServer, tmp_path: Path
) -> None:
    recipe = b'FARMSYN1 {"width": 64, "height": 48, "seconds": 4, "sleep": 0.3}\n'
    (files.folder / "brief.syn").write_bytes(recipe)
    body = _body(files.url_of("brief.syn"), count=2)
    server = serve(concurrency=48)
    made = [server.client.post("/v2/jobs", json=body) for _ in range(TASKS - 1)]
    made.append(server.client.post("/v2/jobs", json=_body(files.url_of("text.jpg"))))
    ids = [each.raise_for_status().json()["data"]["id"] for each in made]
    for done in (5, 20):
        _until_done(server.client, ids, count=done)
        _kill_the_process_alone(server)
        server.start()
    jobs = _until_ended(server.client, ids, seconds=150)
    assert [job["status"] for job in jobs] == ["finished"] * (TASKS - 1) + ["error"]
    for job in jobs[:-1]:
        (task,) = [task for task in job["tasks"] if task["name"] == "give"]
        for file in task["result"]["files"]:
            picture = server.client.get(file["url"]).raise_for_status().content
            assert picture[:3] == b"\xff\xd8\xff"
    assert "Traceback" not in server.log_text


def _until_done(client: httpx.Client, ids: list[str], *, count: int) -> None:
    """Waits until some have ended, and others are under way."""
    deadline = time.monotonic() + 120
    while True:
        words = Counter(job["status"] for job in _jobs(client, ids))
        if words["finished"] >= count:
            assert words["processing"] > 0
            return
        assert time.monotonic() < deadline, words
        time.sleep(0.1)


def _kill_the_process_alone(server: LiveServer) -> None:
    """SIGKILL; what it started has to end by itself."""
    assert server.process is not None
    family = psutil.Process(server.process.pid).children(recursive=True)
    assert len(family) >= 3
    server.process.kill()
    server.process.wait()
    _, left = psutil.wait_procs(family, timeout=60)
    assert left == []


def test_no_request_that_fits_the_schema_breaks_it(server: LiveServer, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
    options = ["--checks", "not_a_server_error", "--max-examples", "6", "--seed", "1"]
    options += ["--exclude-path-regex", "/wait$"]  # they answer when something has ended
    header = ["--header", f"Authorization: Bearer {server.key}"]
    found = subprocess.run(
        [*command, *options, *header], cwd=tmp_path, capture_output=True, text=True, timeout=250
    )
    assert found.returncode == 0, found.stdout + found.stderr
