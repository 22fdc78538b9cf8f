"""Uploads by tus: in pieces, over broken connections and restarts, and what is refused."""

import base64
import hashlib
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.lanes import wait_until
from tests.service.live import FileServer, LiveServer
from tests.service.qencode_caller import Caller

VERSION = {"Tus-Resumable": "1.0.0"}
MIB = 1 << 20


class Uploader:
    """One upload of a task."""

    def __init__(self, server: LiveServer, length: int, **headers: str) -> None:
        self.caller = Caller(server)
        task = self.caller.call("create_task", token=self.caller.access_token())
        self.token, self.base = task["task_token"], f"{task['upload_url']}/{task['task_token']}"
        self.client = httpx.Client(headers=VERSION, timeout=60, trust_env=False)
        answer = self.client.post(self.base, headers={"Upload-Length": str(length)} | headers)
        assert answer.status_code == 201, answer.text
        assert answer.headers["tus-resumable"] == "1.0.0"
        self.url = answer.headers["location"]
        assert self.url.startswith(f"{self.base}/")

    @property
    def source(self) -> str:
        return f"tus:{self.url.rpartition('/')[2]}"

    def offset(self) -> int:
        answer = self.client.head(self.url)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        return int(answer.headers["upload-offset"])

    def patch(self, offset: int, data: bytes, **headers: str) -> httpx.Response:
        kind = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        return self.client.patch(self.url, content=data, headers=kind | headers)

    def break_off(self, offset: int, data: bytes, length: int) -> None:
        """Sends a request that promises `length` bytes, and dies behind `data`."""
        parts = urlsplit(self.url)
        head = (
            f"PATCH {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nTus-Resumable: 1.0.0\r\n"
            f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: {offset}\r\n"
            f"Content-Length: {length}\r\n\r\n"
        )
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(head.encode() + data)

    def open_ended(self, offset: int, data: bytes, length: int) -> socket.socket:
        """The same, but the connection stays open and silent."""
        parts = urlsplit(self.url)
        head = (
            f"PATCH {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nTus-Resumable: 1.0.0\r\n"
            f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: {offset}\r\n"
            f"Content-Length: {length}\r\n\r\n"
        )
        connection = socket.create_connection((parts.hostname, parts.port))
        connection.sendall(head.encode() + data)
        return connection

    def close(self) -> None:
        self.client.close()


@pytest.fixture
def upload(server: LiveServer):
    made: list[Uploader] = []

    def begin(length: int, **headers: str) -> Uploader:
        made.append(Uploader(server, length, **headers))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def _kept(server: LiveServer, upload: Uploader) -> bytes:
    return (server.data / "uploads" / upload.source.removeprefix("tus:")).read_bytes()


def test_a_big_upload_over_broken_connections(server: LiveServer, upload) -> None:
    data = hashlib.shake_128(b"seed").digest(24 * MIB)
    upload = upload(len(data))
    assert upload.offset() == 0
    answer = upload.patch(0, data[: 5 * MIB])
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(5 * MIB))
    upload.break_off(5 * MIB, data[5 * MIB : 9 * MIB], length=19 * MIB)
    # All that arrived is kept; how much that is, only the server knows.
    wait_until(lambda: upload.offset() > 5 * MIB)
    offset = upload.offset()
    assert offset <= 9 * MIB
    answer = upload.patch(offset, data[offset:])
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(len(data)))
    assert _kept(server, upload) == data


def test_who_comes_later_takes_over(server: LiveServer, upload) -> None:
    upload = upload(8)
    with upload.open_ended(0, b"abc", length=8):
        wait_until(lambda: upload.offset() == 3)
        assert upload.patch(3, b"defgh").status_code == 204
    assert _kept(server, upload) == b"abcdefgh"


def test_uploads_outlive_the_server(serve: Callable[..., LiveServer], files: FileServer) -> None:
    server = serve()
    data = (files.folder / "vp9.webm").read_bytes()
    half = len(data) // 2
    upload = Uploader(server, len(data))
    try:
        assert upload.patch(0, data[:half]).status_code == 204
        server.kill()
        server.start()
        assert upload.offset() == half
        with upload.open_ended(half, data[half : half + 10], length=len(data) - half):
            wait_until(lambda: len(_kept(server, upload)) == half + 10)
            server.kill()
        server.start()
        # What came last was not noted before the server died.
        assert upload.offset() == half
        assert upload.patch(half, data[half:]).status_code == 204
        upload.caller.server = server
        answer = upload.caller.start(upload.token, {"output": "thumbnail"}, source=upload.source)
        assert answer["error"] == 0
        status = upload.caller.wait(upload.token)
        assert status["status"] == "completed", status
        assert len(status["images"]) == 1
    finally:
        upload.close()


