"""Files of CloudConvert's API: uploads by form, downloads, archives, buckets."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.s3 import SECRET, S3Server
from tests.service.live import FileServer, LiveServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture
def nobody() -> Iterator[httpx.Client]:
    """A client without a key."""
    with httpx.Client(trust_env=False, timeout=60) as client:
        yield client


def waiting(server: LiveServer, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A task that waits for its upload, and the form."""
    task = server.client.post("/v2/import/upload", json=options).json()["data"]
    return task, task["result"]["form"]


def shown(server: LiveServer, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = server.client.get(f"/v2/tasks/{task_id}/wait").json()["data"]
    return task


def exported(server: LiveServer, task_id: str, **options: Any) -> dict[str, Any]:
    body = {"input": task_id, **options}
    task = server.client.post("/sync/v2/export/url", json=body).json()["data"]
    assert task["status"] == "finished", task
    file: dict[str, Any] = task["result"]["files"][0]
    return file


def raw(server: LiveServer, content: str, name: str) -> str:
    body = {"file": content, "filename": name}
    return str(server.client.post("/v2/import/raw", json=body).json()["data"]["id"])


def form(fields: dict[str, Any], file: bytes, disposition: str) -> tuple[bytes, dict[str, str]]:
    """The body and headers of a form whose file is announced by a header of our own."""
    parts = [
        f'--xx\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f"--xx\r\ncontent-disposition:{disposition}\r\n\r\n".encode()
    body = b"".join(parts) + head + file + b"\r\n--xx--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=xx"}


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('form-data;name="file";filename=my clip.mp4', "my clip.mp4"),
        ('form-data; name="file"; filename="a\\"b.mp4"', "a_b.mp4"),
        ('form-data; name="file"; filename="../../up.mp4"', "up.mp4"),
        ('form-data; name="file"; filename="C:\\\\x\\\\naïve.mp4"', "naïve.mp4"),
        ('form-data; name="file"', "file"),
        ('form-data; name="file"; filename=""', "file"),
    ],
)
def test_names_of_uploads(
    server: LiveServer, nobody: httpx.Client, disposition: str, name: str
) -> None:
    task, posted = waiting(server)
    body, headers = form(posted["parameters"], b"content", disposition)
    answer = nobody.post(posted["url"], content=body, headers=headers)
    assert (answer.status_code, answer.content) == (201, b"")
    done = shown(server, task["id"])
    assert done["result"] == {"files": [{"filename": name, "size": 7}]}
    assert nobody.get(exported(server, task["id"])["url"]).content == b"content"


def test_an_upload_in_small_pieces(server: LiveServer, nobody: httpx.Client) -> None:
    task, posted = waiting(server)
    content = bytes(range(256)) * 20_000
    body, headers = form(posted["parameters"], content, 'form-data; name="file"; filename="x"')
    pieces = (body[at : at + 4099] for at in range(0, len(body), 4099))
    assert nobody.post(posted["url"], content=pieces, headers=headers).status_code == 201
    assert nobody.get(exported(server, task["id"])["url"]).content == content


def test_of_uploads_at_once_one_wins(server: LiveServer, nobody: httpx.Client) -> None:
    task, posted = waiting(server)

    def send(number: int) -> int:
        file = bytes([number]) * 2_000_000
        fields = posted["parameters"]
        return nobody.post(posted["url"], data=fields, files={"file": file}).status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(send, range(4)))
    assert sorted(statuses) == [201, 400, 400, 400]
    content = nobody.get(exported(server, task["id"])["url"]).content
    assert content == bytes([statuses.index(201)]) * 2_000_000
    folder = server.data / "files" / task["id"][:2] / task["id"]
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"signature": "0" * 64}, 403),
        ({"signature": "é"}, 403),
        ({"expires": "99999999999"}, 403),
        ({"max_file_size": "99999999999999"}, 403),
        ({"max_file_count": None}, 403),
        ({"expires": None}, 403),
    ],
)
def test_parameters_must_be_those_of_the_form(
    server: LiveServer, nobody: httpx.Client, changes: dict[str, str | None], status: int
) -> None:
    task, posted = waiting(server)
    fields = posted["parameters"] | changes
    sent = {name: value for name, value in fields.items() if value is not None}
    answer = nobody.post(posted["url"], data=sent, files={"file": b"x"})
    assert answer.status_code == status
    shown = server.client.get(f"/v2/tasks/{task['id']}").json()["data"]
    assert shown["status"] == "waiting"
    assert nobody.post(posted["url"], data=posted["parameters"], files={"file": b"x"}).is_success


