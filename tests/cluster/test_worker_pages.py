"""What machines are told by `farm worker`: figures at an address of its own, and a log in JSON."""

import json
import socket

import pytest

from farm.cluster.dask import DaskCluster
from farm.settings import Settings
from tests.cluster.contract import next_outcomes, plan_shards
from tests.cluster.hand_started import HandStarted
from tests.lanes import wait_until
from tests.scrape import get, samples

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

SETTINGS = Settings(lanes=1, lane_memory_bytes=256 << 20)


@pytest.fixture
def hand_started(tmp_path):
    made = HandStarted(tmp_path / "dask")
    made.start_scheduler()
    yield made
    made.end()


def test_a_worker_serves_its_figures_where_it_is_told_and_logs_its_shards(hand_started, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    hand_started.join("one", "--metrics", f"127.0.0.1:{port}", "--log", "json")
    (ref,) = plan_shards(tmp_path, [{}, {"fault": "error"}])
    cluster = DaskCluster(SETTINGS, scheduler=hand_started.address, run="farm-run")
    try:
        wait_until(lambda: cluster.roster.pages, seconds=180)
        assert cluster.roster.pages == (f"127.0.0.1:{port}",)
        cluster.submit(ref, 1, is_final=False)
        next_outcomes(cluster, 1, seconds=120)
        page = samples(get(f"http://127.0.0.1:{port}/metrics"))
    finally:
        cluster.close()
    assert page["farm_worker_entries_total", "ok"] == 1
    assert page["farm_worker_failures_total", "corrupt"] == 1
    lines = [json.loads(line) for line in hand_started.said("one").splitlines()]
    told = {line["event"]: line for line in lines}
    assert told["entry_failed"]["run"] == told["shard_committed"]["run"] == "farm-run"
    assert told["entry_failed"]["code"] == "corrupt"
    assert any(line["message"].startswith("joined tcp://") for line in lines)
