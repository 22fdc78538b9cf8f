"""The process of the service: how it starts, ends, and bears what it must."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.postgresql import PostgresServer
from tests.service.live import FileServer, LiveServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

Serve = Callable[..., LiveServer]

TASKS = 50


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


def test_a_second_server_on_the_folder_is_refused(server: LiveServer, tmp_path: Path) -> None:
    assert server.process is not None
    with pytest.raises(AssertionError) as second:
        LiveServer(tmp_path / "second", data=str(server.data)).start()
    message = str(second.value)
    assert f"another service uses {server.data}: process {server.process.pid} on " in message
    assert "Traceback" not in message
    assert server.client.get("/openapi.json").status_code == 200


def test_a_signal_ends_it_though_callers_wait(serve: Serve, files: FileServer) -> None:
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
    server.stop(signal.SIGTERM)
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


def test_it_runs_on_postgresql(serve: Serve, files: FileServer, postgresql: PostgresServer) -> None:
    url = postgresql.new_database()
    server = serve(database=url)
    made = server.client.post("/v2/jobs", json=_body(files.url_of("gray.jpg")))
    job = made.raise_for_status().json()["data"]["id"]
    assert server.client.get(f"/sync/v2/jobs/{job}").json()["data"]["status"] == "finished"
    with pytest.raises(AssertionError, match="another service uses the database"):
        LiveServer(server.folder / "second", database=url).start()
    assert not (server.data / "service.db").exists()
    server.kill()
    assert server.start().client.get(f"/v2/jobs/{job}").json()["data"]["status"] == "finished"


def test_a_port_that_is_taken_is_named(server: LiveServer, tmp_path: Path) -> None:
    second = LiveServer(tmp_path / "second")
    second.url = server.url
    with pytest.raises(AssertionError, match="address already in use"):
        second.start()
    assert "Traceback" not in second.log_text


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
