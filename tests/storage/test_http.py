"""Web sources, from a server that also misbehaves."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from farm import errors, storage
from farm.settings import Limits
from farm.storage import failure
from farm.storage.source import HEAD_BYTES

DATA = bytes(range(256)) * 4096  # 1 MiB


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, str | None]]] = []
    etag: ClassVar[str] = '"one"'
    strict: ClassVar[bool] = True

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        self.asked.append((path, self.headers.get("Range")))
        if path.isdigit():
            self.answer(int(path), b"no")
        else:
            getattr(self, f"do_{path}")()

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length is not None

    def do_ranges(self) -> None:
        if self.strict and self.headers.get("If-Match", self.etag) != self.etag:
            self.answer(412, b"")
            return
        first, last = self.headers.get("Range", "=0-").partition("=")[2].split("-")
        start, end = int(first), min(int(last or len(DATA)) + 1, len(DATA))
        self.answer(
            206,
            DATA[start:end],
            Content_Range=f"bytes {start}-{end - 1}/{len(DATA)}",
            ETag=self.etag,
            Last_Modified="Sun, 06 Nov 1994 08:49:37 GMT",
        )

    def do_whole(self) -> None:
        self.answer(200, DATA)

    def do_packed(self) -> None:
        self.answer(200, gzip.compress(DATA), Content_Encoding="gzip")

    def do_packedpart(self) -> None:
        packed = gzip.compress(DATA)
        if "Range" not in self.headers:
            self.answer(200, packed, Content_Encoding="gzip")
            return
        span = f"bytes 0-99/{len(packed)}"
        self.answer(206, packed[:100], Content_Encoding="gzip", Content_Range=span)

    def do_elsewhere(self) -> None:
        if "Range" in self.headers:
            self.answer(206, DATA[7:100], Content_Range=f"bytes 7-99/{len(DATA)}")
        else:
            self.answer(200, DATA)

    def do_short(self) -> None:
        first, last = map(int, self.headers["Range"].partition("=")[2].split("-"))
        last = min(last, first + 49_999) if first else last
        span = f"bytes {first}-{last}/{len(DATA)}"
        self.answer(206, DATA[first : last + 1], Content_Range=span)

    def do_cut(self) -> None:
        self.answer(200, DATA[:1000], length=len(DATA))

    def do_empty(self) -> None:
        self.answer(416, b"", Content_Range="bytes */0")

    def do_loop(self) -> None:
        self.answer(302, b"", Location="/loop")

    def do_tofile(self) -> None:
        self.answer(302, b"", Location="file:///etc/passwd")

    def do_tocloud(self) -> None:
        self.answer(302, b"", Location="http://169.254.169.254/latest/meta-data")

    def do_moved(self) -> None:
        self.answer(302, b"", Location="/ranges")

    def do_endless(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        except OSError:
            self.close_connection = True


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    Handler.asked.clear()
    Handler.etag = '"one"'
    monkeypatch.setattr(failure, "FIRST_DELAY_SECONDS", 0.0)


@pytest.mark.parametrize("path", ["ranges", "moved"])
def test_ranges_are_read_as_needed(web: str, path: str) -> None:
    with storage.open_source(f"{web}/{path}", expected_size=len(DATA)) as source:
        assert source.fd is None
        assert source.size == len(DATA)
        assert source.read_at(10, 20) == DATA[10:30]
        assert source.requests == 1  # the head came with the opening
        assert source.read_at(len(DATA) - 5, 10) == DATA[-5:]
        assert (source.requests, source.bytes_read) == (2, HEAD_BYTES + 5)


@pytest.mark.parametrize("path", ["whole", "packed"])
def test_without_ranges_there_is_a_file(web: str, path: str) -> None:
    with storage.open_source(f"{web}/{path}") as source:
        assert source.fd is not None
        assert source.size == len(DATA)
        assert source.read_at(500_000, 1000) == DATA[500_000:501_000]
        assert (source.requests, source.bytes_read) == (1, len(DATA))
    assert len(Handler.asked) == 1


@pytest.mark.parametrize("path", ["packedpart", "elsewhere"])
def test_a_part_that_is_of_no_use(web: str, path: str) -> None:
    with storage.open_source(f"{web}/{path}") as source:
        assert source.read_at(500_000, 1000) == DATA[500_000:501_000]
        assert (source.requests, source.bytes_read) == (2, len(DATA))
    assert [span is None for _, span in Handler.asked] == [False, True]


def test_a_short_answer_is_noticed(web: str) -> None:
    with (
        storage.open_source(f"{web}/short") as source,
        pytest.raises(errors.SourceChangedError, match="gave 50000 of the 100000 bytes"),
    ):
        source.read_at(900_000, 100_000)


@pytest.mark.parametrize("path", ["ranges", "whole", "packed"])
def test_the_whole_body(web: str, path: str) -> None:
    assert storage.get(f"{web}/{path}") == DATA
    with storage.open_stream(f"{web}/{path}") as file:
        assert file.read() == DATA


def test_stat(web: str) -> None:
    found = storage.stat(f"{web}/ranges")
    assert (found.size, found.etag, found.mtime) == (len(DATA), "one", 784111777.0)
    assert storage.stat(f"{web}/whole").size == len(DATA)
    assert storage.exists(f"{web}/ranges")
    assert not storage.exists(f"{web}/404")


def test_an_empty_file(web: str) -> None:
    with storage.open_source(f"{web}/empty") as source:
        assert source.size == 0


@pytest.mark.parametrize("strict", [True, False])
def test_a_replaced_source_is_noticed(
    web: str, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "strict", strict)
    with storage.open_source(f"{web}/ranges") as source:
        Handler.etag = '"two"'
        with pytest.raises(errors.SourceChangedError):
            source.read_at(900_000, 1)


@pytest.mark.parametrize(
    ("path", "expected", "requests"),
    [
        ("403", errors.SourceDeniedError, 1),
        ("404", errors.SourceNotFoundError, 1),
        ("410", errors.SourceNotFoundError, 1),
        ("429", errors.SourceUnavailableError, 3),
        ("500", errors.SourceUnavailableError, 3),
        ("503", errors.SourceUnavailableError, 3),
        ("cut", errors.SourceUnavailableError, 3),
        ("loop", errors.SourceError, 6),
        ("tofile", errors.SourceError, 1),
        ("tocloud", errors.SourceDeniedError, 1),
    ],
)
def test_what_goes_wrong(
    web: str, path: str, expected: type[errors.FarmError], requests: int
) -> None:
    with pytest.raises(expected) as caught:
        storage.open_source(f"{web}/{path}?token=hunter2")
    assert type(caught.value) is expected
    assert "hunter2" not in str(caught.value)
    assert len(Handler.asked) == requests


def test_an_endless_body_ends_at_the_limit(web: str) -> None:
    with pytest.raises(errors.SourceTooLargeError, match="more than the 3000000 bytes"):
        storage.open_source(f"{web}/endless", limits=Limits(source_bytes=3_000_000))


def test_too_large_is_known_from_the_first_answer(web: str) -> None:
    with pytest.raises(errors.SourceTooLargeError, match="at most 1000"):
        storage.open_source(f"{web}/ranges", limits=Limits(source_bytes=1000))
    assert len(Handler.asked) == 1


def test_the_web_is_only_read(web: str) -> None:
    for act in (lambda uri: storage.put(uri, b""), lambda uri: storage.put_new(uri, b"")):
        with pytest.raises(errors.StoreError, match="only be read"):
            act(f"{web}/ranges")
    with pytest.raises(errors.StoreError, match="only be read"):
        storage.delete(f"{web}/ranges")
    with pytest.raises(errors.SourceError, match="only be read"):
        list(storage.list_files(f"{web}/"))
