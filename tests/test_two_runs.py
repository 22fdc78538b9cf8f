"""Two real `farm run` of one job: the second is refused, or takes over and the first one ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from farm import storage
from farm.history import final_records
from farm.ledger import Ledger
from farm.record import Record, Status
from tests.recipes import recipe
from tests.s3 import S3Server, s3_server

__all__ = ["s3_server"]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

ENTRIES = 60
# Slow enough that the first run is still at work when others come, on a busy machine too.
SLOW = 8.0
PATIENCE_SECONDS = 240
# As `python -m farm`, with a heart that beats faster.
QUICK_FARM = (
    "import farm.lease as lease; lease.BEAT_SECONDS = 0.5; lease.EXPIRED_SECONDS = 15.0\n"
    "from farm.__main__ import main\n"
    "if __name__ == '__main__': main()"
)


class Runs:
    """Starts `farm run` over one archive, and ends all of it with the test."""

    def __init__(self, root: str) -> None:
        self.ledger = Ledger(f"{root}/out/_ledger", storage)
        self._words = ["run", "--manifest", f"{root}/list.txt", "--destination", f"{root}/out"]
        self._words += ["--output", "16x,format=png", "--set", "shard_entries=4", "--lanes", "4"]
        self._started: list[subprocess.Popen[str]] = []
        self._sources = [f"{root}/{number:02}.syn" for number in range(ENTRIES)]
        self.write_sources(sleep=SLOW)
        names = "".join(f"{number:02}.syn\n" for number in range(ENTRIES))
        storage.put(f"{root}/list.txt", names.encode())

    def write_sources(self, **values: float) -> None:
        """Stores the sources, over those that are there."""
        for number, source in enumerate(self._sources):
            storage.put(source, recipe(seed=number, **values))

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", QUICK_FARM, *self._words, *words]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        self._started.append(process)
        return process

    def wait_until_under_way(self) -> None:
        """Returns when the first shard is committed."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.ledger.passes() or not self.ledger.committed(1):
            assert time.monotonic() < deadline, "no shard was committed"
            for process in self._started:
                assert process.poll() is None, process.communicate()
            time.sleep(0.1)

    def records(self) -> list[Record]:
        return sorted(final_records(self.ledger), key=lambda record: record.row)

    def close(self) -> None:
        for process in self._started:
            for child in [*_children(process), process]:
                child.kill()
            process.communicate()


def _children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.fixture
def start_runs() -> Iterator[Callable[[str], Runs]]:
    made: list[Runs] = []

    def start(root: str) -> Runs:
        made.append(Runs(root))
        return made[-1]

    yield start
    for runs in made:
        runs.close()


def check_whole(runs: Runs) -> None:
    """Every row has one record, and every picture is the one that it tells of."""
    records = runs.records()
    assert [record.row for record in records] == list(range(1, ENTRIES + 1))
    assert {record.status for record in records} == {Status.OK}
    for record in records:
        (artifact,) = record.artifacts
        assert len(storage.get(artifact.uri)) == artifact.size_bytes


def test_the_second_is_refused_and_may_take_over(
    start_runs: Callable[[str], Runs], s3_server: S3Server
) -> None:
    runs = start_runs(s3_server.new_bucket())
    first = runs.start()
    runs.wait_until_under_way()

    refused = runs.start()
    said = refused.communicate(timeout=PATIENCE_SECONDS)[1]
    assert refused.returncode == 3, said
    assert "farm: run_conflict: another run works on" in said
    assert f"process {first.pid}, since 20" in said
    assert "--take-over" in said

    second = runs.start("--take-over")
    out, err = first.communicate(timeout=PATIENCE_SECONDS)
    runs.write_sources()
    assert first.returncode == 3, err
    assert "draining" in err
    assert "failed: run_conflict: another run has taken over" in out
    assert f"process {second.pid}" in out
    _, err = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0, err
    assert "taking over; waiting for the other run to end" in err
    check_whole(runs)


def test_one_that_was_stopped_wakes_up_too_late_and_changes_nothing(
    start_runs: Callable[[str], Runs], tmp_path: Path
) -> None:
    runs = start_runs(str(tmp_path))
    first = runs.start()
    runs.wait_until_under_way()
    # Its workers too, which are of its process group.
    os.killpg(first.pid, signal.SIGSTOP)
    runs.write_sources()

    second = runs.start("--take-over")
    _, err = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0, err
    check_whole(runs)
    before = _ledger_files(tmp_path)
    assert json.loads(before[tmp_path / "out/_ledger/summary.json"])["state"] == "done"

    os.killpg(first.pid, signal.SIGCONT)
    out, err = first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode == 3, err
    assert "run_conflict: another run has taken over" in out
    assert _ledger_files(tmp_path) == before
    check_whole(runs)


def _ledger_files(root: Path) -> dict[Path, bytes]:
    files = (root / "out/_ledger").rglob("*")
    return {path: path.read_bytes() for path in files if path.is_file() and path.suffix != ".tmp"}
