"""How a lane reads: its own descriptor, or ranges that it asks the worker for."""

import io
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from farm.errors import CorruptError, SourceError
from farm.isolation import pulse, serve, wire
from farm.isolation.serve import _BrokerFile, _LocalFile
from farm.sniff import HEAD_BYTES
from tests.lanes import request
from tests.recipes import recipe

DATA = os.urandom(100_000)


class Worker:
    """Answers a lane's reads of DATA until the lane hangs up."""

    def __init__(self, sock: socket.socket) -> None:
        self.asked: list[tuple[int, int]] = []
        self.refuses = False
        self._sock = sock
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while True:
            try:
                asked = wire.receive(self._sock).header
            except EOFError:
                return
            offset, length = asked["offset"], asked["length"]
            self.asked.append((offset, length))
            if self.refuses:
                wire.send(self._sock, {"error": "the source cannot be read"})
            else:
                data = DATA[offset : offset + length]
                wire.send(self._sock, {"op": "data"}, payloads=(data,))


@pytest.fixture
def ends() -> Iterator[tuple[Worker, socket.socket]]:
    ours, theirs = socket.socketpair()
    worker = Worker(ours)
    yield worker, theirs
    theirs.close()
    worker.thread.join()
    ours.close()


class TestByRanges:
    def test_exact_reads_ask_for_no_more(self, ends: tuple[Worker, socket.socket]) -> None:
        worker, sock = ends
        file = _BrokerFile(sock, len(DATA), head=b"")
        assert file.read_at(500, 7) == DATA[500:507]
        assert file.read_at(99_990, 50) == DATA[99_990:]
        assert file.read_at(200_000, 5) == b""
        assert worker.asked == [(500, 7), (99_990, 10)]
        assert file.bytes_read == 17

    def test_what_came_with_the_request_is_not_asked_for(
        self, ends: tuple[Worker, socket.socket]
    ) -> None:
        worker, sock = ends
        file = _BrokerFile(sock, len(DATA), head=DATA[:60_000])
        buffered = io.BufferedReader(file)
        assert buffered.read(60_000) == DATA[:60_000]
        assert worker.asked == []
        assert buffered.read() == DATA[60_000:]
        assert worker.asked == [(60_000, 40_000)]
        assert file.bytes_read == len(DATA)

    def test_very_many_bytes_are_asked_for_in_parts(
        self, ends: tuple[Worker, socket.socket], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worker, sock = ends
        monkeypatch.setattr(serve, "MOST_READ_BYTES", 30_000)
        file = _BrokerFile(sock, len(DATA), head=b"")
        assert file.read_at(10_000, 70_000) == DATA[10_000:80_000]
        assert worker.asked == [(10_000, 30_000), (40_000, 30_000), (70_000, 10_000)]

    def test_a_refusal_is_an_error(self, ends: tuple[Worker, socket.socket]) -> None:
        worker, sock = ends
        worker.refuses = True
        with pytest.raises(SourceError, match="the source cannot be read"):
            _BrokerFile(sock, len(DATA), head=b"").read_at(0, 10)


def test_of_a_file_each_byte_read_counts(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(DATA)
    with _LocalFile(os.open(path, os.O_RDONLY)) as file:
        assert file.head == DATA[:HEAD_BYTES]
        assert file.bytes_read == HEAD_BYTES
        assert file.read_at(70_000, 50_000) == DATA[70_000:]
        assert file.tell() == 0
        assert file.bytes_read == HEAD_BYTES + 30_000
        assert file.readinto(bytearray(10)) == 10
        assert file.readall() == DATA[10:]
        assert file.bytes_read == HEAD_BYTES + 30_000 + len(DATA)


class TestOnAGpu:
    """What its libraries stumble over is no verdict on the entry: a lane of the CPU tries it."""

    @pytest.fixture
    def answer(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
        """Lets a GPU's seat, whose pipeline raises an error, answer one request."""
        ended: list[int] = []
        monkeypatch.setattr(pulse.os, "_exit", ended.append)
        ours, theirs = socket.socketpair()

        def ask(error: Exception, *, is_lost: bool = False) -> tuple[str, str, list[int]]:
            def fail(*_: Any, **__: Any) -> None:
                raise error

            def check() -> None:
                if is_lost:
                    raise RuntimeError("CUDA error: an illegal memory access was encountered")

            monkeypatch.setattr(serve.pipeline, "make_thumbnails", fail)
            monkeypatch.setattr(torch.cuda, "synchronize", check)
            data = recipe()
            wire.send(ours, request(len(data)), payloads=(data,))
            ours.shutdown(socket.SHUT_WR)
            serve.serve(theirs, device="cuda")
            header = wire.receive(ours).header
            return header["code"], header["message"], ended

        with ours, theirs:
            yield ask

    def test_an_unknown_error_is_the_gpus(self, answer: Callable[..., Any]) -> None:
        code, message, ended = answer(RuntimeError("nvjpeg: 7"))
        assert code == "lane_failed"
        assert message == "the GPU's process could not make it: RuntimeError: nvjpeg: 7"
        assert ended == []

    def test_a_lost_gpu_ends_the_process(self, answer: Callable[..., Any]) -> None:
        _, _, ended = answer(RuntimeError("CUDA error"), is_lost=True)
        assert ended == [pulse.GPU_LOST]

    def test_its_memory_is_memory(self, answer: Callable[..., Any]) -> None:
        code, _, ended = answer(torch.OutOfMemoryError("CUDA out of memory"))
        assert (code, ended) == ("out_of_memory", [])

    def test_what_is_known_of_the_entry_is_told(self, answer: Callable[..., Any]) -> None:
        assert answer(CorruptError("no"))[:2] == ("corrupt", "no")
