"""A run with a GPU's seats, which compute on the CPU here: the same pictures, whatever dies."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from farm import storage
from farm.history import final_records
from farm.ledger import Ledger
from farm.record import Record, Status
from tests.test_hand_started import farm_run, pictures

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

ROWS = 100
SEATED = ["--gpus", "all", "--lanes", "1", "--set", "gpu_seats=6"]


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_PRETEND_GPUS", "1")


def records(destination: Path) -> dict[int, Record]:
    found = list(final_records(Ledger(str(destination / "_ledger"), storage)))
    by_row = {record.row: record for record in found}
    assert len(by_row) == len(found)
    return by_row


def gpu_processes(run: subprocess.Popen[bytes]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(run.pid).children(recursive=True):
        try:
            if "--device" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def kill_gpu(run: subprocess.Popen[bytes], seen: set[int]) -> None:
    """Kills the process of the GPU as soon as it works, unless it is one of those `seen`."""
    deadline = time.monotonic() + 90
    while run.poll() is None and time.monotonic() < deadline:
        for process in gpu_processes(run):
            # Seats are threads: there are some when entries are under way.
            if process.pid not in seen and process.num_threads() > 4:
                seen.add(process.pid)
                os.kill(process.pid, signal.SIGKILL)
                return
        time.sleep(0.05)
    raise AssertionError("no process of a GPU was seen at work")


def make_archive(folder: Path, *, sleep: float) -> Path:
    folder.mkdir()
    for number in range(ROWS):
        recipe = b'FARMSYN1 {"width": 64, "height": 48, "sleep": %.2f, "seed": %d}\n'
        (folder / f"{number:03d}.syn").write_bytes(recipe % (sleep, number))
    return folder


def test_the_same_samples_give_the_same_pictures(samples: Path, tmp_path: Path) -> None:
    manifest = samples / "manifest.jsonl"
    lanes, seats = tmp_path / "lanes", tmp_path / "seats"
    subprocess.run(farm_run(manifest, lanes, "--allow-failures"), check=True, capture_output=True)
    seated = farm_run(manifest, seats, "--allow-failures", *SEATED)
    subprocess.run(seated, check=True, capture_output=True)
    assert len(pictures(lanes)) > 150
    assert pictures(seats) == pictures(lanes)
    codes = [
        {row: (record.status, record.error_code) for row, record in records(folder).items()}
        for folder in (lanes, seats)
    ]
    assert codes[0] == codes[1]


def test_what_its_death_interrupts_is_made_all_the_same(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "archive", sleep=0.1)
    with subprocess.Popen(
        farm_run(archive, tmp_path / "out", *SEATED), stdout=subprocess.DEVNULL
    ) as run:
        kill_gpu(run, set())
        assert run.wait() == 0
    found = records(tmp_path / "out")
    assert {record.status for record in found.values()} == {Status.OK}
    again = [record for record in found.values() if record.attempts == 2]
    assert again
    assert {record.notes["first_attempt"] for record in again} <= {
        "decoder_crash: the GPU's process died of SIGKILL",
        "decoder_crash: the process that starts decoders is gone",
    }


def test_after_three_deaths_the_worker_leaves_and_its_nanny_starts_another(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "archive", sleep=0.2)
    with subprocess.Popen(
        farm_run(archive, tmp_path / "out", *SEATED, "--set", "shard_entries=10"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        seen: set[int] = set()
        for _ in range(3):
            kill_gpu(run, seen)
        assert run.stderr is not None
        said = run.stderr.read()
        assert run.wait() == 0, said
    assert "is given up after 3 deaths: the GPU's process died of SIGKILL" in said
    found = records(tmp_path / "out")
    assert sorted(found) == list(range(1, ROWS + 1))
    assert {record.status for record in found.values()} == {Status.OK}
    assert len({record.worker for record in found.values()}) == 2
