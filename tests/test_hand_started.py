"""A Dask cluster started by hand, and a run stopped at a terminal."""

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from farm import storage
from farm.history import final_records
from farm.ledger import Ledger
from farm.record import Status

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

OUTPUTS = ["--output", "160x90,fit=pad", "--output", "64x64,fit=crop,format=webp,count=2"]


def farm_run(manifest: Path, destination: Path, *words: str) -> list[str]:
    where = ["--manifest", str(manifest), "--destination", str(destination)]
    return [sys.executable, "-m", "farm", "run", *where, *OUTPUTS, *words]


def pictures(destination: Path) -> dict[str, str]:
    return {
        str(path.relative_to(destination)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in destination.rglob("*")
        if path.is_file() and "_ledger" not in path.parts
    }


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler with two workers, each a process of its own."""
    contact = tmp_path / "scheduler.json"
    python = [sys.executable, "-m"]
    local = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(contact)]
    with ExitStack() as stack:
        stack.enter_context(
            running([*python, "distributed.cli.dask_scheduler", *local, "--port", "0"])
        )
        deadline = time.monotonic() + 60
        while not contact.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        for name in ("first", "second"):
            words = ["--nthreads", "1", "--name", name, "--local-directory", str(tmp_path / name)]
            stack.enter_context(running([*python, "distributed.cli.dask_worker", *local, *words]))
        yield str(json.loads(contact.read_text())["address"])


@contextmanager
def running(words: list[str]) -> Iterator[None]:
    """A process and its family, which end with the block."""
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_same_pictures_as_the_embedded_cluster(
    samples: Path, scheduler: str, tmp_path: Path
) -> None:
    manifest = samples / "manifest.jsonl"
    here, there = tmp_path / "here", tmp_path / "there"
    subprocess.run(farm_run(manifest, here, "--allow-failures"), check=True, capture_output=True)
    remote = ["--allow-failures", "--scheduler", scheduler, "--set", "lanes=1"]
    subprocess.run(farm_run(manifest, there, *remote), check=True, capture_output=True)
    assert pictures(here) == pictures(there)
    assert len(pictures(here)) > 150
    records = list(final_records(Ledger(str(there / "_ledger"), storage)))
    assert len({record.worker for record in records}) == 2


def test_ctrl_c_at_a_terminal_drains(tmp_path: Path) -> None:
    """The terminal signals the whole foreground group: only the run may answer."""
    archive = tmp_path / "archive"
    archive.mkdir()
    for number in range(120):
        recipe = b'FARMSYN1 {"width": 32, "height": 32, "sleep": 0.05, "seed": %d}\n' % number
        (archive / f"{number:03d}.syn").write_bytes(recipe)
    words = farm_run(archive, tmp_path / "out")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(words[0], words)
    seen = read_until(terminal, lambda: any((tmp_path / "out").glob("*/*.jpg")))
    os.write(terminal, b"\x03")
    seen += read_until(terminal, lambda: False)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 4, seen
    assert b"draining" in seen
    assert b"Traceback" not in seen
    records = list(final_records(Ledger(str(tmp_path / "out" / "_ledger"), storage)))
    statuses = {record.status for record in records}
    assert statuses <= {Status.OK, Status.DEFERRED}
    assert Status.OK in statuses

    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    records = list(final_records(Ledger(str(tmp_path / "out" / "_ledger"), storage)))
    assert sorted(record.row for record in records) == list(range(1, 121))
    assert {record.status for record in records} == {Status.OK}


def read_until(terminal: int, is_over: Callable[[], bool], *, seconds: float = 90.0) -> bytes:
    """What a terminal shows until a condition holds or its program ends."""
    seen = b""
    deadline = time.monotonic() + seconds
    os.set_blocking(terminal, False)
    while time.monotonic() < deadline and not is_over():
        try:
            chunk = os.read(terminal, 65536)
        except BlockingIOError:
            time.sleep(0.05)
            continue
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    return seen
