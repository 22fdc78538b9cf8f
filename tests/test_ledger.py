"""The ledger: what is put once stays, on the local disk and on a store in memory."""

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm import storage
from farm.effort import Effort
from farm.errors import RunConflictError
from farm.ledger import Ledger, Part, Pass, PassReason, PlanSeal, ShardRef
from farm.ledger_form import SCHEMA_VERSION, effort_of
from farm.record import Record, Status
from farm.row import Row
from tests.recipes import plan_rows

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)
FIELDS = st.dictionaries(st.text(max_size=8), JSON, max_size=3)
ROWS = st.builds(Row, st.integers(0, 1 << 60), FIELDS) | st.builds(
    Row, st.integers(0, 1 << 60), st.none(), st.text(max_size=20)
)


@pytest.fixture(params=["local", "memory"])
def uri(request, tmp_path):
    return str(tmp_path / "ledger") if request.param == "local" else f"memory://{uuid.uuid4()}/l"


@pytest.fixture
def ledger(uri):
    return Ledger(uri, storage)


def a_pass(number=1, **fields):
    return Pass(
        **{
            "number": number,
            "reason": PassReason.NEW,
            "fingerprint": "f" * 32,
            "job": {"manifest": "list.jsonl"},
            "manifest": {"uri": "list.jsonl", "size": 3},
            "created": "2026-01-01T00:00:00+00:00",
            "farm_version": "0.1.0",
        }
        | fields
    )


def ok(row, **fields):
    return Record(row=row, status=Status.OK, source=f"{row}.syn", **fields)


def ref_of(ledger, *, part=0, shards=2, index=0):
    return ShardRef(ledger.uri, 1, part, shards, index)


class TestPasses:
    def test_they_come_back_as_they_were_made_oldest_first(self, ledger):
        assert ledger.passes() == []
        made = [a_pass(1), a_pass(2, reason=PassReason.RETRY, parent=1, shard_entries=7)]
        for one in made:
            ledger.create_pass(one)
        assert ledger.passes() == made
        assert ledger.read_pass(2) == made[1]

    def test_two_runs_never_make_the_same_one(self, ledger):
        ledger.create_pass(a_pass(fingerprint="a" * 32))
        with pytest.raises(RunConflictError, match=r"pass 1 of .* made by another run"):
            ledger.create_pass(a_pass(fingerprint="b" * 32))
        assert ledger.read_pass(1).fingerprint == "a" * 32

    def test_its_end_is_put_once(self, ledger):
        assert ledger.deferred(1) is None
        ledger.finish_pass(1, 3)
        ledger.finish_pass(1, 0)
        assert ledger.deferred(1) == 3


class TestPlan:
    def test_a_part_holds_its_shards(self, ledger):
        shards = [plan_rows(3), [Row(4, None, "row 4: broken"), Row(5, {"source": "é\n"})]]
        assert ledger.put_part(1, 0, shards) == Part(0, 2)
        refs = ledger.shards(1, [Part(0, 2)])
        assert [ref.name for ref in refs] == ["000000-0000", "000000-0001"]
        assert [ledger.read_shard(ref) for ref in refs] == shards

    def test_a_part_is_put_once(self, ledger):
        ledger.put_part(1, 0, [plan_rows(1)])
        ledger.put_part(1, 0, [plan_rows(2)])
        assert ledger.read_shard(ref_of(ledger, shards=1)) == plan_rows(1)

    def test_parts_end_at_the_first_gap(self, ledger):
        assert ledger.parts(1) == []
        for part, shards in ((0, 1), (1, 2), (3, 1)):
            ledger.put_part(1, part, [plan_rows(1)] * shards)
        assert ledger.parts(1) == [Part(0, 1), Part(1, 2)]

    def test_a_plan_without_its_beginning_has_no_parts(self, ledger):
        ledger.put_part(1, 1, [plan_rows(1)])
        assert ledger.parts(1) == []

    def test_the_seal_is_put_once(self, ledger):
        assert ledger.read_seal(1) is None
        ledger.seal_plan(1, PlanSeal(2, 30, carried=4, drawn_from=99))
        ledger.seal_plan(1, PlanSeal(9, 9))
        assert ledger.read_seal(1) == PlanSeal(2, 30, carried=4, drawn_from=99)

    @given(st.lists(st.lists(ROWS, min_size=1, max_size=4), min_size=1, max_size=4))
    def test_any_row_that_json_can_say_survives(self, shards):
        ledger = Ledger(f"memory://{uuid.uuid4()}/l", storage)
        refs = ledger.shards(1, [ledger.put_part(1, 0, shards)])
        assert [ledger.read_shard(ref) for ref in refs] == shards


