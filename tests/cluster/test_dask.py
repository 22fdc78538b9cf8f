"""The Dask cluster keeps the contract, and its workers may die."""

import os
import signal
import time
from contextlib import contextmanager

import dask
import pytest

from farm.cluster import OutcomeKind
from farm.cluster.dask import DaskCluster
from farm.errors import ClusterError
from farm.record import Status
from farm.settings import Isolation, Settings
from tests.cluster.contract import ClusterContract, next_outcomes, plan_shards, statuses
from tests.cluster.entries import EntryContract
from tests.lanes import is_running, wait_until
from tests.recipes import make_ledger

pytestmark = pytest.mark.cluster

WORKERS = 2
# Recipes count their strikes in a file, which a sandbox would not let them write.
SETTINGS = Settings(lanes=1, lane_memory_bytes=256 << 20, isolation=Isolation.PROCESS)


@pytest.fixture(scope="module")
def cluster():
    cluster = DaskCluster(SETTINGS, workers=WORKERS)
    yield cluster
    cluster.close()


class TestDask(ClusterContract, EntryContract):
    LANES = WORKERS

    @pytest.fixture
    def new_cluster(self, cluster):
        @contextmanager
        def new():
            other = DaskCluster(SETTINGS, scheduler=cluster._connection.embedded.scheduler_address)
            try:
                yield other
            finally:
                other.close()

        return new


def pid_of(cluster, address):
    """The process of a worker by its address."""
    nanny = cluster._connection.client.scheduler_info(n_workers=-1)["workers"][address]["nanny"]
    nannies = cluster._connection.embedded.workers.values()
    return next(each.pid for each in nannies if each.address == nanny)


def test_every_worker_has_one_slot(cluster):
    wait_until(lambda: cluster.slots() == WORKERS, seconds=60)


def test_it_has_a_name_for_every_attempt_under_way(cluster, tmp_path):
    (ref,) = plan_shards(tmp_path, [{"sleep": 1.0}])
    cluster.submit(ref, 1, is_final=False)
    wait_until(lambda: any(ref.name in key for key in cluster.where()))
    next_outcomes(cluster, 1)


def test_a_drain_reaches_a_shard_under_way(cluster, tmp_path):
    """A run of its own, since a drain is for good."""
    other = DaskCluster(SETTINGS, scheduler=cluster._connection.embedded.scheduler_address)
    (ref,) = plan_shards(
        tmp_path, [{"fault": "hang"}] + [{}] * 5, shard_entries=6, drain_seconds=0.2
    )
    try:
        other.submit(ref, 1, is_final=False)
        # One entry hangs in the only lane: the others wait for it.
        wait_until(lambda: any(ref.name in key for key in other.where()))
        time.sleep(0.5)
        other.drain()
        (outcome,) = next_outcomes(other, 1, seconds=30)
    finally:
        other.close()
    assert outcome.kind is OutcomeKind.COMMITTED
    assert statuses(tmp_path)[1] is Status.DEFERRED
    # Two more had been opened already, and waited for the lane.
    assert outcome.summary.counts["deferred"] >= 4


def test_the_shard_of_a_worker_that_is_killed_has_an_outcome_all_the_same(cluster, tmp_path):
    refs = plan_shards(tmp_path, [{"sleep": 0.5}] * 8, shard_entries=4)
    for ref in refs:
        cluster.submit(ref, 1, is_final=False)
    wait_until(lambda: len(cluster.where()) == 2)
    address = next(iter(cluster.where().values()))
    pid = pid_of(cluster, address)
    os.kill(pid, signal.SIGKILL)
    outcomes = next_outcomes(cluster, 2, seconds=90)
    assert sorted(outcome.ref for outcome in outcomes) == refs
    assert not is_running(pid)
    lost = [outcome.ref for outcome in outcomes if outcome.kind is not OutcomeKind.COMMITTED]
    for ref in lost:
        cluster.submit(ref, 2, is_final=False)
    next_outcomes(cluster, len(lost), seconds=90)
    assert all(make_ledger(tmp_path).is_committed(ref) for ref in refs)
    assert statuses(tmp_path) == dict.fromkeys(range(1, 9), Status.OK)
    wait_until(lambda: cluster.slots() == WORKERS, seconds=60)


def test_the_next_shard_begins_while_the_last_entry_of_one_is_made(tmp_path):
    """On a worker of one thread, too."""
    slow, quick = plan_shards(tmp_path, [{"sleep": 3.0}, {}], shard_entries=1)
    cluster = DaskCluster(SETTINGS.model_copy(update={"lanes": 2}), workers=1)
    try:
        for ref in (slow, quick):
            cluster.submit(ref, 1, is_final=False)
        first, second = next_outcomes(cluster, 2, seconds=60)
    finally:
        cluster.close()
    assert (first.ref, second.ref) == (quick, slow)
    assert {first.kind, second.kind} == {OutcomeKind.COMMITTED}


def test_a_scheduler_that_does_not_answer_is_named():
    patience = dask.config.set({"distributed.comm.timeouts.connect": "1 s"})
    with patience, pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:9 cannot be used"):
        DaskCluster(SETTINGS, scheduler="tcp://127.0.0.1:9")
