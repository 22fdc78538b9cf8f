"""How a run treats others: its rates are those of all of its workers, and its priority counts."""

import time

import pytest

from farm.cluster import OutcomeKind
from farm.cluster.dask import DaskCluster
from farm.manners import Manners, Rates
from farm.record import Status
from farm.settings import Settings
from tests.cluster.contract import next_outcomes, plan_shards, statuses
from tests.cluster.hand_started import HandStarted
from tests.lanes import wait_until
from tests.recipes import OUTPUT, make_job, make_ledger, recipe, write_manifest
from tests.web import web_server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

SETTINGS = Settings(lanes=2, lane_memory_bytes=256 << 20, stuck_seconds=2)
ENTRIES = 48
ENTRY_BYTES = 50_000
RATE = 300_000


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_reads_no_faster_however_many_workers_it_has(workers, tmp_path):
    """Nobody takes a shard that waits for the rate for one that is stuck, either."""
    source = recipe().ljust(ENTRY_BYTES)
    with web_server({"a.syn": source}) as web:
        refs = plan_web(tmp_path, f"{web.url}/a.syn")
        notices = []
        cluster = DaskCluster(
            SETTINGS, workers=workers, manners=Manners(Rates(RATE)), notice=notices.append
        )
        try:
            wait_until(lambda: cluster.slots() == workers, seconds=90)
            wait_until(lambda: cluster._flight.sharers == workers, seconds=30)
            for ref in refs:
                cluster.submit(ref, 1, is_final=False)
            outcomes = next_outcomes(cluster, len(refs), seconds=120)
        finally:
            cluster.close()
        asked = web.asked
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.COMMITTED}
    assert statuses(tmp_path) == dict.fromkeys(range(1, ENTRIES + 1), Status.OK)
    assert len({outcome.summary.worker for outcome in outcomes}) == workers
    assert notices == []
    sent = sum(count for _, count in asked)
    seconds = asked[-1][0] - asked[0][0]
    assert sent == ENTRIES * ENTRY_BYTES
    # Each thread of a worker opens one before it waits: two for its lanes, and eight beside where
    # sources are far. What is there at once is a second's worth.
    at_once = RATE + workers * 10 * ENTRY_BYTES
    assert seconds > 0.8 * (sent - at_once) / RATE
    assert seconds < 60


def plan_web(folder, uri):
    """Shards of entries that are one and the same source."""
    from farm.options import RunOptions
    from farm.passes import Passes

    write_manifest(folder / "list.jsonl", [{"source": uri, "id": f"{n}"} for n in range(ENTRIES)])
    outputs = [OUTPUT | {"filename": "{id}.png"}]
    job = make_job(folder, outputs=outputs, settings={"shard_entries": 4})
    planner = Passes(make_ledger(folder), job, RunOptions()).next_planner()
    return planner.ledger.shards(1, [part for part, _ in planner.plan()])


def test_a_run_of_higher_priority_overtakes(tmp_path):
    (tmp_path / "other").mkdir()
    early = plan_shards(tmp_path, [{"sleep": 0.5, "seed": n} for n in range(24)])
    late = plan_shards(tmp_path / "other", [{"seed": n} for n in range(4)])
    made = HandStarted(tmp_path / "dask")
    made.start()
    opened = []
    try:
        for priority in (0, 5):
            manners = Manners(priority=priority)
            opened.append(DaskCluster(SETTINGS, scheduler=made.address, manners=manners))
        first, second = opened
        for ref in early:
            first.submit(ref, 1, is_final=False)
        next_outcomes(first, 1)
        began = time.monotonic()
        for ref in late:
            second.submit(ref, 1, is_final=False)
        next_outcomes(second, len(late))
        overtaken = time.monotonic() - began
        rest = next_outcomes(first, len(early) - 1)
        seconds = time.monotonic() - began
    finally:
        for cluster in opened:
            cluster.close()
        made.end()
    assert {outcome.kind for outcome in rest} == {OutcomeKind.COMMITTED}
    # Some of the shards that came first were under way; the others waited.
    done_after = [outcome for outcome in rest if outcome.summary is not None]
    assert len(done_after) == len(early) - 1
    assert overtaken < seconds / 2