def test_forms_that_cannot_be_taken(server: LiveServer, nobody: httpx.Client) -> None:
    _, posted = waiting(server)
    url, fields = posted["url"], posted["parameters"]
    no_file, headers = form(fields, b"", 'form-data; name="other"')
    assert nobody.post(url, content=no_file, headers=headers).status_code == 422
    file_first, headers = form({}, b"x", 'form-data; name="file"; filename="x"')
    assert nobody.post(url, content=file_first, headers=headers).status_code == 403
    cut, headers = form(fields, b"x" * 100, 'form-data; name="file"; filename="x"')
    assert nobody.post(url, content=cut[:-50], headers=headers).status_code in (400, 422)
    assert nobody.post(url, content=b"", headers=headers).status_code in (400, 422)
    assert nobody.post(url, json=fields).status_code == 422
    assert nobody.post(url, data=fields | {"x": "y" * 20_000}).status_code in (400, 422)
    for path in (f"{server.url}/upload/{uuid.uuid4()}", f"{server.url}/upload/x%00"):
        assert nobody.post(path, data=fields, files={"file": b"x"}).status_code == 404
    assert nobody.post(url, data=fields, files={"file": b"x"}).status_code == 201
    twice = nobody.post(url, data=fields, files={"file": b"x"})
    assert (twice.status_code, twice.json()["code"]) == (400, "INVALID_DATA")


def test_uploads_are_bounded(server: LiveServer, nobody: httpx.Client, serve: Any) -> None:
    small = serve(upload_bytes=1000, inline_bytes=500)
    task, posted = waiting(small, redirect="https://example.org/done")
    assert posted["parameters"]["max_file_size"] == 1000
    fields = posted["parameters"]
    answer = nobody.post(posted["url"], data=fields, files={"file": b"x" * 1001})
    assert answer.status_code == 413
    folder = small.data / "files" / task["id"][:2] / task["id"]
    assert list(folder.iterdir()) == []
    answer = nobody.post(posted["url"], data=fields, files={"file": b"x" * 1000})
    assert (answer.status_code, answer.headers["location"]) == (303, "https://example.org/done")
    assert small.client.post("/v2/jobs", json={"tag": "x" * 600}).status_code == 413


def test_downloads(server: LiveServer, nobody: httpx.Client) -> None:
    task = raw(server, "0123456789", 'r\u00e9sum\u00e9 "1";.txt')
    file = exported(server, task)
    assert file == {"filename": "r\u00e9sum\u00e9 _1_;.txt", "size": 10, "url": file["url"]}
    answer = nobody.get(file["url"])
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=utf-8''r%C3%A9sum%C3%A9%20_1_%3B.txt"
    )
    assert answer.headers["content-security-policy"].endswith("sandbox")
    part = nobody.get(file["url"], headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.text) == (206, "234")
    assert part.headers["content-range"] == "bytes 2-4/10"
    assert nobody.get(file["url"], headers={"Range": "bytes=20-"}).status_code == 416
    head = nobody.head(file["url"])
    assert (head.headers["content-length"], head.content) == ("10", b"")
    assert nobody.get(file["url"].replace("inline=0", "inline=1")).status_code == 403
    assert nobody.get(file["url"][:-1] + "x").status_code == 403
    # An export keeps its files when its input is deleted.
    server.client.delete(f"/v2/tasks/{task}")
    assert nobody.get(file["url"]).text == "0123456789"


def test_only_pictures_and_videos_are_shown_inline(
    server: LiveServer, nobody: httpx.Client, files: FileServer
) -> None:
    page = raw(server, "<script>alert(1)</script>", "page.html")
    answer = nobody.get(exported(server, page, inline=True)["url"])
    assert answer.headers["content-disposition"].startswith("attachment")
    body = {"url": files.url_of("h264-one-frame.mp4")}
    video = server.client.post("/sync/v2/import/url", json=body).json()["data"]
    answer = nobody.get(exported(server, video["id"], inline="1")["url"])
    assert answer.headers["content-disposition"].startswith("inline")
    assert answer.headers["content-type"] == "video/mp4"


