"""Done entries: out of core they are the same as in sets and dicts, whatever the history."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm import done_entries, sorted_runs, storage
from farm.done_entries import DoneEntries
from farm.ledger import Ledger, Pass, PassReason, PlanSeal
from farm.record import Artifact, Record, Status
from farm.row import Row
from farm.spec import Job

OK, FAILED, QUARANTINED, DEFERRED = Status
NEW, CHANGED = PassReason.NEW, PassReason.CHANGED
JOB = Job.model_validate(
    {"manifest": "m", "destination": "/out", "outputs": ({"width": 8, "filename": "{id}.png"},)}
)


@pytest.fixture
def ledger():
    return new_ledger()


def new_ledger():
    return Ledger(f"memory://{uuid.uuid4()}/l", storage)


def add_pass(ledger, *shards, finished=True, left_open=()):
    """A pass whose shards are these records, and one without results over some rows."""
    number = len(ledger.passes()) + 1
    reason = NEW if number == 1 else CHANGED
    job = JOB.model_dump(mode="json")
    ledger.create_pass(Pass(number, reason, "f" * 32, job, {}, "2026-01-01", "0.1.0"))
    rows = [[Row(each.row, {"source": "s"}) for each in shard] for shard in shards if shard]
    open_rows = [Row(row, {"source": "s", "id": str(row)}) for row in left_open]
    planned = [*rows, *([open_rows] if open_rows else [])]
    if planned:
        ledger.put_part(number, 0, planned)
    refs = ledger.shards(number, ledger.parts(number))
    for ref, shard in zip(refs, filter(None, shards), strict=False):
        ledger.commit(ref, shard)
    ledger.seal_plan(number, PlanSeal(min(1, len(planned)), sum(map(len, planned))))
    if finished:
        ledger.finish_pass(number, 0)


def record(row, status=OK, *, keys=None, output="a", **fields):
    """A record; `output` stands for the outputs that were asked for, `keys` are its files."""
    names = [str(row)] if keys is None else keys
    if status is OK:
        made = [Artifact(f"/out/{name}.png", 0, 1, 10, "0" * 64, 16, 12, "png") for name in names]
        fields = {"artifacts": tuple(made)} | fields
    fields = {"fingerprint": fingerprint(row, output)} | fields
    return Record(row=row, status=status, source=str(row), **fields)


def fingerprint(row, output="a"):
    return f"{output}{row}".encode().rjust(16, b"_").hex()


def done(ledger, before, fingerprints):
    """Which of these are done."""
    asked = list(fingerprints)
    with DoneEntries(ledger, before) as entries:
        return {each for each, is_done in zip(asked, entries.contains(asked), strict=True)
                if is_done}  # fmt: skip


def done_in_memory(ledger, before):
    """The model: all fingerprints that are done, found with sets."""
    found, newer = set(), set()
    for number in range(before - 1, 0, -1):
        stored = set()
        for table in ledger.tables(number, ["status", "fingerprint", "artifacts"]):
            for row in table.to_pylist():
                uris = {artifact["uri"] for artifact in row["artifacts"]}
                if row["status"] == OK.value and newer.isdisjoint(uris):
                    found.add(row["fingerprint"])
                stored |= uris
        newer |= stored
        if ledger.deferred(number) is None:
            newer.update(done_entries._perhaps_stored(ledger, number))
    return found


ALL = [fingerprint(row, output) for row in range(1, 9) for output in "abc"]


class TestDoneEntries:
    def test_only_those_that_ended_well(self, ledger):
        add_pass(ledger, [record(1), record(2, FAILED), record(3, DEFERRED)])
        assert done(ledger, 2, ALL) == {fingerprint(1)}

    def test_failed_rows_without_a_fingerprint_are_no_trouble(self, ledger):
        add_pass(ledger, [record(1, FAILED, fingerprint=None)])
        assert done(ledger, 2, ALL) == set()

    def test_nor_are_done_ones_that_no_farm_of_ours_wrote(self, ledger):
        add_pass(ledger, [record(1, fingerprint=None), record(2, fingerprint="abc"), record(3)])
        assert done(ledger, 2, ALL) == {fingerprint(3)}

    def test_before_the_first_pass_there_is_none(self, ledger):
        assert done(ledger, 1, ALL) == set()

    def test_rows_without_a_fingerprint_are_never_done(self, ledger):
        add_pass(ledger, [record(1), record(2)])
        with DoneEntries(ledger, 2) as entries:
            asked = [None, fingerprint(2), None, fingerprint(3), fingerprint(1)]
            assert entries.contains(asked) == [False, True, False, False, True]
            assert entries.contains([]) == []
            assert len(entries) == 2

    def test_all_passes_before_count_and_none_after(self, ledger):
        for row in (1, 2, 3):
            add_pass(ledger, [record(row)])
        assert done(ledger, 3, ALL) == {fingerprint(1), fingerprint(2)}

    def test_two_rows_of_one_fingerprint_are_both_done(self, ledger):
        add_pass(ledger, [record(1, id="same"), record(2, fingerprint=fingerprint(1), id="same")])
        assert done(ledger, 2, ALL) == {fingerprint(1)}

    def test_what_a_later_pass_replaced_is_not_done(self, ledger):
        add_pass(ledger, [record(1), record(2)])
        add_pass(ledger, [record(1, output="b")])
        assert done(ledger, 3, ALL) == {fingerprint(1, "b"), fingerprint(2)}

    def test_one_of_many_files_is_enough(self, ledger):
        add_pass(ledger, [record(1, keys=["x", "y", "z"])])
        add_pass(ledger, [record(2, keys=["y"])])
        assert done(ledger, 3, ALL) == {fingerprint(2)}

    def test_there_and_back_again(self, ledger):
        add_pass(ledger, [record(1)])
        add_pass(ledger, [record(1, output="b")])
        add_pass(ledger, [record(1)])
        assert done(ledger, 4, ALL) == {fingerprint(1)}

    def test_other_outputs_under_other_keys_replace_nothing(self, ledger):
        add_pass(ledger, [record(1)])
        add_pass(ledger, [record(1, keys=["1-w32"], output="b")])
        assert done(ledger, 3, ALL) == {fingerprint(1), fingerprint(1, "b")}

    def test_a_pass_that_was_not_finished_may_have_replaced_what_it_had_planned(self, ledger):
        add_pass(ledger, [record(1), record(2), record(3)])
        add_pass(ledger, [record(3, output="b")], finished=False, left_open=[1])
        assert done(ledger, 3, ALL) == {fingerprint(2), fingerprint(3, "b")}


ROWS = st.integers(1, 8)
RECORDS = st.builds(
    record,
    ROWS,
    st.sampled_from([OK, OK, OK, FAILED, DEFERRED]),
    keys=st.lists(ROWS.map(str), max_size=3),
    output=st.sampled_from("abc"),
)
SHARDS = st.lists(st.lists(RECORDS, max_size=4), max_size=3)
PASSES = st.lists(st.tuples(SHARDS, st.booleans(), st.lists(ROWS, max_size=2)), max_size=5)


@settings(max_examples=60)
@given(PASSES, st.sampled_from([24, 100, 1 << 20]))
def test_any_history_gives_what_sets_in_memory_give(passes, run_bytes):
    """With runs of one record, of a few, and of all."""
    ledger = new_ledger()
    for shards, finished, left_open in passes:
        add_pass(ledger, *shards, finished=finished, left_open=left_open)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_runs, "_RUN_BYTES", run_bytes)
        for before in range(1, len(passes) + 2):
            assert done(ledger, before, ALL) == done_in_memory(ledger, before)
