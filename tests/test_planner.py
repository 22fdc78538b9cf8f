"""The planner: the same rows give the same shards, however often it is interrupted."""

import itertools
import threading
import uuid
from concurrent.futures import wait

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm import planner as module
from farm import storage
from farm.errors import InvalidEntryError, InvalidManifestError, StoreUnavailableError
from farm.ledger import Ledger, Part, Pass, PassReason
from farm.options import RunOptions
from farm.planner import Planner
from farm.record import Status
from farm.source_list import SourceList
from tests.lanes import wait_until
from tests.recipes import commit_all, make_job, plan_rows, write_manifest

ROWS = 150


@pytest.fixture
def job(tmp_path):
    write_manifest(tmp_path / "list.jsonl", ({"source": f"{n}.syn"} for n in range(1, ROWS + 1)))
    return make_job(tmp_path, settings={"shard_entries": 5})


def new_ledger(store=storage):
    return Ledger(f"memory://{uuid.uuid4()}/l", store)


def planner_of(job, ledger, options=None, *, reason=PassReason.NEW, **fields):
    manifest = SourceList(job.manifest, ledger.uri, job.destination).identity((), False)
    number = len(ledger.passes()) + 1
    one = Pass(number, reason, "f", job.model_dump(mode="json"), manifest, "c", "v", **fields)
    ledger.create_pass(one)
    return Planner(ledger, one, options or RunOptions())


def content(ledger):
    """Everything that a plan stored, by its place in the ledger."""
    listed = storage.list_files(f"{ledger.uri}/pass-0001/")
    return {each.uri.removeprefix(ledger.uri): storage.get(each.uri) for each in listed}


def rows_of(ledger, number=1):
    refs = ledger.shards(number, ledger.parts(number))
    return [row for ref in refs for row in ledger.read_shard(ref)]


def plan(planner):
    return list(planner.plan())


class TestPlan:
    def test_parts_grow_and_the_seal_ends_them(self, job):
        ledger = new_ledger()
        planner = planner_of(job, ledger)
        assert not planner.is_planned()
        assert plan(planner) == [(Part(0, 4), 20), (Part(1, 8), 40), (Part(2, 16), 80),
                                 (Part(3, 2), 10)]  # fmt: skip
        seal = ledger.read_seal(1)
        assert (seal.parts, seal.rows, seal.carried) == (4, ROWS, 0)
        assert [row.number for row in rows_of(ledger)] == list(range(1, ROWS + 1))
        assert planner.is_planned()

    def test_an_empty_manifest_has_a_sealed_plan(self, job, tmp_path):
        write_manifest(tmp_path / "list.jsonl", [])
        ledger = new_ledger()
        assert plan(planner_of(job, ledger)) == []
        assert ledger.read_seal(1).rows == 0

    @pytest.mark.parametrize("puts", range(6))
    def test_interrupted_by_the_store_it_ends_like_an_undisturbed_one(self, job, puts):
        undisturbed = new_ledger()
        plan(planner_of(job, undisturbed))
        ledger = new_ledger(FailingStore(puts))
        with pytest.raises(StoreUnavailableError):
            plan(planner_of(job, ledger))
        again = Ledger(ledger.uri, storage)
        if not again.passes():
            planner_of(job, again)
        plan(Planner(again, again.read_pass(1), RunOptions()))
        assert content(again) == content(undisturbed)

    @pytest.mark.parametrize("rows", [0, 1, 19, 20, 21, 60, 100, 149, 150])
    def test_interrupted_while_reading_it_ends_like_an_undisturbed_one(
        self, job, rows, monkeypatch
    ):
        undisturbed, ledger = new_ledger(), new_ledger()
        plan(planner_of(job, undisturbed))
        real = SourceList.rows

        def broken(sources, identity):
            yield from itertools.islice(real(sources, identity), rows)
            raise InvalidManifestError("the store went away")

        with monkeypatch.context() as patch:
            patch.setattr(SourceList, "rows", broken)
            with pytest.raises(InvalidManifestError, match="went away"):
                plan(planner_of(job, ledger))
        assert ledger.read_seal(1) is None
        plan(Planner(ledger, ledger.read_pass(1), RunOptions()))
        assert content(ledger) == content(undisturbed)

    def test_parts_that_are_there_are_not_written_again(self, job):
        ledger = new_ledger()
        planner = planner_of(job, ledger)
        list(itertools.islice(planner.plan(), 2))
        before = ledger.parts(1)
        assert [part for part, _ in plan(planner)][: len(before)] == before


