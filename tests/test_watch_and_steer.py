"""A real run in an object store, seen and steered from here, killed, and gone on with."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from farm import storage
from farm.__main__ import main
from farm.history import final_records
from farm.ledger import Ledger
from farm.record import Status
from farm.run_status import LiveState, RunStatus, read_status
from tests.cluster.hand_started import HandStarted
from tests.recipes import recipe
from tests.s3 import SECRET, S3Server, s3_server

__all__ = ["s3_server"]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

ENTRIES = 60
# Slow enough that a run is still at work when it is asked something, on a busy machine too.
SLOW_SECONDS = 5.0
PATIENCE_SECONDS = 240
# As `python -m farm`, telling and listening more often.
QUICK_FARM = (
    "import farm.bulletin, farm.cluster.watchdog\n"
    "farm.bulletin._WRITE_SECONDS = 1.0; farm.bulletin._LOOK_SECONDS = 0.5\n"
    "farm.cluster.watchdog._LOOK_SECONDS = 1.0\n"
    "from farm.__main__ import main\n"
    "if __name__ == '__main__': main()"
)


class Archive:
    """Slow sources in a store, and the runs over them, which end with the test."""

    def __init__(self, root: str, scheduler: str) -> None:
        self.ledger = Ledger(f"{root}/out/_ledger", storage)
        self._words = ["run", "--manifest", f"{root}/list.txt", "--destination", f"{root}/out"]
        self._words += ["--output", "16x,format=png", "--set", "shard_entries=2", "--lanes", "2"]
        self._words += ["--scheduler", scheduler]
        self._sources = [f"{root}/{number:02}.syn" for number in range(ENTRIES)]
        self._started: list[subprocess.Popen[str]] = []
        names = "".join(f"{number:02}.syn\n" for number in range(ENTRIES))
        storage.put(f"{root}/list.txt", f"{names}none.syn\n".encode())
        self.write_sources(sleep=SLOW_SECONDS)

    def write_sources(self, **values: float) -> None:
        for number, source in enumerate(self._sources):
            storage.put(source, recipe(seed=number, **values))

    def start(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-c", QUICK_FARM, *self._words],
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def ask(self, *words: str) -> tuple[int, str]:
        """The exit code of another command of the job, in this process, and what it says."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
            main([words[0], self.ledger.uri, *words[1:]])
        return int(ended.value.code or 0), out.getvalue()

    def wait_for(self, condition: Callable[[RunStatus], Any]) -> RunStatus:
        """The first status of which that holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (status := read_status(self.ledger.uri)) is None or not condition(status):
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
        return status

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def archive(s3_server: S3Server, tmp_path: Path) -> Iterator[Archive]:
    cluster = HandStarted(tmp_path)
    cluster.start()
    archive = Archive(s3_server.new_bucket(), cluster.address)
    yield archive
    archive.close()
    cluster.end()


def test_it_is_seen_and_steered_from_elsewhere(archive: Archive) -> None:
    first = archive.start()
    archive.wait_for(lambda _: _.entries and _.oldest)
    code, said = archive.ask("status", "--json")
    assert code == 0
    seen = json.loads(said)
    assert (seen["state"], seen["slots"], seen["holder"]["pid"]) == ("running", 1, first.pid)
    assert 0 < seen["entries"] < ENTRIES
    assert seen["passes"][0]["rows"] == ENTRIES + 1
    assert seen["entries_per_second"] > 0
    assert seen["seconds_left"] > 0
    assert ".syn" in seen["oldest"]["source"]

    check_pause(archive)
    check_stop(archive, first)
    check_kill(archive)

    archive.write_sources()
    last = archive.start()
    _, err = last.communicate(timeout=PATIENCE_SECONDS)
    assert last.returncode == 1, err
    records = sorted(final_records(archive.ledger), key=lambda record: record.row)
    assert [record.row for record in records] == list(range(1, ENTRIES + 2))
    assert {record.status for record in records[:-1]} == {Status.OK}
    done = read_status(archive.ledger.uri)
    assert done is not None
    assert (done.state, done.counts) == (LiveState.DONE, {"ok": ENTRIES, "failed": 1})
    assert done.examples["source_not_found"].row == ENTRIES + 1
    assert abs(done.passes[0].entries - ENTRIES - 1) <= 1, "over three commands"
    for name in ("status", "summary"):
        assert SECRET.encode() not in storage.get(f"{archive.ledger.uri}/{name}.json")


def check_pause(archive: Archive) -> None:
    code, said = archive.ask("pause")
    assert (code, said[:8]) == (0, "paused: ")
    quiet = archive.wait_for(lambda _: _.shards_in_flight == 0)
    assert quiet.state is LiveState.PAUSED
    assert "`farm pause` of" in quiet.reason
    committed = archive.ledger.committed(1)
    later = archive.wait_for(lambda _: _.beat >= quiet.beat + 3)
    assert archive.ledger.committed(1) == committed
    assert (later.entries, later.state) == (quiet.entries, LiveState.PAUSED)
    assert later.entries < ENTRIES

    code, said = archive.ask("resume")
    assert (code, said[:9]) == (0, "running: ")
    archive.wait_for(lambda _: _.entries > later.entries)


def check_stop(archive: Archive, run: subprocess.Popen[str]) -> None:
    code, said = archive.ask("stop")
    assert code == 0, said
    out, err = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 4, err
    assert "stopped by `farm stop` of" in out
    assert "paused by `farm pause` of" in err
    assert "going on: the pause was lifted" in err
    assert archive.ask("status")[1].startswith("state      stopped by `farm stop` of")
    code, said = archive.ask("stop")
    assert code == 1
    assert "no run is under way; the last one: stopped by" in said


def check_kill(archive: Archive) -> None:
    before = read_status(archive.ledger.uri)
    assert before is not None
    killed = archive.start()
    archive.wait_for(
        lambda _: _.holder and _.holder.pid == killed.pid and _.entries > before.entries
    )
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    # Its workers go on with what they have, until the scheduler notices.
    least = counted(archive.ledger)["ok"]
    code, said = archive.ask("status", "--json")
    assert code == 0
    seen = json.loads(said)
    assert seen["state"] == "gone"
    assert "killed" in seen["reason"]
    assert seen["age_seconds"] >= 0
    # Of shards of one second, which is all that this store tells, another may have been read.
    most = counted(archive.ledger)["ok"]
    assert before.counts["ok"] < least
    assert least - 1 <= seen["counts"]["ok"] <= most + 1
    assert "gone: it was killed" in archive.ask("status")[1]


def counted(ledger: Ledger) -> dict[str, int]:
    """What the stored results say."""
    statuses = [record.status.value for record in final_records(ledger)]
    return {status: statuses.count(status) for status in set(statuses)}
