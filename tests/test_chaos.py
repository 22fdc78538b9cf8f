"""Chaos: its faults and comparisons, and a short trial of the real thing."""

import collections
import dataclasses
import os
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.chaos import disk
from benchmarks.chaos.__main__ import describe
from benchmarks.chaos.archive import make_archive
from benchmarks.chaos.fault import (
    DISK_KINDS,
    PROCESS_KINDS,
    STORE_KINDS,
    Deed,
    Kind,
    Part,
    schedule,
)
from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.result import Result, differences
from benchmarks.chaos.service import Service, kept_running
from benchmarks.chaos.trial import attempt
from farm.record import Artifact, Record, Status
from tests.lanes import is_running, wait_until

KINDS = PROCESS_KINDS + STORE_KINDS + DISK_KINDS


def test_a_seed_decides_the_faults():
    assert schedule(7, 40, KINDS) == schedule(7, 40, KINDS)
    assert schedule(7, 40, KINDS) != schedule(8, 40, KINDS)
    assert schedule(7, 40, KINDS)[:10] == schedule(7, 10, KINDS)


def test_each_kind_strikes_before_any_strikes_again():
    faults = schedule(1, 2 * len(KINDS), KINDS)
    for half in (faults[: len(KINDS)], faults[len(KINDS) :]):
        assert collections.Counter(fault.kind for fault in half) == collections.Counter(KINDS)
    for fault in faults:
        shortest, longest = fault.kind.seconds
        assert shortest <= fault.seconds <= longest
        assert 0 <= fault.pick < 1
    assert str(faults[0]).startswith(f"{faults[0].kind.deed} {faults[0].kind.part}")


def record(row, status=Status.OK, *, code=None, sha256="a"):
    artifact = Artifact(f"/out/{row}", 0, 1, 1, sha256, 1, 1, "png")
    artifacts = (artifact,) if status is Status.OK else ()
    return Record(row=row, status=status, error_code=code, artifacts=artifacts)


GOOD = Result(
    {1: record(1), 2: record(2, Status.FAILED, code="corrupt"),
     3: record(3, Status.QUARANTINED, code="timeout")},
    {"1.png": "a"}, (),
)  # fmt: skip


def test_like_results_have_no_difference():
    crash = record(3, Status.QUARANTINED, code="decoder_crash")
    other = dataclasses.replace(GOOD, records=GOOD.records | {3: crash})
    assert differences(GOOD, other, entries=3) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"records": {1: record(1), 2: GOOD.records[2]}}, "rough: 2 of 3 rows"),
        ({"records": GOOD.records | {2: record(2)}}, "row 2"),
        ({"records": GOOD.records | {2: record(2, Status.FAILED, code="truncated")}}, "row 2"),
        ({"records": GOOD.records | {1: record(1, sha256="b")}}, "row 1"),
        ({"records": GOOD.records | {3: record(3, Status.FAILED, code="timeout")}}, "row 3"),
        ({"doubled": (2,)}, "rough: row 2 has two records"),
        ({"files": {"1.png": "b"}}, "file 1.png: a, under chaos b"),
        ({"files": {}}, "file 1.png: a, under chaos none"),
        ({"files": {"1.png": "a", "2.png": "c"}}, "file 2.png: none, under chaos c"),
    ],
)
def test_what_chaos_changed_is_told(changes, told):
    (found,) = differences(GOOD, dataclasses.replace(GOOD, **changes), entries=3)
    assert told in found


def test_a_service_that_ends_comes_back(tmp_path):
    words = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    service = Service(words, log=tmp_path / "log", env=os.environ)
    with kept_running([service]):
        first = service.pid
        os.kill(first, 9)
        wait_until(lambda: service.starts == 2)
        second = service.pid
        wait_until(lambda: (tmp_path / "log").read_text() in ("up\n", "up\nup\n"))
    assert first != second
    assert not is_running(second)


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[str] = []  # noqa: RUF012 - one server for one test

    def do_GET(self):
        self.seen.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        """Says nothing."""


def fate(endpoint):
    """What became of a request: its status, or that there was none."""
    try:
        with urllib.request.urlopen(f"{endpoint}/x", timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (urllib.error.URLError, OSError):
        return "none"


def test_the_proxy_fails_in_all_its_ways_and_only_when_told(monkeypatch):
    monkeypatch.setattr("benchmarks.chaos.proxy._SLOW_SECONDS", 0.01)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    Echo.seen = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Proxy(f"http://127.0.0.1:{server.server_port}", seed=3).running() as proxy:
        assert [fate(proxy.endpoint) for _ in range(20)] == [200] * 20
        assert len(Echo.seen) == 20
        proxy.is_failing = True
        fates = collections.Counter(fate(proxy.endpoint) for _ in range(100))
        proxy.is_failing = False
        assert fate(proxy.endpoint) == 200
    server.shutdown()
    server.server_close()
    assert set(fates) == {200, 500, 503, "none"}
    assert 20 < proxy.failures < 80
    # Some were carried out though nobody was told.
    assert len(Echo.seen) - 21 > fates[200]


def test_a_disk_is_full_until_it_is_relieved(tmp_path):
    with disk.small_disk(tmp_path / "disk", size_bytes=1 << 20) as cause:
        if cause:
            pytest.skip(f"needs a disk of its own: {cause}")
        file = tmp_path / "disk" / "file"
        file.write_bytes(b"1")
        disk.fill(tmp_path / "disk")
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "disk" / "other").write_bytes(bytes(1 << 16))
        disk.relieve(tmp_path / "disk")
        file.write_bytes(bytes(1 << 16))
    assert not file.exists()


def test_a_seed_decides_the_archive(samples, tmp_path):
    texts = []
    for folder in ("a", "b"):
        archive = make_archive(str(tmp_path / folder), samples, entries=100, seed=5)
        texts.append(Path(archive.manifest).read_text().replace(str(tmp_path / folder), ""))
    assert texts[0] == texts[1]
    assert texts[0].count("\n") == 100
    assert archive.poisons == 2


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_chaos_changes_nothing(samples, tmp_path, monkeypatch):
    kinds = (
        Kind(Deed.KILL, Part.LANE),
        Kind(Deed.KILL, Part.WORKER),
        Kind(Deed.KILL, Part.CLIENT),
        Kind(Deed.STOP, Part.WORKER, (1.0, 3.0)),
        Kind(Deed.KILL, Part.SCHEDULER),
        Kind(Deed.FILL, Part.DISK, (1.0, 2.0)),
    )
    monkeypatch.setattr("benchmarks.chaos.trial.PROCESS_KINDS", kinds)
    monkeypatch.setattr("benchmarks.chaos.trial.DISK_KINDS", ())
    lines = []
    report = attempt(
        tmp_path / "chaos", samples, seed=2, entries=200, faults=6, s3=False, told=lines.append
    )
    assert report.is_good, "\n".join(describe(report))
    assert len(report.struck) >= 4, "the run was over before the faults struck: make it longer"
    assert report.rough.final.count(Status.QUARANTINED) == report.archive.poisons
    assert not [each for each in report.rough.commands if each.code not in (0, 1, -9)]
