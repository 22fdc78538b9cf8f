"""What CloudConvert's API refuses for a while or no longer has, and what a restart means to it."""

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.service.caller import RAW, client_of, create
from tests.service.live import FileServer, LiveServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that allows little, for a short while."""
    folder = tmp_path_factory.mktemp("strict")
    server = LiveServer(folder, queue_tasks=2, creations_per_minute=5, lifetime_seconds=2)
    try:
        yield server.start()
    finally:
        server.close()


def test_only_creations_are_limited(strict: LiveServer) -> None:
    with client_of(strict) as client:
        for left in (4, 3, 2, 1, 0):
            answer = client.post("/v2/import/raw", json={"file": "a", "filename": "a"})
            assert answer.headers["x-ratelimit-limit"] == "5"
            assert answer.headers["x-ratelimit-remaining"] == str(left)
        answer = client.post("/v2/jobs", json={"tasks": {"a": RAW}})
        assert (answer.status_code, answer.json()["code"]) == (429, "TOO_MANY_REQUESTS")
        assert answer.headers["x-ratelimit-remaining"] == "0"
        assert 0 < int(answer.headers["retry-after"]) <= 60
        answer = client.get("/v2/tasks")
        assert answer.status_code == 200
        assert "x-ratelimit-limit" not in answer.headers


def test_a_full_queue_says_so(strict: LiveServer, files: FileServer) -> None:
    with client_of(strict) as client:
        task = create(client, "import/url", url=files.url_of("slow.syn"))
        assert client.get(f"/v2/tasks/{task['id']}/wait").json()["data"]["status"] == "finished"
        body = {"input": task["id"], "output_format": "png", "count": 20}
        answers = [client.post("/v2/thumbnail", json=body) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert answers[2].headers["retry-after"]
        for answer in answers[:2]:
            path = f"/v2/tasks/{answer.json()['data']['id']}"
            assert client.delete(path).status_code == 204


def test_urls_expire(strict: LiveServer) -> None:
    with client_of(strict) as client:
        task = create(client)
        export = create(client, "export/url", input=task["id"])
        export = client.get(f"/v2/tasks/{export['id']}/wait").json()["data"]
        url = export["result"]["files"][0]["url"]
        assert httpx.get(url, trust_env=False).text == "abc"
        later = url.replace("expires=", "expires=9")
        assert httpx.get(later, trust_env=False).status_code == 403
        time.sleep(3)
        assert httpx.get(url, trust_env=False).status_code == 404


def test_who_waits_is_told_of_a_restart(strict: LiveServer, files: FileServer) -> None:
    with client_of(strict) as client:
        source = create(client, "import/url", url=files.url_of("slow.syn"))
        body = {"input": source["id"], "output_format": "png", "count": 20}
        answers: list[httpx.Response] = []
        waiter = threading.Thread(
            target=lambda: answers.append(client.post("/sync/v2/thumbnail", json=body))
        )
        waiter.start()
        listing = "/v2/tasks?filter[status]=processing&filter[operation]=thumbnail"
        while not (running := client.get(listing).json()["data"]):
            time.sleep(0.05)
        strict.stop()
        waiter.join()
        assert (answers[0].status_code, answers[0].headers["retry-after"]) == (503, "5")
        strict.start()
        task = client.get(f"/v2/tasks/{running[0]['id']}").json()["data"]
        assert task["status"] in ("waiting", "processing")
        assert client.delete(f"/v2/tasks/{task['id']}").status_code == 204
    assert "Traceback" not in strict.log_text
