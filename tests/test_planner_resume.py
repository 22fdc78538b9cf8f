"""Plans that were interrupted go on behind their last row; `test_planner` has those of all rows."""

import itertools

import pytest

from farm.ledger import PassReason
from farm.options import RunOptions
from farm.planner import Planner
from farm.record import Status
from tests.recipes import commit_all, record_of
from tests.test_planner import ROWS, job, new_ledger, plan, planner_of, rows_of

__all__ = ["job"]


def row_status(row):
    return Status.OK if row % 3 == 0 else Status.FAILED


def test_a_changed_plan_goes_on_behind_its_last_row_though_more_is_done_by_then(job):
    """A worker of the pass before commits late: no row is planned twice, and none is lost."""
    ledger = new_ledger()
    before = planner_of(job, ledger)
    parts = plan(before)
    refs = ledger.shards(1, [part for part, _ in parts])
    changed = planner_of(job, ledger, reason=PassReason.CHANGED)
    list(itertools.islice(changed.plan(), 2))
    planned = [row.number for row in rows_of(ledger, 2)]
    assert planned == list(range(1, 61))
    # Rows 1 to 5 are planned already, 61 to 65 are not.
    for ref in (refs[0], refs[12]):
        rows = ledger.read_shard(ref)
        ledger.commit(ref, [record_of(row, job) for row in rows])
    again = Planner(ledger, ledger.read_pass(2), RunOptions())
    plan(again)
    assert [row.number for row in rows_of(ledger, 2)] == [*planned, *range(66, ROWS + 1)]
    seal = ledger.read_seal(2)
    assert (seal.rows, seal.carried) == (ROWS - 5, 5)


@pytest.mark.parametrize("parts", range(5))
def test_a_changed_plan_that_goes_on_carries_as_many_as_an_undisturbed_one(job, parts):
    ledger = new_ledger()
    commit_all(planner_of(job, ledger), row_status)
    changed = planner_of(job, ledger, reason=PassReason.CHANGED)
    list(itertools.islice(changed.plan(), parts))
    again = Planner(ledger, ledger.read_pass(2), RunOptions())
    planned = plan(again)
    assert [row.number for row in rows_of(ledger, 2)] == [
        row for row in range(1, ROWS + 1) if row_status(row) is Status.FAILED
    ]
    assert (ledger.read_seal(2).rows, ledger.read_seal(2).carried) == (100, 50)
    assert sum(rows for _, rows in planned) == 100


def test_a_derived_pass_goes_on_behind_what_it_has_planned(job):
    plans = []
    for parts in range(4):
        ledger = new_ledger()
        commit_all(planner_of(job, ledger), lambda row: Status.FAILED)
        commit_all(planner_of(job, ledger, reason=PassReason.RETRY), row_status)
        derived = planner_of(job, ledger, reason=PassReason.RETRY)
        list(itertools.islice(derived.plan(), parts))
        plan(Planner(ledger, ledger.read_pass(3), RunOptions()))
        refs = ledger.shards(3, ledger.parts(3))
        plans.append([ledger.read_shard(ref) for ref in refs])
    assert plans == [plans[0]] * 4
    assert len(rows_of(ledger, 3)) == ROWS - ROWS // 3
