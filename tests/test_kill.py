"""kill -9 at random moments costs time only: the result is that of an undisturbed run."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from farm import storage
from farm.history import final_records
from farm.ledger import Ledger
from farm.record import Record, Status

ENTRIES = 400
VICTIMS = ["lane", "worker", "run"] * 3 + ["lane"]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moving pictures that take a few milliseconds each, and three rows that must fail."""
    folder = tmp_path_factory.mktemp("archive")
    recipe = b'FARMSYN1 {"width": 96, "height": 64, "seconds": 4, "sleep": 0.02, "seed": %d}\n'
    sources = [folder / f"{number:04d}.syn" for number in range(ENTRIES)]
    for number, source in enumerate(sources):
        source.write_bytes(recipe % number if number % 150 else b"no recipe at all")
    manifest = folder / "manifest.txt"
    manifest.write_text("".join(f"{source}\n" for source in sources))
    return manifest


def command(manifest: Path, destination: Path) -> list[str]:
    arguments = ["--manifest", str(manifest), "--destination", str(destination)]
    outputs = ["--output", "48x48,format=png,count=2", "--output", "32x"]
    return [sys.executable, "-m", "farm", "run", *arguments, *outputs, "--allow-failures"]


@contextmanager
def started(manifest: Path, destination: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running `farm run`, whose whole family is gone at the end."""
    process = subprocess.Popen(
        command(manifest, destination), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def family(process: subprocess.Popen[bytes]) -> dict[str, list[psutil.Process]]:
    """The processes of a run by what they are."""
    found: dict[str, list[psutil.Process]] = {"run": [], "worker": [], "lane": []}
    try:
        parent = psutil.Process(process.pid)
        found["run"] = [parent]
        for child in parent.children(recursive=True):
            words = " ".join(child.cmdline())
            if "spawn_main" in words:
                found["worker"].append(child)
            elif "farm.isolation" in words and "farm.isolation" in " ".join(
                child.parent().cmdline()
            ):
                found["lane"].append(child)
    except (psutil.NoSuchProcess, AttributeError):
        pass
    return found


def wait_for(process: subprocess.Popen[bytes], victim: str, chooser: random.Random) -> None:
    """Kills one process of a kind as soon as there is one, a random moment later."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        # Lanes mean that work is going on: nothing is proven by killing what only starts.
        if family(process)["lane"]:
            time.sleep(chooser.uniform(0, 1.5))
            if candidates := family(process)[victim]:
                os.kill(chooser.choice(candidates).pid, signal.SIGKILL)
                return
        time.sleep(0.05)


def outcome(destination: Path) -> tuple[dict[int, Record], dict[str, str]]:
    """The records by row, and the hash of every stored picture."""
    records = list(final_records(Ledger(str(destination / "_ledger"), storage)))
    by_row = {record.row: record for record in records}
    assert len(by_row) == len(records), "a row has two records"
    pictures = {
        str(path.relative_to(destination)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in destination.rglob("*")
        if path.is_file() and "_ledger" not in path.parts
    }
    return by_row, pictures


def essence(record: Record, destination: Path) -> tuple[object, ...]:
    """All of a record that does not depend on when and where it was made."""
    artifacts = tuple(
        (os.path.relpath(artifact.uri, destination), artifact.sha256, artifact.pts_seconds)
        for artifact in record.artifacts
    )
    return record.row, record.status, record.error_code, record.fingerprint and True, artifacts


def committed(destination: Path) -> dict[Path, tuple[int, int]]:
    """Every committed results object, with what would change if it were written again."""
    results = (destination / "_ledger").glob("pass-*/results/*.parquet")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in results}


def test_ten_random_kills_change_nothing(manifest: Path, tmp_path: Path) -> None:
    calm = tmp_path / "calm"
    subprocess.run(command(manifest, calm), check=True, capture_output=True)

    rough = tmp_path / "rough"
    chooser = random.Random(7)
    victims = list(VICTIMS)
    before: dict[Path, tuple[int, int]] = {}
    exit_code = None
    while exit_code is None:
        with started(manifest, rough) as process:
            while victims and process.poll() is None:
                victim = victims.pop(0)
                wait_for(process, victim, chooser)
                now = committed(rough)
                assert before.items() <= now.items(), "a committed shard was written again"
                before = now
                if victim == "run":
                    process.wait(timeout=120)
            if process.poll() is None:
                process.wait(timeout=300)
            if process.returncode != -signal.SIGKILL:
                exit_code = process.returncode
    assert exit_code == 0
    assert not victims, "the run was over before all kills were made: make it longer"
    assert before.items() <= committed(rough).items()

    calm_records, calm_pictures = outcome(calm)
    rough_records, rough_pictures = outcome(rough)
    assert len(calm_records) == ENTRIES
    assert rough_pictures == calm_pictures
    assert {row: essence(record, rough) for row, record in rough_records.items()} == {
        row: essence(record, calm) for row, record in calm_records.items()
    }
    assert sum(record.status is Status.FAILED for record in rough_records.values()) == 3


def test_nothing_of_a_killed_run_lives_on(manifest: Path, tmp_path: Path) -> None:
    with started(manifest, tmp_path) as process:
        deadline = time.monotonic() + 60
        while not (members := family(process))["lane"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert members["lane"]
        assert members["worker"]
        process.kill()
        process.wait()
    everyone = [one for kind in members.values() for one in kind]
    _, alive = psutil.wait_procs(everyone, timeout=15)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
