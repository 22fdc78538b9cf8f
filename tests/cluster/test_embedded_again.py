"""An embedded cluster that is lost is started anew, with what was under way."""

import pytest

from farm.cluster.dask import DaskCluster
from farm.cluster.port import OutcomeKind
from farm.settings import Settings
from tests.cluster.contract import next_outcomes, plan_shards

pytestmark = [pytest.mark.cluster]


def test_what_was_under_way_is_done_by_the_next_one(tmp_path):
    notices = []
    settings = Settings(lanes=1, lane_memory_bytes=256 << 20)
    cluster = DaskCluster(settings, workers=1, notice=notices.append)
    try:
        (ref,) = plan_shards(tmp_path, [{"sleep": 0.5}] * 4, shard_entries=4)
        cluster.submit(ref, 1, is_final=False)
        cluster._drop(cluster._connection, "for a test")
        (outcome,) = next_outcomes(cluster, 1)
    finally:
        cluster.close()
    assert outcome.kind is OutcomeKind.COMMITTED
    assert notices == [
        "waiting for a scheduler, for up to 600 s: for a test",
        "going on: there is a scheduler again",
    ]
