"""A scheduler that is gone is waited for, and all that it knew is sent to the next one."""

import os
import signal
import time

import pytest

from farm.cluster import OutcomeKind
from farm.cluster.dask import DaskCluster
from farm.errors import ClusterError
from farm.record import Status
from farm.settings import Limits, Settings
from tests.cluster.contract import next_outcomes, plan_shards, statuses
from tests.cluster.entries import end_of, make_entry, pictures
from tests.cluster.hand_started import HandStarted
from tests.lanes import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

SETTINGS = Settings(lanes=1, lane_memory_bytes=256 << 20, pause_seconds=120)


@pytest.fixture
def hand_started(tmp_path):
    made = HandStarted(tmp_path / "dask")
    made.start()
    yield made
    made.end()


def test_what_was_under_way_is_done_by_the_next_one(hand_started, tmp_path):
    """Shards and urgent entries, those that began, those that waited, and those that come later."""
    refs = plan_shards(tmp_path, [{"sleep": 0.4, "seed": n} for n in range(24)], shard_entries=4)
    notices = []
    cluster = DaskCluster(SETTINGS, scheduler=hand_started.address, notice=notices.append)
    try:
        for ref in refs[:5]:
            cluster.submit(ref, 1, is_final=False)
        handles = [
            cluster.submit_entry(make_entry(tmp_path, f"e{n}", sleep=1.0), limits=Limits())
            for n in range(12)
        ]
        outcomes = next_outcomes(cluster, 1)
        hand_started.end()
        wait_until(lambda: notices, seconds=20)
        assert cluster.slots() == 0
        cluster.submit(refs[5], 1, is_final=False)
        later = cluster.submit_entry(make_entry(tmp_path, "later"), limits=Limits())
        hand_started.start()
        outcomes += next_outcomes(cluster, 5, seconds=120)
        records = [end_of(handle, seconds=60) for handle in (*handles, later)]
    finally:
        cluster.close()
    assert sorted(outcome.ref for outcome in outcomes) == refs
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.COMMITTED}
    assert statuses(tmp_path) == dict.fromkeys(range(1, 25), Status.OK)
    assert {record.status for record in records} == {Status.OK}
    assert pictures(tmp_path) == {*(f"e{n}" for n in range(12)), "later"}
    assert "waiting for a scheduler, for up to 120 s" in notices[0]
    # Where the machine is busy, it takes more than one attempt to connect.
    told = [notice for notice in notices[1:] if not notice.startswith("no scheduler yet")]
    assert told == ["going on: there is a scheduler again"]


def test_it_is_waited_for_no_longer_than_a_pause_may_last(hand_started, tmp_path):
    settings = SETTINGS.model_copy(update={"pause_seconds": 1.0})
    (ref,) = plan_shards(tmp_path, [{"fault": "hang"}])
    cluster = DaskCluster(settings, scheduler=hand_started.address)
    try:
        cluster.submit(ref, 1, is_final=False)
        handle = cluster.submit_entry(make_entry(tmp_path, fault="hang"), limits=Limits())
        hand_started.end()
        began = time.monotonic()
        with pytest.raises(ClusterError, match=r"no scheduler for \d+ s"):
            next_outcomes(cluster, 1)
        assert time.monotonic() - began < 30
        with pytest.raises(ClusterError, match="no scheduler"):
            end_of(handle, seconds=1)
        with pytest.raises(ClusterError, match="no scheduler"):
            cluster.slots()
    finally:
        cluster.close()


def test_a_drain_is_not_forgotten(hand_started, tmp_path):
    """What was under way is not begun again; the next command does that."""
    refs = plan_shards(tmp_path, [{"fault": "hang"}, {}], shard_entries=1)
    cluster = DaskCluster(SETTINGS, scheduler=hand_started.address)
    try:
        for ref in refs:
            cluster.submit(ref, 1, is_final=False)
        wait_until(lambda: len(cluster.where()) == 2, seconds=30)
        os.kill(hand_started.scheduler.pid, signal.SIGKILL)
        cluster.drain()
        hand_started.end()
        hand_started.start()
        outcomes = next_outcomes(cluster, 2, seconds=120)
    finally:
        cluster.close()
    assert sorted(outcome.ref for outcome in outcomes) == refs
    assert {outcome.kind for outcome in outcomes} <= {OutcomeKind.LOST, OutcomeKind.COMMITTED}
    assert OutcomeKind.LOST in {outcome.kind for outcome in outcomes}


def test_a_scheduler_that_stands_still_is_given_up_and_taken_up_again(
    hand_started, tmp_path, monkeypatch
):
    """The connection lasts meanwhile, but nobody answers."""
    monkeypatch.setattr("farm.cluster.connection._ANSWER_SECONDS", 2)
    # The watchdog would look at each turn of the keeper, also when the connection was lost.
    monkeypatch.setattr("farm.cluster.watchdog._LOOK_SECONDS", 0)
    refs = plan_shards(tmp_path, [{"sleep": 0.2}] * 4)
    notices = []
    cluster = DaskCluster(SETTINGS, scheduler=hand_started.address, notice=notices.append)
    try:
        os.kill(hand_started.scheduler.pid, signal.SIGSTOP)
        wait_until(lambda: notices, seconds=30)
        cluster.drain()
        began = time.monotonic()
        assert cluster.next_outcome(0.1) is None
        assert time.monotonic() - began < 5
        cluster._is_drained = False
        for ref in refs:
            cluster.submit(ref, 1, is_final=False)
        os.kill(hand_started.scheduler.pid, signal.SIGCONT)
        outcomes = next_outcomes(cluster, 2, seconds=90)
    finally:
        cluster.close()
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.COMMITTED}
    assert "does not answer" in notices[0]


def test_a_defect_of_the_keeper_ends_all_that_wait_for_it(hand_started, tmp_path, monkeypatch):
    cluster = DaskCluster(SETTINGS, scheduler=hand_started.address)
    try:
        handle = cluster.submit_entry(make_entry(tmp_path, fault="hang"), limits=Limits())
        monkeypatch.setattr(cluster, "_free_stuck", lambda: {}["nobody"])
        with pytest.raises(ClusterError, match="the keeper failed: KeyError"):
            next_outcomes(cluster, 1, seconds=30)
        with pytest.raises(ClusterError, match="the keeper failed"):
            end_of(handle, seconds=1)
    finally:
        cluster.close()