class TestResults:
    def test_a_commit_is_exclusive(self, ledger):
        ref = ref_of(ledger)
        assert not ledger.is_committed(ref)
        assert ledger.commit(ref, [ok(1), ok(2)]) is True
        assert ledger.commit(ref, [Record(row=1, status=Status.FAILED)]) is False
        assert ledger.is_committed(ref)
        assert ledger.results(ref, ["row", "status"]).to_pylist() == [
            {"row": 1, "status": "ok"},
            {"row": 2, "status": "ok"},
        ]

    def test_one_of_many_attempts_at_once_commits(self, tmp_path):
        ledger = Ledger(str(tmp_path), storage)
        together = threading.Barrier(8)

        def attempt(worker):
            together.wait()
            return [
                ledger.commit(ref_of(ledger, index=index), [ok(index, worker=worker)])
                for index in range(10)
            ]

        with ThreadPoolExecutor(8) as executor:
            won = list(executor.map(attempt, map(str, range(8))))
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * 10
        for index in range(10):
            (row,) = ledger.results(ref_of(ledger, index=index)).to_pylist()
            assert won[int(row["worker"])][index]
        names = {path.name for path in (tmp_path / "pass-0001/results").iterdir()}
        assert names == {f"000000-{index:04d}.parquet" for index in range(10)}

    def test_what_is_committed_is_known_by_listing_alone(self, ledger, monkeypatch):
        assert ledger.committed(1) == set()
        ledger.commit(ref_of(ledger, index=1), [ok(1)])
        ledger.commit(ref_of(ledger, part=1), [ok(2)])
        monkeypatch.setattr(storage, "get", None)
        assert ledger.committed(1) == {"000000-0001", "000001-0000"}

    def test_tables_come_shard_by_shard(self, ledger):
        ledger.commit(ref_of(ledger, index=1), [ok(3)])
        ledger.commit(ref_of(ledger, index=0), [ok(1), ok(2)])
        tables = [table["row"].to_pylist() for table in ledger.tables(1, ["row"])]
        assert tables == [[1, 2], [3]]

    def test_results_tell_what_they_took_where_that_is_known(self, ledger):
        effort = Effort("h:1", 1e9, 2.5, 4)
        ledger.commit(ref_of(ledger, index=0), [ok(1)], effort)
        ledger.commit(ref_of(ledger, index=1), [ok(2)])
        assert [effort_of(table) for table in ledger.tables(1, ["row"])] == [effort, None]

    def test_what_a_pass_takes_is_listed(self, ledger):
        assert ledger.stored(1) == (0, 0)
        ledger.commit(ref_of(ledger), [ok(1)])
        ledger.put_part(1, 0, [plan_rows(1)])
        ledger.finish_pass(2, 0)
        objects, size_bytes = ledger.stored(1)
        assert objects == 2
        assert 1000 < size_bytes < 50_000

    def test_a_shard_without_records(self, ledger):
        assert ledger.commit(ref_of(ledger), [])
        assert ledger.results(ref_of(ledger)).num_rows == 0


def test_the_newest_summary_wins(ledger):
    ledger.put_summary({"state": "paused"})
    uri = ledger.put_summary({"state": "done"})
    assert json.loads(storage.get(uri)) == {"state": "done"}
    assert uri == storage.join(ledger.uri, "summary.json")


def test_a_reference_is_small_whatever_the_shard_weighs():
    ref = ShardRef("s3://bucket/prefix/_ledger", 12, 345_678, 32, 31)
    assert len(repr(ref)) < 150
    assert ref.name == "345678-0031"


def test_the_newest_estimate_is_kept(ledger):
    assert ledger.read_estimate() is None
    for entries in (10, 20):
        ledger.put_estimate({"entries": entries})
    kept = ledger.read_estimate()
    assert (kept["entries"], kept["schema_version"]) == (20, SCHEMA_VERSION)
