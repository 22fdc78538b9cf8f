"""What every cluster must do, over real shards of a few recipes."""

import time

from farm.cluster import Outcome, OutcomeKind
from farm.history import final_records
from farm.ledger import ShardRef
from farm.options import RunOptions
from farm.passes import Passes
from farm.record import Status
from tests.recipes import (
    OUTPUT,
    make_job,
    make_ledger,
    records_by_row,
    write_manifest,
    write_source,
)


def plan_shards(
    folder, recipes, *, shard_entries=2, destination=None, drain_seconds=30.0, timeout=300.0
) -> list[ShardRef]:
    """The shards of a planned job over these recipes."""
    for number, values in enumerate(recipes, 1):
        write_source(folder / f"{number}.syn", **values)
    rows = ({"source": f"{number}.syn"} for number in range(1, len(recipes) + 1))
    write_manifest(folder / "list.jsonl", rows)
    ledger = make_ledger(folder)
    job = make_job(
        folder,
        outputs=[OUTPUT | {"timeout": timeout}],
        destination=destination or str(folder / "out"),
        settings={"shard_entries": shard_entries, "drain_seconds": drain_seconds},
    )
    planner = Passes(ledger, job, RunOptions()).next_planner()
    return ledger.shards(1, [part for part, _ in planner.plan()])


def next_outcomes(cluster, count, *, seconds=60.0) -> list[Outcome]:
    """So many outcomes; fails where they take too long."""
    found: list[Outcome] = []
    deadline = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} outcomes came"
        if outcome := cluster.next_outcome(0.1):
            found.append(outcome)
    return found


def statuses(folder) -> dict[int, Status]:
    """The newest status of every row."""
    records = records_by_row(final_records(make_ledger(folder)))
    return {row: record.status for row, record in records.items()}


class ClusterContract:
    """Subclasses give `cluster`, which is shared, and `new_cluster`, another run's handle on it."""

    def test_each_shard_ends_in_one_commit(self, cluster, tmp_path):
        refs = plan_shards(tmp_path, [{"seed": n} for n in range(8)])
        for ref in refs:
            cluster.submit(ref, 1, is_final=False)
        outcomes = next_outcomes(cluster, len(refs))
        assert sorted(outcome.ref for outcome in outcomes) == refs
        assert {outcome.kind for outcome in outcomes} == {OutcomeKind.COMMITTED}
        assert [outcome.summary.entries for outcome in outcomes] == [2] * 4
        assert statuses(tmp_path) == dict.fromkeys(range(1, 9), Status.OK)
        assert cluster.next_outcome(0.01) is None

    def test_a_second_attempt_finds_the_first_ones_commit(self, cluster, tmp_path):
        (ref,) = plan_shards(tmp_path, [{}])
        for number in (1, 2):
            cluster.submit(ref, number, is_final=False)
        first, second = next_outcomes(cluster, 2)
        assert {first.kind, second.kind} == {OutcomeKind.COMMITTED}
        assert sorted((first.summary.was_done, second.summary.was_done)) == [False, True]

    def test_an_attempt_that_cannot_be_made_has_failed(self, cluster, tmp_path):
        ref = ShardRef(str(tmp_path / "none"), 1, 0, 1, 0)
        cluster.submit(ref, 1, is_final=False)
        (outcome,) = next_outcomes(cluster, 1)
        assert (outcome.ref, outcome.kind) == (ref, OutcomeKind.FAILED)
        assert "pass-0001" in outcome.reason

    def test_a_cause_from_outside_blocks_a_shard_unless_it_is_for_good(self, cluster, tmp_path):
        # Nobody, root included, makes folders there.
        (ref,) = plan_shards(tmp_path, [{}] * 6, shard_entries=6, destination="/sys/farm")
        cluster.submit(ref, 1, is_final=False)
        (blocked,) = next_outcomes(cluster, 1)
        assert (blocked.kind, blocked.summary.blocked_by) == (OutcomeKind.BLOCKED, "store_denied")
        assert blocked.reason
        assert not make_ledger(tmp_path).is_committed(ref)
        cluster.submit(ref, 2, is_final=True)
        (final,) = next_outcomes(cluster, 1)
        assert (final.kind, final.summary.counts) == (OutcomeKind.COMMITTED, {"failed": 6})

    def test_nothing_to_wait_for(self, cluster):
        began = time.monotonic()
        assert cluster.next_outcome(0.05) is None
        assert time.monotonic() - began < 5

    def test_a_drain_is_of_one_run(self, cluster, new_cluster, tmp_path):
        (tmp_path / "other").mkdir()
        mine = plan_shards(tmp_path, [{}] * 4)
        others = plan_shards(tmp_path / "other", [{}] * 4)
        with new_cluster() as draining:
            draining.drain()
            for ref in mine:
                draining.submit(ref, 1, is_final=False)
            for ref in others:
                cluster.submit(ref, 1, is_final=False)
            left = next_outcomes(draining, len(mine))
            next_outcomes(cluster, len(others))
        assert {outcome.summary.blocked_by for outcome in left} == {"drain"}
        assert statuses(tmp_path) == {}
        assert set(statuses(tmp_path / "other").values()) == {Status.OK}
