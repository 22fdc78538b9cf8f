"""Sources behind a gate: what is counted, and that nothing gets by it."""

import os
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from farm import storage
from farm.entry import EntryWork
from farm.errors import LaneCrashError, SourceDeniedError
from farm.manners import Rates
from farm.record import Status
from farm.row import Row
from farm.storage.source import HEAD_BYTES
from farm.throttle import Gate, Throttle
from tests.lanes import shared_pool
from tests.recipes import make_job
from tests.web import web_server

DATA = bytes(range(256)) * 1024
AMPLE = Rates(1e12, 1e9)


class Counted(Gate):
    """A gate that keeps what passes it."""

    def __init__(self, rates=AMPLE):
        super().__init__(Throttle(rates), held=lambda: None)
        self.hosts = []
        self.bytes = 0

    def request(self, host):
        self.hosts.append(host)
        super().request(host)

    def read(self, length):
        self.bytes += length
        super().read(length)


def test_a_local_file_has_no_descriptor_and_no_host(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(DATA)
    gate = Counted()
    with storage.open_source(str(path), gate=gate) as source:
        assert source.fd is None
        assert source.head == DATA[:HEAD_BYTES]
        assert source.read_at(HEAD_BYTES - 10, 20) == DATA[HEAD_BYTES - 10 : HEAD_BYTES + 10]
        assert source.read_at(len(DATA) - 5, 50) == DATA[-5:]
        assert source.read_at(len(DATA), 50) == b""
        assert (source.size, source.requests, source.bytes_read) == (len(DATA), 0, 0)
    assert gate.bytes == HEAD_BYTES + 10 + 5
    assert gate.hosts == []


def test_a_remote_one_counts_as_it_is_asked_for():
    gate = Counted()
    with web_server({"a.bin": DATA}) as web:
        with storage.open_source(f"{web.url}/a.bin", gate=gate) as source:
            source.read_at(0, 100)
            source.read_at(100_000, 1000)
            assert source.requests == 2
        assert gate.bytes == sum(count for _, count in web.asked) == HEAD_BYTES + 1000
        assert gate.hosts == [web.url.removeprefix("http://")] * 2


def test_one_that_comes_whole_counts_whole():
    gate = Counted()
    with (
        web_server({"a.bin": DATA}, has_ranges=False) as web,
        storage.open_source(f"{web.url}/a.bin", gate=gate) as source,
    ):
        assert source.read_at(5, 5) == DATA[5:10]
    assert gate.bytes == len(DATA)
    assert len(gate.hosts) == 1


def test_requests_to_a_host_are_that_many_a_second():
    with web_server({"a.bin": b"x"}) as web:
        gate = Counted(Rates(requests_per_second=5))
        for _ in range(12):
            storage.open_source(f"{web.url}/a.bin", gate=gate).close()
        times = [moment for moment, _ in web.asked]
    # Five of them are a burst.
    assert 1.3 <= times[-1] - times[0] < 10
    assert gate.held_seconds > 0.5


def test_nothing_stays_open_where_waiting_is_called_off(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(DATA)

    def held():
        raise LaneCrashError("dropped")

    gate = Gate(Throttle(Rates(bytes_per_second=1)), held=held)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LaneCrashError):
        storage.open_source(str(path), gate=gate)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_cannot_be_opened_says_the_same_with_a_gate():
    with pytest.raises(SourceDeniedError, match="expected no password"):
        storage.open_source("s3://me:secret@bucket/key", gate=Counted())


def test_waiting_takes_nothing_of_the_time_of_an_entry(tmp_path):
    """Of a picture of which a lane reads more than comes within its time."""
    noise = np.random.default_rng(1).integers(0, 256, (640, 800, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png", compress_level=0)
    size = (tmp_path / "a.png").stat().st_size
    outputs = [{"width": 16, "timeout": 1.5}]
    rate = size / 4

    def attempt(**words):
        job = make_job(tmp_path, outputs=outputs, destination=str(tmp_path / "out"))
        work = EntryWork(shared_pool(), job, "here", lambda lane: nullcontext(), **words)
        return work.attempt(Row(1, {"source": str(tmp_path / "a.png")}), is_alone=False)[0]

    gates = [Gate(Throttle(Rates(bytes_per_second=rate)), held=lambda: None)]
    record = attempt(gate=lambda: gates[0])
    assert record.status is Status.OK, record.message
    assert gates[0].held_seconds > 2
    plain = attempt()
    assert [each.sha256 for each in record.artifacts] == [each.sha256 for each in plain.artifacts]
    assert (record.requests, plain.requests) == (0, 0)
    assert record.bytes_read >= size
