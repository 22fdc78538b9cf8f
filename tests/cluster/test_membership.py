"""`farm worker`: it works, leaves when it is told to, and nothing is lost by it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from farm.certs import make_certs
from farm.cluster import OutcomeKind, plugin
from farm.cluster.dask import DaskCluster
from farm.record import Status
from farm.settings import Limits, Settings
from tests.cluster.contract import next_outcomes, plan_shards, statuses
from tests.cluster.entries import end_of, make_entry
from tests.cluster.hand_started import HandStarted
from tests.lanes import is_running, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

SETTINGS = Settings(lanes=1, lane_memory_bytes=256 << 20)


@pytest.fixture
def hand_started(tmp_path):
    made = HandStarted(tmp_path / "dask")
    made.start_scheduler()
    yield made
    made.end()


@pytest.fixture
def connected(hand_started):
    """Connects to the scheduler, once its workers were started."""
    opened = []

    def connect(slots, **words):
        opened.append(DaskCluster(SETTINGS, scheduler=hand_started.address, **words))
        wait_until(lambda: opened[-1].slots() == slots, seconds=90)
        return opened[-1]

    yield connect
    for cluster in opened:
        cluster.close()


def pictures(folder):
    """Pictures of shards that were made so far."""
    return list((folder / "out").rglob("*.png"))


def await_end(process, *, seconds=60):
    """The exit code, and how long it took."""
    began = time.monotonic()
    return process.wait(seconds), time.monotonic() - began


def pid_of(cluster):
    """The process of the only worker."""
    (pid,) = cluster._connection.client.run(os.getpid).values()
    return pid


def test_the_run_goes_on_without_one_that_leaves(hand_started, connected, tmp_path):
    """Shards under way, shards that wait for it, and urgent entries."""
    leaving = hand_started.join("leaving", "--drain-seconds", "20", "--lanes", "2")
    cluster = connected(1)
    client = cluster._connection.client
    assert list(client.run(lambda: plugin._worker.pool.lanes).values()) == [2]
    (facts,) = client.scheduler_info(n_workers=-1)["workers"].values()
    assert (facts["name"], facts["nthreads"], facts["memory_limit"]) == ("leaving", 1, 0)
    hand_started.join("staying")
    wait_until(lambda: cluster.slots() == 2, seconds=90)
    refs = plan_shards(tmp_path, [{"sleep": 0.5, "seed": n} for n in range(60)], shard_entries=12)
    for ref in refs:
        cluster.submit(ref, 1, is_final=False)
    handle = cluster.submit_entry(make_entry(tmp_path, sleep=0.5), limits=Limits())
    wait_until(lambda: pictures(tmp_path), seconds=60)
    os.kill(leaving.pid, signal.SIGTERM)
    code, seconds = await_end(leaving)
    assert (code, seconds < 20) == (0, True), hand_started.said("leaving")
    wait_until(lambda: cluster.slots() == 1, seconds=30)
    outcomes = next_outcomes(cluster, len(refs), seconds=90)
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.COMMITTED}
    assert end_of(handle, seconds=30).status is Status.OK
    found = statuses(tmp_path)
    left = [status for status in found.values() if status is not Status.OK]
    assert len(found) == 60
    # Of the shard that was under way only.
    assert 0 < len(left) < 12
    assert set(left) == {Status.DEFERRED}
    said = hand_started.said("leaving")
    assert f"joined {hand_started.address}" in said
    assert "farm worker: left: SIGTERM" in said
    assert "Traceback" not in said


def test_what_hangs_is_dropped_in_time_and_a_second_signal_stops_at_once(
    hand_started, connected, tmp_path
):
    # Two lanes: the one that hangs may be taken first.
    patient = hand_started.join("patient", "--drain-seconds", "8", "--lanes", "2")
    cluster = connected(1)
    (ref,) = plan_shards(tmp_path, [{}, {"fault": "hang"}])
    cluster.submit(ref, 1, is_final=False)
    wait_until(lambda: pictures(tmp_path), seconds=60)
    pid = pid_of(cluster)
    os.kill(patient.pid, signal.SIGINT)
    code, seconds = await_end(patient)
    assert (code, seconds < 12) == (0, True), hand_started.said("patient")
    assert not is_running(pid)
    assert statuses(tmp_path) == {1: Status.OK, 2: Status.DEFERRED}

    hasty = hand_started.join("hasty")
    wait_until(lambda: cluster.slots() == 1, seconds=90)
    pid = pid_of(cluster)
    cluster.submit_entry(make_entry(tmp_path, fault="hang"), limits=Limits())
    wait_until(lambda: lanes_at_work(cluster), seconds=60)
    os.kill(hasty.pid, signal.SIGTERM)
    wait_until(lambda: "leaving within 25 s" in hand_started.said("hasty"), seconds=30)
    os.kill(hasty.pid, signal.SIGTERM)
    assert await_end(hasty, seconds=10)[0] == 130
    wait_until(lambda: not is_running(pid), seconds=10)


def lanes_at_work(cluster):
    """Whether an urgent entry is under way."""
    return any(cluster._connection.client.run(lambda: bool(plugin._worker._entries)).values())


def test_it_leaves_where_a_file_says_so(hand_started, tmp_path):
    file = tmp_path / "leave"
    file.touch()
    process = hand_started.join("one", "--spot", str(file))
    wait_until(lambda: f"waiting to join: {file} is there" in hand_started.said("one"), seconds=60)
    file.unlink()
    wait_until(lambda: "joined" in hand_started.said("one"), seconds=60)
    file.touch()
    assert await_end(process)[0] == 0
    assert f"left: {file} is there" in hand_started.said("one")


def test_it_ends_with_its_scheduler(hand_started):
    process = hand_started.join("one")
    wait_until(lambda: "joined" in hand_started.said("one"), seconds=60)
    hand_started.scheduler.kill()
    assert await_end(process)[0] == 0
    assert "the scheduler is gone" in hand_started.said("one")


@pytest.fixture
def hasty():
    """The command of a worker that does not wait for a scheduler for long."""
    program = (
        "from farm.cluster.connection import CONFIG; from farm.__main__ import main;"
        "CONFIG['distributed.comm.timeouts.connect'] = '1 s'; main()"
    )
    return [sys.executable, "-c", program, "worker"]


def test_it_tells_where_no_scheduler_answers(hasty):
    ended = subprocess.run([*hasty, "tcp://127.0.0.1:1"], capture_output=True, text=True)
    assert ended.returncode == 3, ended.stderr
    assert "cluster_failed: tcp://127.0.0.1:1 cannot be joined: OSError" in ended.stderr


def test_it_can_be_stopped_before_it_has_joined(hand_started):
    os.kill(hand_started.scheduler.pid, signal.SIGSTOP)
    process = hand_started.join("one")
    wait_until(lambda: is_holding(process.pid), seconds=60)
    os.kill(process.pid, signal.SIGTERM)
    assert await_end(process, seconds=30)[0] == 0


def is_holding(pid):
    """Whether a process holds back the signals that it answers, and no other."""
    with open(f"/proc/{pid}/status") as file:
        held = next(line for line in file if line.startswith("SigBlk:"))
    return int(held.split()[1], 16) == sum(
        1 << (each - 1) for each in (signal.SIGINT, signal.SIGTERM)
    )


def test_it_speaks_tls(tmp_path):
    folder = tmp_path / "certs"
    make_certs(folder, hosts=["127.0.0.1"])
    words = [
        *("--tls-ca-file", str(folder / "ca.pem")),
        *("--tls-cert", str(folder / "scheduler.pem")),
        *("--tls-key", str(folder / "scheduler.key")),
    ]
    made = HandStarted(tmp_path / "dask", protocol="tls", scheduler=["--protocol", "tls", *words])
    try:
        made.start_scheduler()
        process = made.join("one", "--tls", str(folder))
        wait_until(lambda: "joined tls://" in made.said("one"), seconds=60)
        os.kill(process.pid, signal.SIGTERM)
        assert await_end(process)[0] == 0
    finally:
        made.end()
