"""Passes: which rows a command takes up, after whatever went before."""

import pytest

from farm.errors import RunConflictError
from farm.ledger import PassReason
from farm.options import RunOptions
from farm.passes import Passes
from farm.record import Status
from farm.source_list import SourceList
from tests.recipes import commit_all, make_job, make_ledger, write_manifest, write_source

NEW, CHANGED, FORCED = PassReason.NEW, PassReason.CHANGED, PassReason.FORCED
RETRY, DEFERRED = PassReason.RETRY, PassReason.DEFERRED


@pytest.fixture
def folder(tmp_path):
    write_manifest(tmp_path / "list.jsonl", ({"source": f"{n}.syn"} for n in range(1, 7)))
    return tmp_path


def run(folder, statuses=None, *, job=None, interrupted=False, **options):
    """What one command does: the reasons and rows of its passes.

    `statuses` are those of rows in the passes, in order; rows not named end well. Interrupted, the
    command makes one pass and plans nothing.
    """
    passes = Passes(make_ledger(folder), job or make_job(folder), RunOptions(**options))
    done = []
    for each in [*(statuses or []), *[{}] * 9]:
        planner = passes.next_planner()
        if planner is None:
            return done
        reason = planner._pass.reason
        if interrupted:
            return [(reason, None)]
        done.append((reason, commit_all(planner, lambda row, each=each: each.get(row, Status.OK))))
    raise AssertionError("there is no end of passes")


ALL = [1, 2, 3, 4, 5, 6]
BAD = {2: Status.FAILED, 4: Status.FAILED}


def test_a_new_job_walks_all_rows(folder):
    assert run(folder) == [(NEW, ALL)]


def test_a_finished_run_has_nothing_to_do_and_reads_no_entry(folder, monkeypatch):
    run(folder)
    monkeypatch.setattr(SourceList, "rows", None)
    monkeypatch.setattr(type(make_ledger(folder)), "read_shard", None)
    assert run(folder) == []


def test_the_same_job_goes_on_with_the_same_pass(folder):
    assert run(folder, interrupted=True) == [(NEW, None)]
    assert run(folder) == [(NEW, ALL)]
    assert len(make_ledger(folder).passes()) == 1


def test_settings_make_no_difference(folder):
    run(folder)
    assert run(folder, job=make_job(folder, settings={"lanes": 7, "shard_entries": 3})) == []


def test_prices_make_no_difference_and_are_not_kept(folder):
    run(folder, job=make_job(folder, prices={"worker_hour": 1}), interrupted=True)
    assert run(folder, job=make_job(folder, prices={"worker_hour": 2})) == [(NEW, ALL)]
    assert run(folder) == []
    assert "prices" not in make_ledger(folder).read_pass(1).job


