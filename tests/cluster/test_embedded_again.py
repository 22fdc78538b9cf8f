"""An embedded cluster that is lost is started anew, with what was under way."""

import multiprocessing
import os
import signal
import time

import dask
import pytest

from farm.cluster import connection
from farm.cluster.dask import DaskCluster
from farm.cluster.port import OutcomeKind
from farm.settings import Settings
from tests.cluster.contract import next_outcomes, plan_shards

pytestmark = [pytest.mark.cluster]


@pytest.fixture
def notices():
    return []


@pytest.fixture
def cluster(notices):
    settings = Settings(lanes=1, lane_memory_bytes=256 << 20)
    # What Dask would do with a worker that is gone for longer: ours are waited for.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "200 ms"}):
        cluster = DaskCluster(settings, workers=1, notice=notices.append)
        yield cluster
        cluster.close()


def test_what_was_under_way_is_done_by_the_next_one(cluster, notices, tmp_path):
    (ref,) = plan_shards(tmp_path, [{"sleep": 0.5}] * 4, shard_entries=4)
    cluster.submit(ref, 1, is_final=False)
    cluster._drop(cluster._connection, "for a test")
    (outcome,) = next_outcomes(cluster, 1)
    assert outcome.kind is OutcomeKind.COMMITTED
    assert notices == [
        "waiting for a scheduler, for up to 600 s: for a test",
        "going on: there is a scheduler again",
    ]


def test_a_worker_that_takes_long_to_start_anew_is_waited_for(cluster, notices, tmp_path):
    (pid,) = worker_pids(cluster)
    os.kill(pid, signal.SIGKILL)
    (ref,) = plan_shards(tmp_path, [{}], shard_entries=1)
    cluster.submit(ref, 1, is_final=False)
    (outcome,) = next_outcomes(cluster, 1)
    if outcome.kind is OutcomeKind.LOST:  # it went to the worker that had died
        cluster.submit(ref, 2, is_final=False)
        (outcome,) = next_outcomes(cluster, 1)
    assert outcome.kind is OutcomeKind.COMMITTED
    assert notices == []


def test_an_attempt_that_the_scheduler_forgot_is_sent_again(cluster, notices, tmp_path):
    first, second = plan_shards(tmp_path, [{"sleep": 1.0}, {}], shard_entries=1)
    cluster.submit(first, 1, is_final=False)
    cluster.submit(second, 1, is_final=False)
    futures = [each.future for each in cluster._flight._attempts.values()]
    cluster._connection.client.cancel(futures, force=True)
    outcomes = next_outcomes(cluster, 2)
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.COMMITTED}
    assert sorted(outcome.ref for outcome in outcomes) == [first, second]
    assert notices == []


def test_a_worker_that_only_starts_does_not_outlive_its_cluster(cluster):
    (pid,) = worker_pids(cluster)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while not (started := set(workers()) - {pid}) and time.monotonic() < deadline:
        time.sleep(0.01)
    cluster.close()
    assert started
    while set(workers()) & started:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def worker_pids(cluster):
    return cluster._connection.client.run(os.getpid).values()


def workers():
    """The processes that nannies in this process have started."""
    return [each.pid for each in multiprocessing.active_children() if "Worker" in each.name]


def test_a_cluster_whose_worker_does_not_come_back_is_started_anew(
    cluster, notices, tmp_path, monkeypatch
):
    monkeypatch.setattr(connection, "_EMPTY_SECONDS", 1)
    embedded = cluster._connection.embedded
    (nanny,) = embedded.workers.values()
    embedded.sync(nanny.close)
    (ref,) = plan_shards(tmp_path, [{}], shard_entries=1)
    cluster.submit(ref, 1, is_final=False)
    (outcome,) = next_outcomes(cluster, 1)
    assert outcome.kind is OutcomeKind.COMMITTED
    assert "the embedded cluster has had no worker for 1 s" in notices[0]