def test_the_sync_host_leads_to_the_file(server: LiveServer, nobody: httpx.Client) -> None:
    tasks = {
        "a": {"operation": "import/raw", "file": "abc", "filename": "a.txt"},
        "b": {"operation": "export/url", "input": "a"},
    }
    answer = server.client.post("/sync/v2/jobs", json={"tasks": tasks, "redirect": True})
    assert answer.status_code == 302
    assert nobody.get(answer.headers["location"]).text == "abc"
    job = server.client.get("/v2/jobs").json()["data"][0]
    answer = server.client.get(f"/sync/v2/jobs/{job['id']}?redirect=true")
    assert nobody.get(answer.headers["location"]).text == "abc"
    assert server.client.get(f"/v2/jobs/{job['id']}?redirect=true").status_code == 200


def s3_fields(s3_server: S3Server, **fields: Any) -> dict[str, Any]:
    uri = s3_server.new_bucket()
    return {
        "bucket": uri.rpartition("@")[2],
        "region": "us-east-1",
        "endpoint": s3_server.endpoint,
        "access_key_id": "AKIAEXAMPLE",
        "secret_access_key": SECRET,
        **fields,
    }


def test_buckets(server: LiveServer, s3_server: S3Server, nobody: httpx.Client) -> None:
    place = s3_fields(s3_server)
    tasks = {
        "a": {"operation": "import/raw", "file": "first", "filename": "a.txt"},
        "b": {"operation": "import/raw", "file": "second", "filename": "b.txt"},
        "out": {
            "operation": "export/s3",
            "input": ["a", "b"],
            "key": "made/file-%02d.txt",
            "acl": "public-read",
            "metadata": {"made-by": "tests"},
            "tagging": [],
            "cache_control": "max-age=60",
            **place,
        },
    }
    answer = server.client.post("/sync/v2/jobs", json={"tasks": tasks})
    assert SECRET not in answer.text
    out = next(task for task in answer.json()["data"]["tasks"] if task["name"] == "out")
    assert out["status"] == "finished", out
    assert out["result"]["files"] == [
        {"filename": "file-01.txt", "dir": "made", "size": 5},
        {"filename": "file-02.txt", "dir": "made", "size": 6},
    ]
    assert out["payload"]["secret_access_key"] == out["payload"]["access_key_id"] == "***"
    stored = nobody.get(f"{s3_server.endpoint}/{place['bucket']}/made/file-01.txt")
    assert (stored.text, stored.headers["cache-control"]) == ("first", "max-age=60")
    assert stored.headers["x-amz-meta-made-by"] == "tests"

    one = {"key": "made/file-02.txt", **place}
    task = server.client.post("/sync/v2/import/s3", json=one).json()["data"]
    assert task["result"] == {"files": [{"filename": "file-02.txt", "size": 6}]}
    many = {"key_prefix": "made/", **place}
    task = server.client.post("/sync/v2/import/s3", json=many).json()["data"]
    assert [file["filename"] for file in task["result"]["files"]] == ["file-01.txt", "file-02.txt"]
    missing = {"key": "made/file-03.txt", **place}
    task = server.client.post("/sync/v2/import/s3", json=missing).json()["data"]
    assert task["code"] == "SOURCE_NOT_FOUND"
    assert SECRET not in json.dumps(task)


def test_no_secret_is_stored_or_logged(server: LiveServer, s3_server: S3Server) -> None:
    secret = f"hunter-{uuid.uuid4()}"
    place = s3_fields(s3_server, secret_access_key=secret, session_token=f"{secret}-token")
    url = f"http://user:{secret}@127.0.0.1:1/x?signature={secret}"
    tasks = {
        "a": {"operation": "import/s3", "key": "x", **place},
        "b": {"operation": "import/url", "url": url, "headers": {"Authorization": secret}},
        "c": {"operation": "export/s3", "input": ["a", "b"], **place},
    }
    answer = server.client.post("/sync/v2/jobs", json={"tasks": tasks})
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["status"] == "error"
    assert secret not in answer.text
    assert secret not in server.log_text
    kept = [path for path in server.data.rglob("*") if path.is_file()]
    assert any(path.name == "service.db" for path in kept)
    assert not any(secret.encode() in path.read_bytes() for path in kept)
