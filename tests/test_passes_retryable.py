"""Passes over what failed and may succeed by now, which a run makes by itself."""

import pytest

from farm.history import totals
from farm.ledger import PassReason
from farm.options import RunOptions
from farm.passes import Passes
from farm.record import Status
from tests.recipes import commit_all, make_job, make_ledger, write_manifest
from tests.test_passes import ALL, folder, run

__all__ = ["folder"]

NEW, CHANGED, RETRY = PassReason.NEW, PassReason.CHANGED, PassReason.RETRY
DEFERRED, RETRYABLE = PassReason.DEFERRED, PassReason.RETRYABLE
GONE, DENIED = "source_unavailable", "source_denied"


def test_what_may_succeed_by_now_is_taken_up_by_itself(folder):
    ends = [{2: GONE, 3: DENIED, 4: Status.FAILED, 5: Status.QUARANTINED}]
    assert run(folder, ends) == [(NEW, ALL), (RETRYABLE, [2])]
    assert run(folder) == []


def test_three_times_and_no_more_by_any_command(folder):
    ends = [{2: GONE}] * 9
    assert run(folder, ends) == [(NEW, ALL), *[(RETRYABLE, [2])] * 3]
    assert run(folder, ends) == []


@pytest.mark.parametrize("passes", [0, 1, 5])
def test_as_often_as_is_wanted(folder, passes):
    ends = [{2: GONE}] * 9
    assert run(folder, ends, passes=passes) == [(NEW, ALL), *[(RETRYABLE, [2])] * passes]


def test_who_fails_for_another_cause_is_not_taken_up_again(folder):
    ends = [{2: GONE, 3: GONE, 4: GONE}, {2: "corrupt", 3: Status.QUARANTINED, 4: GONE}]
    assert run(folder, ends) == [(NEW, ALL), (RETRYABLE, [2, 3, 4]), (RETRYABLE, [4])]


def test_deferred_ones_come_first_and_count_for_nothing(folder):
    late = Status.DEFERRED
    ends = [{1: late, 2: GONE}, {1: late}, {1: GONE}, {1: GONE, 2: late}, {}, {1: GONE}]
    assert run(folder, ends) == [
        (NEW, ALL), (DEFERRED, [1]), (DEFERRED, [1]), (RETRYABLE, [1, 2]), (DEFERRED, [2]),
        (RETRYABLE, [1]), (RETRYABLE, [1]),
    ]  # fmt: skip


def test_an_interrupted_one_is_continued_and_counts(folder):
    run(folder, [{2: GONE}], passes=0)
    assert run(folder, interrupted=True) == [(RETRYABLE, None)]
    assert run(folder, [{2: GONE}] * 9) == [(RETRYABLE, [2])] * 3


def test_who_asks_for_a_retry_has_as_many_again(folder):
    ends = [{2: GONE, 3: Status.FAILED}] * 9
    run(folder, ends, passes=1)
    assert run(folder, ends, passes=1, retry_failed=True) == [(RETRY, [2, 3]), (RETRYABLE, [2])]


def test_a_changed_pass_begins_anew(folder):
    run(folder, [{2: GONE}] * 9)
    job = make_job(folder, outputs=({"width": 8},))
    assert run(folder, [{2: GONE}], job=job) == [(CHANGED, ALL), (RETRYABLE, [2])]


@pytest.mark.parametrize(("limit", "pauses"), [(60.0, [2, 12, 60]), (0.0, [0, 0, 0])])
def test_pauses_grow_up_to_the_longest_that_the_job_allows(folder, limit, pauses):
    job = make_job(folder, settings={"pause_seconds": limit})
    passes = Passes(make_ledger(folder), job, RunOptions())
    found = []
    for _ in range(4):
        planner = passes.next_planner()
        found.append(planner.pause_seconds)
        commit_all(planner, lambda row: GONE if row == 2 else Status.OK)
    assert found == [0, *pauses]
    assert planner.describe() == "pass 4: the entries that failed and may succeed by now" + (
        ", after 60 s" if limit else ""
    )


def test_two_entries_of_one_id_stay_two(folder):
    rows = ({"source": f"{n}.syn", "id": "same"} for n in range(1, 7))
    write_manifest(folder / "list.jsonl", rows)
    assert run(folder, [{2: GONE, 4: GONE}, {4: GONE}]) == [
        (NEW, ALL), (RETRYABLE, [2, 4]), (RETRYABLE, [4])
    ]  # fmt: skip
    assert totals(make_ledger(folder)).entries == 6


def test_the_totals_say_which_pass_gave_what(folder):
    run(folder, [{2: GONE, 4: GONE, 5: Status.FAILED}, {4: GONE}], passes=1)
    found = totals(make_ledger(folder))
    assert found.counts == {"ok": 4, "failed": 2}
    assert [(each.number, each.reason, each.counts) for each in found.passes] == [
        (1, NEW, {"ok": 3, "failed": 1}),
        (2, RETRYABLE, {"ok": 1, "failed": 1}),
    ]
    assert found.figures()["passes"][1] == {
        "pass": 2, "reason": "retryable", "counts": {"ok": 1, "failed": 1},
    }  # fmt: skip
