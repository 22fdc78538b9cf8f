"""Thumbnails of remote files: by how many requests, and how many bytes."""

import io
import re
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest
from PIL import Image

from farm import storage
from farm.entry import EntryWork
from farm.record import Record, Status
from farm.row import Row
from farm.spec import Job
from farm.storage.source import HEAD_BYTES
from tests.lanes import shared_pool
from tests.s3 import S3Server, s3_server

__all__ = ["s3_server"]

GOP = 10
RATE = 10
FRAMES = 200
SIZE = 320


class Handler(BaseHTTPRequestHandler):
    """Serves ranges and notes them."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[tuple[int, int]]] = []

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        data = self.files[self.path.strip("/")]
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert span is not None
        first, last = int(span[1]), min(int(span[2]), len(data) - 1)
        self.asked.append((first, last + 1 - first))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(data[first : last + 1])


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
def fresh() -> None:
    Handler.asked.clear()
    Handler.files.clear()


def noise(size: int, *, seed: int = 0) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def video(path: Path, muxer: str, **options: str) -> bytes:
    """A file of noise, so that its keyframes are large."""
    with av.open(str(path), "w", format=muxer, options=options) as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "qp": "20", "sc_threshold": "0"}
        stream.gop_size = GOP
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(noise(SIZE, seed=number // GOP), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def keyframe_bytes(data: bytes) -> int:
    with av.open(io.BytesIO(data), "r") as container:
        return max(packet.size for packet in container.demux(video=0) if packet.is_keyframe)


def box_bytes(data: bytes, kind: bytes) -> int:
    at = data.index(kind) - 4
    return int.from_bytes(data[at : at + 4], "big")


def made(source: str, folder: Path, **output: Any) -> Record:
    output = {"width": 32} | output
    job = Job.model_validate({"manifest": "m", "destination": str(folder), "outputs": [output]})
    work = EntryWork(shared_pool(), job, "here:1", lambda _: nullcontext())
    record, _ = work.attempt(Row(1, {"source": source}), is_alone=False)
    assert record.status is Status.OK, record.message
    return record


@pytest.fixture(scope="module", params=[{}, {"movflags": "faststart"}], ids=["tail", "head"])
def movie(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return video(tmp_path_factory.mktemp("movie") / "a.mp4", "mp4", **request.param)


class TestMovie:
    def test_one_moment_takes_its_keyframe_and_the_index(
        self, web: str, movie: bytes, tmp_path: Path
    ) -> None:
        Handler.files["a.mp4"] = movie
        record = made(f"{web}/a.mp4", tmp_path, position="70%")
        assert record.notes["open"] == "index"
        most_bytes = box_bytes(movie, b"moov") + keyframe_bytes(movie) + HEAD_BYTES
        assert record.requests == len(Handler.asked) <= 4
        assert record.bytes_read == sum(length for _, length in Handler.asked) <= most_bytes
        assert most_bytes < len(movie) / 3

    def test_ten_moments_take_a_request_each(self, web: str, movie: bytes, tmp_path: Path) -> None:
        Handler.files["a.mp4"] = movie
        record = made(f"{web}/a.mp4", tmp_path, count=10)
        most_bytes = box_bytes(movie, b"moov") + 10 * keyframe_bytes(movie) + HEAD_BYTES
        assert record.requests == len(Handler.asked) <= 3 + 10
        assert record.bytes_read == sum(length for _, length in Handler.asked) <= most_bytes

    def test_an_exact_moment_takes_its_group_in_one_request(
        self, web: str, movie: bytes, tmp_path: Path
    ) -> None:
        Handler.files["a.mp4"] = movie
        record = made(f"{web}/a.mp4", tmp_path, position=14.5, accuracy="exact")
        assert record.requests == len(Handler.asked) <= 4
        assert record.bytes_read < len(movie) / 5

    def test_so_does_s3(self, s3_server: S3Server, movie: bytes, tmp_path: Path) -> None:
        uri = f"{s3_server.new_bucket()}/a.mp4"
        storage.put(uri, movie)
        record = made(uri, tmp_path, position="70%")
        most_bytes = box_bytes(movie, b"moov") + keyframe_bytes(movie) + HEAD_BYTES
        assert record.requests <= 4
        assert record.bytes_read <= most_bytes

    def test_a_local_one_takes_no_more_bytes(self, movie: bytes, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        path.write_bytes(movie)
        record = made(str(path), tmp_path, position="70%")
        most_bytes = box_bytes(movie, b"moov") + keyframe_bytes(movie) + HEAD_BYTES
        assert record.requests == 0
        assert keyframe_bytes(movie) / 2 < record.bytes_read <= most_bytes


@pytest.mark.parametrize(
    ("muxer", "most_requests", "most_fraction"), [("matroska", 4, 0.35), ("mpegts", 9, 1.0)]
)
def test_other_containers_take_few_requests(
    web: str, tmp_path: Path, muxer: str, most_requests: int, most_fraction: float
) -> None:
    data = Handler.files["a"] = video(tmp_path / "a", muxer)
    record = made(f"{web}/a", tmp_path, position="70%")
    assert record.requests == len(Handler.asked) <= most_requests
    assert record.bytes_read == sum(length for _, length in Handler.asked)
    assert record.bytes_read <= most_fraction * len(data)


class TestStill:
    def test_a_small_one_takes_one_request(self, web: str, tmp_path: Path) -> None:
        data = Handler.files["a.jpg"] = jpeg(300)
        assert len(data) > HEAD_BYTES
        record = made(f"{web}/a.jpg", tmp_path)
        assert (record.requests, record.bytes_read) == (1, len(data))

    def test_a_large_one_two_and_no_byte_twice(self, web: str, tmp_path: Path) -> None:
        data = Handler.files["a.jpg"] = jpeg(1500)
        record = made(f"{web}/a.jpg", tmp_path)
        assert (record.requests, record.bytes_read) == (2, len(data))
        assert len(Handler.asked) == 2

    def test_nor_is_it_decoded_further_than_is_needed(self, web: str, tmp_path: Path) -> None:
        data = Handler.files["a.jpg"] = jpeg(1500, progressive=True)
        record = made(f"{web}/a.jpg", tmp_path, fidelity="fast")
        assert record.bytes_read < len(data) / 2

    def test_of_a_local_one_all_is_read_once(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpg"
        path.write_bytes(jpeg(1500))
        record = made(str(path), tmp_path)
        size = path.stat().st_size
        assert record.requests == 0
        assert size <= record.bytes_read < 1.02 * size


def jpeg(size: int, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(size)).save(file, "JPEG", quality=90, **options)
    return file.getvalue()