class TestChange:
    def test_of_the_outputs_redoes_all(self, folder):
        run(folder)
        assert run(folder, job=make_job(folder, outputs=({"width": 8},))) == [(CHANGED, ALL)]

    def test_of_an_outputs_timeout_redoes_nothing_that_was_done(self, folder):
        run(folder, [{2: Status.QUARANTINED}])
        job = make_job(folder, outputs=({"width": 16, "format": "png", "timeout": 9},))
        assert run(folder, job=job) == [(CHANGED, [2])]

    def test_of_the_destination_redoes_all(self, folder):
        run(folder)
        job = make_job(folder, destination=str(folder / "elsewhere"))
        assert run(folder, job=job) == [(CHANGED, ALL)]

    def test_of_the_manifest_does_what_is_new(self, folder):
        run(folder)
        write_manifest(folder / "list.jsonl", ({"source": f"{n}.syn"} for n in range(3, 10)))
        assert run(folder) == [(CHANGED, [5, 6, 7])]

    def test_rows_that_only_moved_stay_done(self, folder):
        run(folder)
        write_manifest(folder / "list.jsonl", ({"source": f"{n}.syn"} for n in range(6, 0, -1)))
        assert run(folder) == [(CHANGED, [])]

    def test_there_and_back_again_redoes_what_was_replaced(self, folder):
        """Both outputs are stored under one name, so that the second replaces the first."""
        first = make_job(folder, outputs=({"width": 8, "filename": "{id}.png"},))
        second = make_job(folder, outputs=({"width": 9, "filename": "{id}.png"},))
        assert run(folder, job=first) == [(NEW, ALL)]
        assert run(folder, job=second) == [(CHANGED, ALL)]
        assert run(folder, job=first) == [(CHANGED, ALL)]
        assert run(folder, job=first) == []

    def test_there_and_back_again_under_other_names_redoes_nothing(self, folder):
        first = make_job(folder, outputs=({"width": 8},))
        second = make_job(folder, outputs=({"width": 9},))
        assert run(folder, job=first) == [(NEW, ALL)]
        assert run(folder, job=second) == [(CHANGED, ALL)]
        assert run(folder, job=first) == [(CHANGED, [])]

    def test_within_an_unfinished_pass_takes_up_the_new_outputs_only(self, folder):
        run(folder, interrupted=True)
        job = make_job(folder, outputs=({"width": 8},))
        assert run(folder, job=job) == [(CHANGED, ALL)]
        assert run(folder, job=job) == []

    @pytest.mark.parametrize("sheets", [True, False])
    def test_back_from_an_unfinished_storyboard_redoes_what_it_may_have_replaced(
        self, folder, sheets
    ):
        board = {"kind": "storyboard", "interval": 1, "sheets": sheets, "filename": "{id}-%d.png"}
        first, second = (make_job(folder, outputs=(board | {"width": w},)) for w in (8, 9))
        assert run(folder, job=first) == [(NEW, ALL)]
        planner = Passes(make_ledger(folder), second, RunOptions()).next_planner()
        assert len(list(planner.plan())) == 1
        assert run(folder, job=first) == [(CHANGED, ALL)]


class TestRetry:
    def test_failures_stay_as_they_are_unless_asked_for(self, folder):
        run(folder, [BAD])
        assert run(folder) == []

    def test_without_any_failure_there_is_nothing_to_do(self, folder):
        run(folder)
        assert run(folder, retry_failed=True) == []
        assert len(make_ledger(folder).passes()) == 1

    def test_it_takes_up_what_failed(self, folder):
        run(folder, [BAD])
        assert run(folder, [{4: Status.FAILED}], retry_failed=True) == [(RETRY, [2, 4])]
        assert run(folder, retry_failed=True) == [(RETRY, [4])]

    def test_it_leaves_out_what_is_in_quarantine(self, folder):
        run(folder, [{2: Status.FAILED, 4: Status.QUARANTINED}])
        assert run(folder, retry_failed=True) == [(RETRY, [2])]

    def test_it_is_made_once_by_a_command_though_entries_fail_again(self, folder):
        run(folder, [BAD])
        assert run(folder, [BAD], retry_failed=True) == [(RETRY, [2, 4])]

    def test_an_interrupted_one_is_continued_and_not_repeated(self, folder):
        run(folder, [BAD])
        run(folder, interrupted=True, retry_failed=True)
        assert run(folder, [BAD], retry_failed=True) == [(RETRY, [2, 4])]
        assert len(make_ledger(folder).passes()) == 2

    def test_an_interrupted_run_is_finished_first(self, folder):
        run(folder, interrupted=True)
        assert run(folder, [BAD], retry_failed=True) == [(NEW, ALL), (RETRY, [2, 4])]


