"""Workers that live and do nothing are started anew, and their shards given back."""

import os
import signal

import psutil
import pytest

from farm.cluster import OutcomeKind
from farm.cluster.dask import DaskCluster
from farm.cluster.watchdog import Watchdog
from farm.pace import EntryUnderWay, WorkerPace
from farm.record import Status
from farm.settings import Settings
from tests.cluster.contract import next_outcomes, plan_shards, statuses
from tests.lanes import is_running, wait_until

SETTINGS = Settings(lanes=1, lane_memory_bytes=256 << 20, stuck_seconds=3.0)


class StubClient:
    """A client whose workers answer what `answers` says: seconds overdue; None is no answer."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def sync(self, function, addresses):
        work = function(addresses)
        try:
            while True:
                work.send(None)
        except StopIteration as end:
            return end.value


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("farm.cluster.watchdog.time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def watchdog(monkeypatch, clock):
    watchdog = Watchdog(client := StubClient({}), 60.0, "a run")

    async def ask_all(addresses):
        client.asked += addresses
        answers = {each: client.answers[each] for each in addresses}
        return {
            each: WorkerPace(answer) if isinstance(answer, float) else answer
            for each, answer in answers.items()
        }

    monkeypatch.setattr(watchdog, "_ask_all", ask_all)
    return watchdog


def test_it_asks_now_and_then(watchdog, clock):
    client = watchdog._client
    client.answers = {"a": 0.0}
    for clock[0] in (0.0, 9.0, 10.0, 19.0, 20.0):
        assert watchdog.stuck(["a"]) == {}
    assert client.asked == ["a", "a"]


def test_one_that_moves_within_its_time_limits_is_left_alone(watchdog, clock):
    watchdog._client.answers = {"a": -500.0, "b": 60.0, "c": 61.0}
    clock[0] = 10.0
    assert watchdog.stuck("abc") == {"c": "no entry moved for 61 s past its time limit"}


def test_silence_counts_from_when_a_worker_was_last_heard(watchdog, clock):
    client = watchdog._client
    client.answers = {"a": None}
    for clock[0] in (100.0, 160.0):
        assert watchdog.stuck("a") == {}
    client.answers = {"a": 0.0}
    clock[0] = 170.0
    assert watchdog.stuck("a") == {}
    client.answers = {"a": None}
    clock[0] = 230.0
    assert watchdog.stuck("a") == {}
    clock[0] = 231.0 + 10.0
    assert watchdog.stuck("a") == {"a": "no answer for 71 s"}


def test_one_that_had_no_shard_meanwhile_starts_afresh(watchdog, clock):
    watchdog._client.answers = {"a": None}
    for clock[0], addresses in ((10.0, "a"), (40.0, ""), (100.0, "a"), (150.0, "a")):
        assert watchdog.stuck(addresses) == {}


def test_the_oldest_entry_of_all_workers_ages_between_looks(watchdog, clock):
    assert watchdog.oldest_entry() is None
    entries = {each: EntryUnderWay(1, "s", each, age) for each, age in (("a", 3.0), ("b", 7.0))}
    watchdog._client.answers = {each: WorkerPace(0.0, one) for each, one in entries.items()}
    watchdog._client.answers["c"] = None
    clock[0] = 10.0
    assert watchdog.stuck("abc") == {}
    clock[0] = 12.0
    assert watchdog.oldest_entry() == EntryUnderWay(1, "s", "b", 9.0)
    watchdog._client.answers = {"a": 0.0}
    clock[0] = 20.0
    watchdog.stuck("a")
    assert watchdog.oldest_entry() is None


@pytest.fixture
def notices():
    return []


@pytest.fixture
def cluster(notices):
    cluster = DaskCluster(SETTINGS, workers=1, notice=notices.append)
    yield cluster
    cluster.close()


def worker_pid(cluster):
    (nanny,) = cluster._connection.embedded.workers.values()
    return nanny.pid


def zygote_pid(cluster):
    """Of the zygote that the worker's lanes come from."""
    return cluster._connection._early._process.pid


def finish(cluster, refs, notices, cause):
    """Awaits that a shard is given back with a cause, and carries it out."""
    outcomes = next_outcomes(cluster, len(refs), seconds=120)
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.LOST}
    assert all(cause in outcome.reason for outcome in outcomes)
    assert any(cause in notice for notice in notices)
    for ref in refs:
        cluster.submit(ref, 2, is_final=False)
    again = next_outcomes(cluster, len(refs), seconds=120)
    assert {outcome.kind for outcome in again} == {OutcomeKind.COMMITTED}


@pytest.mark.cluster
def test_a_worker_that_stands_still_is_replaced(cluster, notices, tmp_path):
    refs = plan_shards(tmp_path, [{"sleep": 1.0}] * 4)
    for ref in refs:
        cluster.submit(ref, 1, is_final=False)
    wait_until(lambda: cluster.where(), seconds=30)
    stopped = worker_pid(cluster)
    os.kill(stopped, signal.SIGSTOP)
    finish(cluster, refs, notices, "no answer for")
    assert not is_running(stopped)
    assert statuses(tmp_path) == dict.fromkeys(range(1, 5), Status.OK)


@pytest.mark.cluster
def test_a_worker_whose_shard_waits_for_ever_is_replaced(cluster, notices, tmp_path):
    """One whose lanes cannot be replaced, since who makes them stands still."""
    first, ref = plan_shards(tmp_path, [{}] * 8, shard_entries=4, timeout=1.0)
    cluster.submit(first, 1, is_final=False)
    next_outcomes(cluster, 1)
    zygote = zygote_pid(cluster)
    victims = [each.pid for each in psutil.Process(zygote).children()] + [zygote]
    try:
        for victim in victims:
            os.kill(victim, signal.SIGSTOP)
        cluster.submit(ref, 1, is_final=False)
        finish(cluster, [ref], notices, "past its time limit")
    finally:
        for victim in victims:
            if is_running(victim):
                os.kill(victim, signal.SIGKILL)
    assert statuses(tmp_path) == dict.fromkeys(range(1, 9), Status.OK)