class FailingStore:
    """Farm storage that takes so many new objects and no more."""

    def __init__(self, puts):
        self._left = puts

    def put_new(self, uri, data):
        self._left -= 1
        if self._left < 0:
            raise StoreUnavailableError("the store went away")
        return storage.put_new(uri, data)

    def __getattr__(self, name):
        return getattr(storage, name)


class TestRows:
    def test_limit_takes_the_first(self, job):
        ledger = new_ledger()
        plan(planner_of(job, ledger, RunOptions(limit=7)))
        assert [row.number for row in rows_of(ledger)] == [1, 2, 3, 4, 5, 6, 7]

    def test_a_sample_is_random_in_order_and_the_same_each_time(self, job):
        taken = []
        for _ in range(2):
            ledger = new_ledger()
            plan(planner_of(job, ledger, RunOptions(sample=20)))
            taken.append([row.number for row in rows_of(ledger)])
        assert taken[0] == taken[1] == sorted(set(taken[0]))
        assert len(taken[0]) == 20
        assert max(taken[0]) > 100

    def test_a_sample_of_more_than_all_is_all(self, job):
        ledger = new_ledger()
        plan(planner_of(job, ledger, RunOptions(sample=1000)))
        assert len(rows_of(ledger)) == ROWS

    def test_the_plan_of_a_sample_tells_of_how_many_rows_it_is(self, job):
        sampled, whole = new_ledger(), new_ledger()
        plan(planner_of(job, sampled, RunOptions(sample=20)))
        plan(planner_of(job, whole))
        assert sampled.read_seal(1).drawn_from == ROWS
        assert whole.read_seal(1).drawn_from is None

    @given(st.integers(0, 40), st.integers(1, 40))
    def test_any_sample_has_so_many_rows(self, rows, count):
        sample, drawn_from = module._sample(plan_rows(rows), count)
        assert drawn_from == rows
        assert len(sample) == min(rows, count)
        assert len({row.number for row in sample}) == len(sample)

    def test_what_changed_is_redone_and_the_rest_carried(self, job, tmp_path):
        ledger = new_ledger()
        commit_all(planner_of(job, ledger), lambda row: Status.FAILED if row == 3 else Status.OK)
        sources = [{"source": f"{n}.syn"} for n in range(1, ROWS + 1)]
        sources[9] = {"source": "10.syn", "width": 8}
        write_manifest(tmp_path / "list.jsonl", [*sources, "{", {"source": "new.syn"}])
        again = planner_of(job, ledger, reason=PassReason.CHANGED)
        plan(again)
        assert [row.number for row in rows_of(ledger, 2)] == [3, 10, 151, 152]
        assert ledger.read_seal(2).carried == ROWS - 2

    def test_rows_that_make_no_sense_are_planned_like_any_other(self, job, tmp_path):
        write_manifest(tmp_path / "list.jsonl", [{"source": "a"}, "{", {"sauce": "b"}])
        ledger = new_ledger()
        plan(planner_of(job, ledger))
        rows = rows_of(ledger)
        assert [row.fields is None for row in rows] == [False, True, False]
        assert rows[1].error

    @pytest.mark.parametrize(
        ("bad", "error", "message"),
        [
            ("{", InvalidManifestError, r"list\.jsonl, row 2: "),
            ({"sauce": "b"}, InvalidEntryError, r"row 2: sauce: unknown column"),
        ],
    )
    def test_a_strict_run_stops_before_it_starts(self, job, tmp_path, bad, error, message):
        write_manifest(tmp_path / "list.jsonl", [{"source": "a"}, bad])
        ledger = new_ledger()
        planner = planner_of(job, ledger, RunOptions(strict=True))
        with pytest.raises(error, match=message), planner.in_background():
            pytest.fail("the plan must not begin")
        assert ledger.parts(1) == []

    @pytest.mark.parametrize(
        ("reason", "rows"), [(PassReason.RETRY, [2]), (PassReason.DEFERRED, [3])]
    )
    def test_a_derived_pass_takes_up_what_is_left(self, job, tmp_path, reason, rows):
        write_manifest(tmp_path / "list.jsonl", ({"source": f"{n}.syn"} for n in range(1, 5)))
        ledger = new_ledger()
        statuses = [Status.OK, Status.FAILED, Status.DEFERRED, Status.QUARANTINED]
        commit_all(planner_of(job, ledger), lambda row: statuses[row - 1])
        plan(planner_of(job, ledger, reason=reason, parent=1, shard_entries=1))
        assert [row.number for row in rows_of(ledger, 2)] == rows
        assert len(ledger.shards(2, ledger.parts(2))) == len(rows)