def test_incomplete_uploads_are_no_source(upload) -> None:
    mine, other = upload(4), upload(0)
    thumbnail = {"output": "thumbnail"}
    answer = mine.caller.start(mine.token, thumbnail, source=mine.source)
    assert answer["error"] == 19
    assert answer["message"] == "source: the upload is not complete: 0 of 4 bytes"
    for source in (other.source, f"tus:{uuid.uuid4()}", "tus:", "tus:../../vault.key"):
        answer = mine.caller.start(mine.token, thumbnail, source=source)
        assert (answer["error"], answer["message"]) == (19, "source: this task has no such upload")
    # None of it used the task up; an empty file is one, but no video.
    assert other.caller.start(other.token, thumbnail, source=other.source)["error"] == 0
    status = other.caller.wait(other.token)
    assert (status["status"], status["error"]) == ("error", 1)


def test_names_of_files(upload, server: LiveServer) -> None:
    name = base64.b64encode(b"../../e vil.mp4").decode()
    upload = upload(1, **{"Upload-Metadata": f"filetype dmlkZW8=,filename {name}"})
    assert upload.patch(0, b"x").status_code == 204
    upload.caller.start(upload.token, {"output": "thumbnail"}, source=upload.source)
    assert upload.caller.wait(upload.token)["status"] == "error"
    assert not list(Path(server.data).rglob("*vil*"))


def test_options(server: LiveServer) -> None:
    with server.client_of(None) as client:
        answer = client.options("/v1/upload_file")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"] == "creation,expiration,termination"
    assert int(answer.headers["tus-max-size"]) == 10_000_000_000


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Length": "1", "Tus-Resumable": "0.2.2"}, 412),
        ({"Upload-Length": "1", "Tus-Resumable": ""}, 412),
        ({}, 400),
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Length": "x"}, 400),
        ({"Upload-Length": "9" * 30}, 400),
        ({"Upload-Defer-Length": "1"}, 400),
        ({"Upload-Length": "10000000001"}, 413),
    ],
)
def test_uploads_that_cannot_begin(upload, headers: dict[str, str], status: int) -> None:
    upload = upload(1)
    answer = upload.client.post(upload.base, headers=headers)
    assert answer.status_code == status
    assert answer.headers["tus-resumable"] == "1.0.0"


def test_uploads_of_unknown_tasks(upload) -> None:
    upload = upload(1)
    wrong = upload.base[:-1] + ("0" if upload.base[-1] != "0" else "1")
    answer = upload.client.post(wrong, headers={"Upload-Length": "1"})
    assert answer.status_code == 404
    assert upload.client.head(upload.url.replace(upload.base, wrong)).status_code == 404
    assert upload.client.head(f"{upload.base}/%00").status_code == 404
    for _ in range(9):
        assert upload.client.post(upload.base, headers={"Upload-Length": "1"}).status_code == 201
    assert upload.client.post(upload.base, headers={"Upload-Length": "1"}).status_code == 403


def test_parts_that_are_refused(upload, server: LiveServer) -> None:
    upload = upload(4)
    assert upload.patch(0, b"ab").status_code == 204
    assert upload.patch(0, b"ab").status_code == 409
    assert upload.patch(3, b"d").status_code == 409
    assert upload.patch(2, b"cd", **{"Content-Type": "text/plain"}).status_code == 415
    assert upload.patch(2, b"cd", **{"Upload-Offset": "two"}).status_code == 400
    assert upload.patch(2, b"cd", **{"Tus-Resumable": "2"}).status_code == 412
    assert upload.patch(2, b"cdefgh").status_code == 413
    assert upload.offset() == 2
    override = {"X-HTTP-Method-Override": "PATCH"}
    kind = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "2"}
    answer = upload.client.post(upload.url, content=b"cd", headers=override | kind)
    assert answer.status_code == 204
    assert _kept(server, upload) == b"abcd"
    assert upload.client.post(upload.url).status_code == 405
    assert upload.client.delete(upload.url).status_code == 204
    assert upload.client.head(upload.url).status_code == 404
