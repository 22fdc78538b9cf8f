"""Workers that are old or large are replaced between shards, and nothing is lost by it."""

import asyncio
import time

import pytest

from farm.cluster import OutcomeKind, recycling
from farm.cluster.dask import DaskCluster
from farm.cluster.recycling import resident_bytes, retirement
from farm.record import Status
from farm.settings import Settings
from tests.cluster.contract import next_outcomes, plan_shards, statuses
from tests.lanes import wait_until


def test_an_old_one_is_replaced(monkeypatch):
    monkeypatch.setattr(recycling, "_SPREAD", (1.0, 1.0))
    began = time.monotonic()
    cause = asyncio.run(retirement(Settings(worker_seconds=0.4)))
    assert cause == "the worker is 0 s old"
    assert time.monotonic() - began >= 0.4


def test_a_large_one_is_replaced(monkeypatch):
    monkeypatch.setattr(recycling, "_LOOK_SECONDS", 0.01)
    assert resident_bytes() > 10 << 20
    monkeypatch.setattr(recycling, "resident_bytes", lambda: 65 << 20)
    cause = asyncio.run(retirement(Settings(worker_memory_bytes=64 << 20)))
    assert cause == "the worker has grown to 65 MiB"


def test_any_other_one_goes_on(monkeypatch):
    monkeypatch.setattr(recycling, "_LOOK_SECONDS", 0.01)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(retirement(Settings()), 0.3))


@pytest.mark.cluster
@pytest.mark.timeout(240)
def test_shards_do_not_notice(tmp_path):
    """All of them are done at the first attempt, by several workers one after another."""
    refs = plan_shards(tmp_path, [{"sleep": 0.3, "seed": n} for n in range(32)], shard_entries=4)
    settings = Settings(lanes=1, lane_memory_bytes=256 << 20, worker_seconds=7.0)
    cluster = DaskCluster(settings, workers=1)
    try:
        for ref in refs:
            cluster.submit(ref, 1, is_final=False)
        outcomes = next_outcomes(cluster, len(refs), seconds=180)
        wait_until(cluster.slots, seconds=60)
    finally:
        cluster.close()
    assert sorted(outcome.ref for outcome in outcomes) == refs
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.COMMITTED}
    assert not any(outcome.summary.was_done for outcome in outcomes)
    assert len({outcome.summary.worker for outcome in outcomes}) > 1
    assert statuses(tmp_path) == dict.fromkeys(range(1, 33), Status.OK)
