"""A real `farm serve` in a process of its own, servers of files, and those who are told of jobs."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx
import psutil
import yaml

_START_SECONDS = 90.0
_STOP_SECONDS = 60.0
_LISTENING = re.compile(r"listening on (http://\S+)")


class LiveServer:
    """A service in a process; `url` and `key` reach it, `client` does with both.

    After `kill` or `stop`, `start` goes on over the same data, at the same address. `log_text` is
    all that it ever printed. `options` are words of the command.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.destinations = folder / "destinations"
        self.destinations.mkdir(parents=True)
        self._config = folder / "serve.yaml"
        self._log = folder / "log.txt"
        self._config.write_text(yaml.safe_dump(_settings(self.data, self.destinations) | settings))
        self.url = "http://127.0.0.1:0"
        self.options: list[str] = []
        self.key = self.new_key("tester")
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client()

    def new_key(self, name: str, *scopes: str) -> str:
        """A fresh API key, with all scopes or some."""
        options = [word for scope in scopes for word in ("--scope", scope)]
        words = ["key", "add", name, *options, "--config", self._config]
        return subprocess.check_output([*_FARM, *words], text=True, timeout=_START_SECONDS).strip()

    def start(self) -> Self:
        """Starts the process and waits until it listens; fails with what it printed."""
        began = self._log.stat().st_size if self._log.exists() else 0
        words = ["serve", "--config", self._config, "--port", str(urlsplit(self.url).port)]
        words += self.options
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([*_FARM, *words], stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not (found := _LISTENING.search(self.log_text[began:])):
            assert self.process.poll() is None, f"farm serve ended:\n{self.log_text[began:]}"
            assert time.monotonic() < deadline, f"farm serve is late:\n{self.log_text[began:]}"
            time.sleep(0.05)
        self.url = found[1]
        self.client.close()
        self.client = self.client_of(self.key)
        return self

    def client_of(self, key: str | None) -> httpx.Client:
        """A client with a key, or without one."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Lets it end by a signal; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"farm serve does not end:\n{self.log_text}") from None

    def kill(self) -> None:
        """Ends it by SIGKILL, and what it started, which would end a little later."""
        if self.process is None or self.process.poll() is not None:
            return
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        for child in family:
            if child.is_running():
                child.kill()
        psutil.wait_procs(family, timeout=_STOP_SECONDS)

    def close(self) -> None:
        """Lets go of all."""
        self.client.close()
        self.kill()

    @property
    def log_text(self) -> str:
        """What the process and its predecessors printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""


_FARM = (sys.executable, "-m", "farm")


def _settings(data: Path, destinations: Path) -> dict[str, Any]:
    return {
        "data": str(data),
        "settings": {"lanes": 1, "reserved_lanes": 1},
        "policy": {"allow_hosts": ["127.0.0.1"], "plain_http_hosts": ["127.0.0.1"]},
        "destination_roots": [str(destinations)],
    }


class WebServer:
    """An HTTP server on a thread; `handler` is made for each connection."""

    def __init__(self, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Answers nothing any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class FileServer(WebServer):
    """Serves the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(partial(_QuietFiles, directory=str(folder)))

    def url_of(self, name: str) -> str:
        """The URL of a file of the folder."""
        assert (self.folder / name).is_file(), name
        return f"{self.url}/{quote(name)}"


class _QuietFiles(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answers a range of a file too, which players need to seek."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        path = Path(self.translate_path(self.path))
        if found is None or not path.is_file() or int(found[1]) >= path.stat().st_size:
            super().do_GET()
            return
        size = path.stat().st_size
        first, last = int(found[1]), min(int(found[2] or size), size - 1)
        self.send_response(206)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(path.read_bytes()[first : last + 1])

    def end_headers(self) -> None:
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in; the names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)


class Receiver(WebServer):
    """Takes requests as a caller's webhook does, and answers 200, or what `answer` says first."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._received: list[Received] = []
        self._answers: deque[tuple[int, float]] = deque()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, seconds = receiver._take(Received("POST", self.path, headers, body))
                time.sleep(seconds)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        super().__init__(Handler)

    def _take(self, received: Received) -> tuple[int, float]:
        with self._arrived:
            self._received.append(received)
            self._arrived.notify_all()
            return self._answers.popleft() if self._answers else (200, 0.0)

    def answer(self, *statuses: int, after_seconds: float = 0.0) -> None:
        """The statuses of the next answers, each behind a pause."""
        with self._arrived:
            self._answers.extend((status, after_seconds) for status in statuses)

    def wait(
        self, count: int, *, path: str | None = None, timeout_seconds: float = 30.0
    ) -> list[Received]:
        """The requests so far, at least `count` of them; those of one path where it is given."""

        def found() -> list[Received]:
            return [each for each in self._received if path in (None, each.path)]

        with self._arrived:
            enough = self._arrived.wait_for(lambda: len(found()) >= count, timeout_seconds)
            assert enough, f"{len(found())} requests came, not {count}"
            return found()
