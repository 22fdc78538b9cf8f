"""CloudConvert's API as its official client uses it, against a server in a process."""

import concurrent.futures
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudconvert
import httpx
import pytest
from PIL import Image

from tests.service.live import FileServer, LiveServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

Serve = Callable[..., LiveServer]


@pytest.fixture
def client(server: LiveServer) -> Iterator[None]:
    """Points the official client at the server."""
    cloudconvert.configure(
        api_key=server.key, endpoint=server.url, sync_endpoint=f"{server.url}/sync"
    )
    return


def thumbnail(input: str | list[str], **options: Any) -> dict[str, Any]:
    return {"operation": "thumbnail", "input": input, "output_format": "png", **options}


def task_of(job: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(task for task in job["tasks"] if task["name"] == name)
    return found


def picture(url: str) -> Image.Image:
    """What is behind a URL, got without a key."""
    answer = httpx.get(url, trust_env=False).raise_for_status()
    assert answer.headers["x-content-type-options"] == "nosniff"
    return Image.open(io.BytesIO(answer.content))


def test_upload_thumbnail_and_download(client: None, files: FileServer, tmp_path: Path) -> None:
    tasks = {
        "import": {"operation": "import/upload"},
        "thumbs": thumbnail(
            "import", width=300, height=200, fit="crop", count=3, filename="t-%03d.png"
        ),
        "export": {"operation": "export/url", "input": ["thumbs"]},
    }
    job = cloudconvert.Job.create(payload={"tasks": tasks, "tag": "mine"})
    upload = task_of(job, "import")
    assert (upload["status"], upload["message"]) == ("waiting", "Waiting for upload")
    assert upload["result"]["form"]["parameters"]["max_file_count"] == 1
    assert cloudconvert.Task.upload(str(files.folder / "h264-720p.mp4"), upload)

    job = cloudconvert.Job.wait(job["id"])
    assert (job["status"], job["tag"]) == ("finished", "mine")
    thumbs = task_of(job, "thumbs")
    assert (thumbs["engine"], thumbs["percent"]) == ("pyav", 100)
    assert thumbs["depends_on_task_ids"] == [upload["id"]]
    exported = task_of(job, "export")["result"]["files"]
    assert [file["filename"] for file in exported] == ["t-001.png", "t-002.png", "t-003.png"]
    target = tmp_path / "t.png"
    assert cloudconvert.download(exported[1]["url"], str(target)) == str(target)
    with Image.open(target) as made:
        assert (made.format, made.size) == ("PNG", (300, 200))
    assert target.stat().st_size == exported[1]["size"]


def test_the_example_of_the_page(client: None, files: FileServer) -> None:
    source = cloudconvert.Task.create("import/url", {"url": files.url_of("h264-720p.mp4")})
    past = cloudconvert.Task.create("thumbnail", thumbnail(source["id"], timestamp="01:00:00"))
    assert cloudconvert.Task.wait(past["id"])["message"] == "warnings: position_past_end"
    asked = {
        "input": source["id"],
        "input_format": "mp4",
        "output_format": "png",
        "width": 300,
        "height": 200,
        "fit": "crop",
    }
    task = cloudconvert.Task.create("thumbnail", asked)
    assert task["operation"] == "thumbnail"
    assert task["status"] in ("waiting", "processing", "finished")
    assert (task["message"], task["job_id"], task["name"]) == (None, None, None)
    assert task["payload"] == {**asked, "operation": "thumbnail", "input": [source["id"]]}
    assert task["created_at"][-6:] == "+00:00"

    task = cloudconvert.Task.wait(task["id"])
    assert (task["status"], task["engine"]) == ("finished", "pyav")
    assert task["engine_version"]
    assert [file["filename"] for file in task["result"]["files"]] == ["h264-720p.png"]
    assert [each["id"] for each in task["depends_on_tasks"]] == [source["id"]]
    export = cloudconvert.Task.create("export/url", {"input": task["id"]})
    export = cloudconvert.Task.wait(export["id"])
    assert picture(export["result"]["files"][0]["url"]).size == (300, 200)


def test_what_else_the_client_asks(client: None) -> None:
    body = {"file": "abc", "filename": "a.txt"}
    task = cloudconvert.Task.create("import/raw", body)
    assert cloudconvert.Task.find(task["id"]) == cloudconvert.Task.show(task["id"])
    listed = cloudconvert.Task.all({"filter[operation]": "import/raw", "per_page": 1})
    assert [each["id"] for each in listed] == [task["id"]]
    job = cloudconvert.Job.create({"tasks": {"a": {"operation": "import/raw", **body}}})
    assert cloudconvert.Job.all({"per_page": 1})[0]["id"] == job["id"]
    for kind, id in ((cloudconvert.Task, task["id"]), (cloudconvert.Job, job["id"])):
        assert kind.delete(id)
        assert kind.find(id)["code"] == "NOT_FOUND"


SIZES = [
    ({"width": 300}, (300, 169)),
    ({"height": 90, "fit": "scale"}, (160, 90)),
    ({"width": 160, "fit": "crop"}, (160, 90)),
    ({"width": 100, "height": 100, "fit": "scale"}, (100, 100)),
    ({"width": 100, "height": 100, "fit": "crop"}, (100, 100)),
    ({"width": 100, "height": 100}, (100, 56)),
    ({"width": 4000}, (1280, 720)),
    ({"width": 1600, "height": 1600, "fit": "crop"}, (1600, 1600)),
    ({"timestamp": "00:00:01.5", "output_format": "webp", "height": "90"}, (160, 90)),
    ({"timestamp": "50%", "output_format": "jpg", "engine": "ffmpeg"}, (1280, 720)),
]


def test_sizes(client: None, server: LiveServer, files: FileServer) -> None:
    tasks: dict[str, Any] = {
        "in": {"operation": "import/url", "url": files.url_of("h264-720p.mp4")},
        "out": {"operation": "export/url", "input": [f"t{i}" for i in range(len(SIZES))]},
    }
    tasks |= {f"t{i}": thumbnail("in", **asked) for i, (asked, _) in enumerate(SIZES)}
    job = server.client.post("/sync/v2/jobs", json={"tasks": tasks}).json()["data"]
    assert job["status"] == "finished", job
    made = task_of(job, "out")["result"]["files"]
    assert [picture(file["url"]).size for file in made] == [size for _, size in SIZES]
    assert [file["filename"] for file in made][:2] == ["h264-720p.png", "h264-720p-2.png"]
    assert [picture(made[i]["url"]).format for i in (8, 9)] == ["WEBP", "JPEG"]


def test_two_imports_become_pictures_of_one_task(server: LiveServer, files: FileServer) -> None:
    tasks = {
        "a": {"operation": "import/url", "url": files.url_of("h264-720p.mp4"), "filename": "a.mp4"},
        "b": {"operation": "import/url", "url": files.url_of("vp9.webm"), "filename": "b.webm"},
        "t": thumbnail(["b", "a"], width=64, count=2),
        "zip": {"operation": "export/url", "input": "t", "archive_multiple_files": True},
    }
    answer = server.client.post("/v2/jobs", json={"tasks": tasks})
    assert answer.status_code == 201
    job = server.client.get(f"/v2/jobs/{answer.json()['data']['id']}/wait").json()["data"]
    names = [file["filename"] for file in task_of(job, "t")["result"]["files"]]
    assert names == ["b-1.png", "b-2.png", "a-1.png", "a-2.png"]
    (archive,) = task_of(job, "zip")["result"]["files"]
    assert archive["filename"] == "zip.zip"
    content = httpx.get(archive["url"], trust_env=False).content
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert opened.namelist() == names
        assert opened.testzip() is None


def test_a_failure_reaches_what_needs_it(server: LiveServer, files: FileServer) -> None:
    tasks = {
        "in": {"operation": "import/url", "url": files.url_of("text.jpg")},
        "t": thumbnail("in"),
        "out": {"operation": "export/url", "input": "t"},
    }
    job = server.client.post("/sync/v2/jobs", json={"tasks": tasks}).json()["data"]
    assert job["status"] == "error"
    failed = task_of(job, "t")
    assert (failed["status"], failed["code"], failed["result"]) == ("error", "NOT_MEDIA", None)
    assert failed["message"].startswith("text.jpg: begins with")
    behind = task_of(job, "out")
    assert (behind["code"], behind["message"]) == ("INPUT_TASK_FAILED", "Input task has failed")


def test_an_error_that_is_ignored(server: LiveServer, files: FileServer) -> None:
    tasks = {
        "bad": {
            "operation": "import/url",
            "url": files.url + "/nothing.jpg",
            "ignore_error": True,
        },
        "good": {"operation": "import/url", "url": files.url_of("h264-one-frame.mp4")},
        "t": thumbnail(["bad", "good"], width=32),
    }
    job = server.client.post("/sync/v2/jobs", json={"tasks": tasks}).json()["data"]
    assert (job["status"], task_of(job, "bad")["status"]) == ("finished", "error")
    assert task_of(job, "bad")["code"] == "SOURCE_NOT_FOUND"
    assert len(task_of(job, "t")["result"]["files"]) == 1


def test_cancel_of_a_running_task(client: None, server: LiveServer, files: FileServer) -> None:
    source = cloudconvert.Task.create("import/url", {"url": files.url_of("slow.syn")})
    task = cloudconvert.Task.create("thumbnail", thumbnail(source["id"], count=20))
    export = cloudconvert.Task.create("export/url", {"input": task["id"]})
    wait_for(lambda: cloudconvert.Task.show(task["id"])["status"] == "processing")
    assert cloudconvert.Task.cancel(task["id"])
    shown = cloudconvert.Task.wait(task["id"])
    assert (shown["status"], shown["code"]) == ("error", "CANCELLED")
    assert cloudconvert.Task.wait(export["id"])["code"] == "INPUT_TASK_FAILED"
    again = server.client.post(f"/v2/tasks/{task['id']}/cancel")
    assert again.status_code == 400
    assert again.json() == {
        "message": "The given data was invalid.",
        "code": "INVALID_DATA",
        "errors": {"status": ["Cannot change status: task already completed."]},
    }
    # Its lane is free again.
    quick = cloudconvert.Task.create("import/url", {"url": files.url_of("h264-one-frame.mp4")})
    made = cloudconvert.Task.create("thumbnail", thumbnail(quick["id"], width=16))
    assert cloudconvert.Task.wait(made["id"])["status"] == "finished"


def test_delete_of_a_running_job(server: LiveServer, files: FileServer) -> None:
    tasks = {
        "in": {"operation": "import/url", "url": files.url_of("slow.syn")},
        "t": thumbnail("in", count=20),
    }
    job = server.client.post("/v2/jobs", json={"tasks": tasks}).json()["data"]
    slow = task_of(job, "t")["id"]
    wait_for(lambda: server.client.get(f"/v2/tasks/{slow}").json()["data"]["started_at"])
    with concurrent.futures.ThreadPoolExecutor() as threads:
        waiter = threads.submit(server.client.get, f"/v2/jobs/{job['id']}/wait")
        time.sleep(0.5)
        assert server.client.delete(f"/v2/jobs/{job['id']}").status_code == 204
        assert waiter.result().status_code == 404
    wait_for(lambda: not (server.data / "files" / slow[:2] / slow).exists())


def wait_for(is_so: Callable[[], bool]) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError("it does not come about")


def test_a_task_past_its_timeout(server: LiveServer, files: FileServer) -> None:
    tasks = {
        "in": {"operation": "import/url", "url": files.url_of("slow.syn")},
        "t": thumbnail("in", count=20, timeout=2),
    }
    job = server.client.post("/sync/v2/jobs", json={"tasks": tasks}).json()["data"]
    assert task_of(job, "t")["code"] == "TIMEOUT"


def test_retry(client: None, server: LiveServer, files: FileServer) -> None:
    late = files.folder / "late.jpg"
    late.unlink(missing_ok=True)
    url = f"{files.url}/late.jpg?token=hunter2"
    task = cloudconvert.Task.create("import/url", {"url": url, "headers": {"X-Key": "hunter3"}})
    assert "hunter" not in json.dumps(task)
    task = cloudconvert.Task.wait(task["id"])
    assert task["code"] == "SOURCE_NOT_FOUND"
    late.write_bytes((files.folder / "text.jpg").read_bytes())
    answer = server.client.post(f"/v2/tasks/{task['id']}/retry")
    assert answer.status_code == 201
    again = cloudconvert.Task.wait(answer.json()["data"]["id"])
    assert (again["status"], again["retry_of_task_id"]) == ("finished", task["id"])
    shown = server.client.get(f"/v2/tasks/{task['id']}?include=retries").json()["data"]
    assert [each["id"] for each in shown["retries"]] == [again["id"]]
    gone = server.client.post(f"/v2/tasks/{again['id']}/retry")
    assert gone.status_code == 422
    assert "credentials of a finished task" in gone.text


def test_many_at_once(server: LiveServer, files: FileServer) -> None:
    url = files.url_of("h264-one-frame.mp4")

    def one(number: int) -> tuple[int, int]:
        tasks = {
            "in": {"operation": "import/url", "url": url},
            "t": thumbnail("in", width=20 + number),
            "out": {"operation": "export/url", "input": "t"},
        }
        job = server.client.post("/sync/v2/jobs", json={"tasks": tasks}).json()["data"]
        return number, picture(task_of(job, "out")["result"]["files"][0]["url"]).width

    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        assert list(threads.map(one, range(24))) == [(i, 20 + i) for i in range(24)]