def rows_read_until_given_up(planner, monkeypatch, *, at):
    """How many rows of the manifest are read where a plan is given up at one of them."""
    real = SourceList.rows
    read = []

    def slow(sources, identity):
        for row in real(sources, identity):
            read.append(row.number)
            if row.number == at:
                planner.given_up.wait(10)
            yield row

    with monkeypatch.context() as patch:
        patch.setattr(SourceList, "rows", slow)
        with planner.in_background() as planned:
            wait_until(lambda: len(read) == at)
            planned.give_up()
    return len(read)


class TestInBackground:
    def test_it_hands_out_each_shard_once(self, job):
        ledger = new_ledger()
        with planner_of(job, ledger).in_background() as planned:
            taken = []
            while not planned.is_complete():
                taken += planned.take()
            taken += planned.take()
            assert planned.rows() == ROWS
        assert taken == ledger.shards(1, ledger.parts(1))

    def test_work_can_begin_before_the_plan_is_complete(self, job, monkeypatch):
        real = SourceList.rows
        go_on = threading.Event()

        def slow(sources, identity):
            for row in real(sources, identity):
                if row.number == 100:
                    go_on.wait(10)
                yield row

        monkeypatch.setattr(SourceList, "rows", slow)
        with planner_of(job, new_ledger()).in_background() as planned:
            taken = []
            wait_until(lambda: taken.extend(planned.take()) or len(taken) == 12)
            assert planned.rows() is None
            assert not planned.is_complete()
            go_on.set()
            wait_until(lambda: taken.extend(planned.take()) or planned.is_complete())
        assert len(taken) == 30

    def test_given_up_it_ends_at_the_next_row(self, job, monkeypatch):
        ledger = new_ledger()
        planner = planner_of(job, ledger)
        assert rows_read_until_given_up(planner, monkeypatch, at=30) == 30
        assert ledger.parts(1) == [Part(0, 4)]
        assert ledger.read_seal(1) is None

    def test_given_up_it_waits_for_no_part_that_may_never_come(self, job, monkeypatch):
        ledger = new_ledger()
        commit_all(planner_of(job, ledger), lambda row: Status.OK)
        changed = planner_of(job, ledger, reason=PassReason.CHANGED)
        sampled = planner_of(job, new_ledger(), RunOptions(sample=5))
        for planner in (changed, sampled):
            assert rows_read_until_given_up(planner, monkeypatch, at=30) == 30
            assert planner.ledger.parts(planner.number) == []

    def test_what_stops_the_plan_reaches_the_run(self, job, monkeypatch):
        def broken(sources, identity):
            yield from plan_rows(30)
            raise InvalidManifestError("the store went away")

        monkeypatch.setattr(SourceList, "rows", broken)
        with planner_of(job, new_ledger()).in_background() as planned:
            wait([planned._work])
            assert len(planned.take()) == 4
            assert not planned.is_complete()
            with pytest.raises(InvalidManifestError, match="went away"):
                planned.take()

    def test_committed_shards_are_not_handed_out_and_no_entry_is_read(self, job, monkeypatch):
        ledger = new_ledger()
        planner = planner_of(job, ledger)
        plan(planner)
        refs = ledger.shards(1, ledger.parts(1))
        for ref in refs[:-3]:
            ledger.commit(ref, [])
        monkeypatch.setattr(SourceList, "rows", None)
        monkeypatch.setattr(Ledger, "read_shard", None)
        with planner.in_background() as planned:
            wait([planned._work])
            assert planned.take() == refs[-3:]
            assert planned.is_complete()
            assert planned.rows() == ROWS * 3 // len(refs)

    def test_committed_shards_of_an_interrupted_plan_are_not_handed_out(self, job):
        ledger = new_ledger()
        planner = planner_of(job, ledger)
        list(itertools.islice(planner.plan(), 1))
        first = ledger.shards(1, ledger.parts(1))
        for ref in first:
            ledger.commit(ref, [])
        with planner.in_background() as planned:
            wait([planned._work])
            taken = planned.take()
            assert planned.rows() == ROWS - 20
        assert set(taken) == set(ledger.shards(1, ledger.parts(1))) - set(first)


def test_the_end_of_a_pass_counts_what_was_deferred(job):
    ledger = new_ledger()
    commit_all(planner_of(job, ledger), lambda n: Status.DEFERRED if n % 10 == 0 else Status.OK)
    assert ledger.deferred(1) == ROWS // 10


@pytest.mark.parametrize("reason", PassReason)
def test_every_pass_says_what_it_is(job, reason):
    assert planner_of(job, new_ledger(), reason=reason).describe().startswith("pass 1: ")