class TestForce:
    def test_it_redoes_everything_once(self, folder):
        run(folder)
        assert run(folder, force=True) == [(FORCED, ALL)]
        assert run(folder) == []

    def test_an_interrupted_one_is_continued_and_not_repeated(self, folder):
        run(folder)
        run(folder, interrupted=True, force=True)
        assert run(folder, force=True) == [(FORCED, ALL)]
        assert len(make_ledger(folder).passes()) == 2

    def test_with_other_outputs_it_redoes_everything_once(self, folder):
        run(folder)
        job = make_job(folder, outputs=({"width": 8},))
        assert run(folder, job=job, force=True) == [(FORCED, ALL)]
        assert run(folder, job=job) == []


class TestSelection:
    def test_a_limit_is_a_run_of_its_own_whose_rows_stay_done(self, folder):
        assert run(folder, limit=2) == [(NEW, [1, 2])]
        assert run(folder, limit=2) == []
        assert run(folder, limit=4) == [(CHANGED, [3, 4])]
        assert run(folder) == [(CHANGED, [5, 6])]

    def test_a_sample_is_a_run_of_its_own_whose_rows_stay_done(self, folder):
        ((reason, rows),) = run(folder, sample=3)
        assert (reason, len(rows)) == (NEW, 3)
        assert run(folder, sample=3) == []
        assert run(folder) == [(CHANGED, [row for row in ALL if row not in rows])]

    def test_a_refresh_finds_new_files(self, folder):
        (folder / "in").mkdir()
        for name in "abc":
            write_source(folder / f"in/{name}.syn")
        job = make_job(folder, manifest=f"{folder}/in/")
        assert run(folder, job=job) == [(NEW, [1, 2, 3])]
        write_source(folder / "in/aa.syn")
        assert run(folder, job=job) == []
        assert run(folder, job=job, refresh=True) == [(CHANGED, [2])]
        assert run(folder, job=job) == []


class TestDeferred:
    def test_rows_are_taken_up_until_none_is_left(self, folder):
        left = [{4: Status.DEFERRED, 5: Status.DEFERRED}, {5: Status.DEFERRED}]
        assert run(folder, left) == [(NEW, ALL), (DEFERRED, [4, 5]), (DEFERRED, [5])]

    def test_shards_shrink_to_what_one_could_do(self, folder):
        write_manifest(folder / "list.jsonl", ({"source": f"{n}.syn"} for n in range(1, 65)))
        job = make_job(folder, settings={"shard_entries": 16})
        late = {row: Status.DEFERRED for row in range(1, 65) if row % 16 >= 5 or row % 16 == 0}
        assert [reason for reason, _ in run(folder, [late], job=job)] == [NEW, DEFERRED]
        ledger = make_ledger(folder)
        assert ledger.passes()[1].shard_entries == 4
        refs = ledger.shards(2, ledger.parts(2))
        assert [len(ledger.read_shard(ref)) for ref in refs] == [4] * 12

    def test_a_shard_never_shrinks_to_nothing(self, folder):
        late = dict.fromkeys(ALL, Status.DEFERRED)
        run(folder, [late])
        assert make_ledger(folder).passes()[1].shard_entries == 1

    def test_with_other_outputs_they_are_part_of_all_that_is_redone(self, folder):
        passes = Passes(make_ledger(folder), make_job(folder), RunOptions())
        commit_all(passes.next_planner(), lambda row: Status.DEFERRED)
        job = make_job(folder, outputs=({"width": 8},))
        assert run(folder, job=job) == [(CHANGED, ALL)]

    def test_they_come_before_a_retry(self, folder):
        statuses = [{2: Status.FAILED, 3: Status.DEFERRED}]
        done = run(folder, statuses, retry_failed=True)
        assert done == [(NEW, ALL), (DEFERRED, [3]), (RETRY, [2])]


def test_of_two_commands_at_once_one_is_told(folder):
    run(folder)
    ledger = make_ledger(folder)
    as_seen = ledger.passes()
    ledger.passes = lambda: as_seen
    run(folder, interrupted=True, force=True)
    behind = Passes(ledger, make_job(folder), RunOptions(force=True))
    with pytest.raises(RunConflictError, match="made by another run"):
        behind.next_planner()
