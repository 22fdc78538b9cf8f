"""A web server in a process of its own, which also misbehaves: `web`."""

import contextlib
import gzip
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

DATA = bytes(range(256)) * 2048  # 512 KiB
ETAG = '"one"'


@dataclass(frozen=True, slots=True)
class Web:
    """A running server, at `localhost` and `127.0.0.1`; what it was asked is told by /asked."""

    port: int

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    counts: ClassVar[defaultdict[str, int]] = defaultdict(int)
    seen: ClassVar[list[dict[str, str]]] = []

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name, _, self.rest = parts.path.strip("/").partition("/")
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.counts[self.path] += 1
        if name != "asked":
            headers = {key.lower(): value for key, value in self.headers.items()}
            self.seen.append({"path": self.path, **headers})
        with contextlib.suppress(OSError):  # the client is gone
            getattr(self, f"do_{name}")()

    def do_PUT(self) -> None:
        time.sleep(30)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_asked(self) -> None:
        found = [one for one in self.seen if self.query["of"] in one["path"]]
        self.answer(200, json.dumps(found).encode())

    def do_file(self) -> None:
        self.answer(200, DATA, Content_Type="Video/MP4; charset=x")

    def do_status(self) -> None:
        self.answer(int(self.rest), b"no", Retry_After=self.query.get("wait", ""))

    def do_second(self) -> None:
        """Fails at first, then serves."""
        if self.counts[self.path] == 1:
            self.answer(int(self.rest), Retry_After=self.query.get("wait", ""))
        else:
            self.answer(200, DATA)

    def do_named(self) -> None:
        self.answer(200, b"x", Content_Disposition=self.query["as"])

    def do_to(self) -> None:
        self.answer(302, Location=unquote(self.query["url"]))

    def do_loop(self) -> None:
        self.answer(302, Location=f"/loop/{int(self.rest) + 1}")

    def do_hops(self) -> None:
        left = int(self.rest)
        self.answer(302, Location=f"/hops/{left - 1}" if left > 1 else "/file/end.mp4")

    def do_slow(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(b"x")
            time.sleep(0.05)

    def do_slowheaders(self) -> None:
        for _ in range(1000):
            self.wfile.write(b"H")
            time.sleep(0.05)

    def do_silent(self) -> None:
        time.sleep(30)

    def do_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(DATA)

    def do_lying(self) -> None:
        self.close_connection = True
        self.answer(200, DATA, Content_Length=self.rest)

    def do_bomb(self) -> None:
        self.answer(200, gzip.compress(bytes(200_000_000), 9), Content_Encoding="gzip")

    def do_packed(self) -> None:
        body = gzip.compress(DATA) + gzip.compress(b"more")
        end = len(body) if not self.rest else int(self.rest)
        self.answer(200, body[:end], Content_Encoding="gzip")

    def do_brotli(self) -> None:
        self.answer(200, b"x" * 100, Content_Encoding="br")

    def do_broken(self) -> None:
        """Breaks off in the middle the first time; goes on by range."""
        asked = self.headers.get("Range")
        common = {"ETag": ETAG, "Accept_Ranges": "bytes"}
        if self.counts[self.path] == 1:
            self.close_connection = True
            self.answer(200, DATA[:200_000], Content_Length=str(len(DATA)), **common)
        elif asked and self.rest == "ranges" and self.headers.get("If-Range") == ETAG:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            span = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
            self.answer(206, DATA[start:], Content_Range=span, **common)
        elif asked and self.rest == "other" and self.counts[self.path] == 2:
            self.answer(206, DATA[7:], Content_Range=f"bytes 7-9/{len(DATA)}", **common)
        else:
            self.answer(200, DATA, **common)


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    os.write(1, f"{server.server_port}\n".encode())
    server.serve_forever()


@pytest.fixture(scope="session")
def web() -> Iterator[Web]:
    """One server for all tests."""
    command = [sys.executable, "-m", "tests.service.web"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield Web(int(process.stdout.readline()))
        process.kill()


if __name__ == "__main__":
    main()
