"""The inline cluster keeps the contract, one shard at a time in this process."""

from contextlib import contextmanager

import pytest

from farm import worker
from farm.cluster import OutcomeKind
from farm.cluster.inline import InlineCluster
from farm.settings import Settings
from tests.cluster.contract import ClusterContract, next_outcomes, plan_shards
from tests.cluster.entries import EntryContract
from tests.lanes import writing_pool


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setattr(worker, "LanePool", lambda **_: writing_pool())
    return InlineCluster(Settings())


class TestInline(ClusterContract, EntryContract):
    LANES = 2

    @pytest.fixture
    def new_cluster(self, cluster):
        @contextmanager
        def new():
            yield InlineCluster(Settings())

        return new


def test_it_has_one_slot_and_tells_what_waits(cluster, tmp_path):
    (ref,) = plan_shards(tmp_path, [{}])
    assert (cluster.slots(), cluster.dashboard, cluster.where()) == (1, None, {})
    cluster.submit(ref, 1, is_final=False)
    assert list(cluster.where()) == [ref.name]
    next_outcomes(cluster, 1)
    assert cluster.where() == {}


def test_shards_run_in_the_order_of_their_submission(cluster, tmp_path):
    refs = plan_shards(tmp_path, [{}] * 6)
    for ref in reversed(refs):
        cluster.submit(ref, 1, is_final=False)
    assert [outcome.ref for outcome in next_outcomes(cluster, 3)] == refs[::-1]


def test_closing_ends_its_lanes(monkeypatch):
    closed = []

    class Pool:
        lanes = 1

        def close(self):
            closed.append(self)

    monkeypatch.setattr(worker, "LanePool", lambda **_: Pool())
    InlineCluster(Settings()).close()
    assert len(closed) == 1


def test_a_ledger_of_no_use_is_a_failure_with_its_code(cluster, tmp_path):
    (ref,) = plan_shards(tmp_path, [{}])
    (tmp_path / "out/_ledger/pass-0001/pass.json").unlink()
    worker._job.cache_clear()
    cluster.submit(ref, 1, is_final=False)
    (outcome,) = next_outcomes(cluster, 1)
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason.startswith("source_not_found: ")
