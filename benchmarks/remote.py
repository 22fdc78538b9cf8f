"""A local web server that gives ranges and counts, and the least that a thumbnail needs."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_CHUNK_BYTES = 1 << 16
_BOX_HEADER_BYTES = 8


@dataclass(slots=True)
class Traffic:
    """What was asked for and sent, so far."""

    address: str
    requests: int = 0
    bytes_sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> tuple[int, int]:
        """Requests and bytes since the last call."""
        with self.lock:
            taken = self.requests, self.bytes_sent
            self.requests = self.bytes_sent = 0
            return taken


@contextmanager
def serving(folder: Path) -> Iterator[Traffic]:
    """Serves a folder's files on a free port of the loopback address."""
    traffic = Traffic("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, folder, traffic))
    server.daemon_threads = True
    traffic.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield traffic
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, folder: Path, traffic: Traffic, *args: Any) -> None:
        self._folder, self._traffic = folder, traffic
        super().__init__(*args)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def _answer(self, *, has_body: bool) -> None:
        path = self._folder / Path(self.path).name
        size = path.stat().st_size
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        last = min(int(asked[2]), size - 1) if asked and asked[2] else size - 1
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        with self._traffic.lock:
            self._traffic.requests += 1
        if has_body:
            self._send(path, first, last)

    def _send(self, path: Path, first: int, last: int) -> None:
        with open(path, "rb") as file:
            file.seek(first)
            left = last - first + 1
            try:
                while left and (data := file.read(min(left, _CHUNK_BYTES))):
                    self.wfile.write(data)
                    left -= len(data)
                    with self._traffic.lock:
                        self._traffic.bytes_sent += len(data)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True


def least_bytes(path: Path, seconds: float) -> int:
    """The bytes of an MP4's index and of the keyframe at or before a moment."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        container.seek(round(seconds / stream.time_base), stream=stream)
        packet = next(packet for packet in container.demux(stream) if packet.is_keyframe)
        return _index_bytes(path) + packet.size


def _index_bytes(path: Path) -> int:
    """The size of the moov box (ISO/IEC 14496-12, 8.2.1)."""
    with open(path, "rb") as file:
        while header := file.read(_BOX_HEADER_BYTES):
            size, kind = int.from_bytes(header[:4], "big"), header[4:]
            head = _BOX_HEADER_BYTES
            if size == 1:
                size, head = int.from_bytes(file.read(8), "big"), 16
            if kind == b"moov":
                return size
            file.seek(size - head, 1)
    raise ValueError(f"expected an MP4 with a moov box, received {path.name}")
