"""Urgent entries beside an archive's shards on one embedded cluster, whose worker may die."""

import logging
import os
import signal
import threading
import time

import pytest

from farm.cluster.dask import DaskCluster
from farm.options import RunOptions
from farm.record import Status
from farm.run import RunState, Stop, run_job
from farm.settings import Limits, Settings
from tests.cluster.contract import statuses
from tests.cluster.entries import end_of, make_entry
from tests.cluster.test_dask import pid_of
from tests.lanes import is_running, wait_until
from tests.recipes import make_job, make_ledger, write_manifest, write_source

pytestmark = pytest.mark.cluster

ROWS = 200
URGENT = 20
SETTINGS = Settings(lanes=1, reserved_lanes=1, lane_memory_bytes=256 << 20)


class Silent:
    """An observer who tells nobody."""

    def progressed(self, progress):
        pass

    def noticed(self, message, **_):
        pass

    def settled(self, outcome):
        pass


@pytest.fixture(scope="module")
def cluster():
    cluster = DaskCluster(SETTINGS, workers=1)
    yield cluster
    cluster.close()


def backfill(cluster, folder, **recipe):
    """A run over many entries, in a thread, on a client of its own; and where its report goes."""
    rows = [{"source": f"{number}.syn"} for number in range(1, ROWS + 1)]
    for number, row in enumerate(rows):
        write_source(folder / row["source"], seed=number, **recipe)
    write_manifest(folder / "list.jsonl", rows)
    job = make_job(folder, settings={"shard_entries": 50})
    address = cluster._connection.embedded.scheduler_address
    reports = []

    def run():
        options = {"options": RunOptions(), "observer": Silent(), "stop": Stop()}
        made = DaskCluster(SETTINGS, scheduler=address)
        reports.append(run_job(job, make_ledger(folder), cluster=lambda: made, **options))

    thread = threading.Thread(target=run)
    thread.start()
    return thread, reports


def test_they_end_soon_while_a_run_goes_on(cluster, tmp_path):
    thread, reports = backfill(cluster, tmp_path, sleep=0.05)
    wait_until(lambda: len(list((tmp_path / "out").rglob("*.png"))) > 3, seconds=60)
    seconds = []
    for number in range(URGENT):
        entry = make_entry(tmp_path, f"e{number}", seed=number)
        began = time.monotonic()
        record = end_of(cluster.submit_entry(entry, limits=Limits()))
        seconds.append(time.monotonic() - began)
        assert record.status is Status.OK
    # What is left of the archive takes that long at least; alone, an entry takes 0.01 s.
    assert thread.is_alive()
    assert sorted(seconds)[int(0.95 * URGENT) - 1] < 3.0
    thread.join()
    assert reports[0].state is RunState.DONE
    assert statuses(tmp_path) == dict.fromkeys(range(1, ROWS + 1), Status.OK)


def test_they_outlive_their_worker(cluster, tmp_path):
    entries = [make_entry(tmp_path, f"e{number}", sleep=0.5) for number in range(8)]
    handles = [cluster.submit_entry(entry, limits=Limits()) for entry in entries]
    end_of(handles[0])
    (address,) = cluster._urgent._slots
    pid = pid_of(cluster, address)
    os.kill(pid, signal.SIGKILL)
    records = [end_of(handle, seconds=90) for handle in handles]
    assert not is_running(pid)
    assert {record.status for record in records} == {Status.OK}
    assert len({record.worker for record in records}) == 2


def test_what_is_signed_in_a_source_is_told_to_nobody(cluster, tmp_path, caplog):
    source = "http://127.0.0.1:9/a.jpg?X-Amz-Signature=hush"
    entry = make_entry(tmp_path).model_copy(update={"source": source})
    with caplog.at_level(logging.DEBUG):
        record = end_of(cluster.submit_entry(entry, limits=Limits()))
    assert record.status is Status.FAILED
    assert "hush" not in f"{record} {caplog.text}"
