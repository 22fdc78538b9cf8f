"""What the service refuses: too large, too much, too often; and what no request may bring about."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.live import FileServer, LiveServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


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
    # Sound as far as it goes: nothing else may be wrong before there is too much of it.
    begin = b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\n'
    begin = begin if kind.startswith("multipart") else b"key="
    whole = narrow.client.post(path, headers=headers, content=begin + b"x" * 2001)
    parts = narrow.client.post(path, headers=headers, content=iter([begin, *[b"x" * 500] * 5]))
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


def test_no_request_that_fits_the_schema_breaks_it(server: LiveServer, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
    options = ["--checks", "not_a_server_error", "--max-examples", "3", "--seed", "1"]
    options += ["--exclude-path-regex", "/wait$"]  # they answer when something has ended
    header = ["--header", f"Authorization: Bearer {server.key}"]
    found = subprocess.run(
        [*command, *options, *header], cwd=tmp_path, capture_output=True, text=True, timeout=250
    )
    assert found.returncode == 0, found.stdout + found.stderr
