"""History: each row counts once, by its newest record, over all passes that took it up."""

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm import storage
from farm.history import (
    PassTotals,
    Totals,
    chain,
    final_records,
    final_tables,
    rows_to_redo,
    totals,
)
from farm.ledger import Ledger, Pass, PassReason, PlanSeal
from farm.prices import Usage
from farm.record import Artifact, Record, Status
from farm.row import Row
from tests.recipes import records_by_row

OK, FAILED, QUARANTINED, DEFERRED = Status


@pytest.fixture
def ledger():
    return new_ledger()


def new_ledger():
    return Ledger(f"memory://{uuid.uuid4()}/l", storage)


def add_pass(ledger, reason, shards, *, carried=0, commit=True, seal=True):
    """A pass whose shards are these records, planned, sealed and committed as asked."""
    number = len(ledger.passes()) + 1
    ledger.create_pass(Pass(number, reason, "f" * 32, {}, {}, "2026-01-01", "0.1.0"))
    rows = [[Row(_.row, {"source": f"{_.row}", "pass": number}) for _ in shard] for shard in shards]
    if rows:
        ledger.put_part(number, 0, rows)
    if seal:
        ledger.seal_plan(number, PlanSeal(min(1, len(rows)), sum(map(len, rows)), carried))
    for ref, shard in zip(ledger.shards(number, ledger.parts(number)), shards, strict=True):
        if commit:
            ledger.commit(ref, shard)
    return number


def record(row, status=OK, *, key=None, output="a", **fields):
    """A record; `output` stands for the outputs that were asked for."""
    if status is OK:
        artifact = Artifact(key or f"/out/{row}.png", 0, 1, 10, "0" * 64, 16, 12, "png")
        fields = {"artifacts": (artifact,), "bytes_read": 100} | fields
    fields = {"fingerprint": fingerprint(row, output).hex()} | fields
    return Record(row=row, status=status, source=str(row), **fields)


def fingerprint(row, output="a"):
    return f"{output}{row}".encode().ljust(16, b"_")


class TestChain:
    def passes(self, *reasons):
        return [Pass(n, r, "f", {}, {}, "c", "v") for n, r in enumerate(reasons, 1)]

    def numbers(self, *reasons):
        return [one.number for one in chain(self.passes(*reasons))]

    def test_it_begins_with_the_newest_pass_over_a_whole_manifest(self):
        new, changed, forced = PassReason.NEW, PassReason.CHANGED, PassReason.FORCED
        retry, deferred = PassReason.RETRY, PassReason.DEFERRED
        assert self.numbers() == []
        assert self.numbers(new) == [1]
        assert self.numbers(new, retry, deferred) == [1, 2, 3]
        assert self.numbers(new, retry, changed, deferred) == [3, 4]
        assert self.numbers(new, changed, deferred, forced) == [4]


class TestTotals:
    def test_nothing_yet(self, ledger):
        assert totals(ledger) == Totals()

    def test_figures_of_one_pass(self, ledger):
        denied = record(3, FAILED, error_code="source_denied", artifacts=())
        add_pass(ledger, PassReason.NEW, [[record(1), record(2)], [denied]])
        found = totals(ledger)
        assert found.used.entries == 3
        assert replace(found, used=Usage()) == Totals(
            entries=3,
            counts={"ok": 2, "failed": 1},
            codes={"source_denied": 1},
            pictures=2,
            bytes_read=200,
            bytes_written=20,
            passes=(PassTotals(1, PassReason.NEW, {"ok": 2, "failed": 1}),),
        )
        assert found.count(OK) == 2
        assert found.count(QUARANTINED) == 0

    def test_a_row_that_was_taken_up_again_counts_by_its_newest_record(self, ledger):
        first = [record(1), record(2, DEFERRED), record(3, FAILED, error_code="corrupt")]
        add_pass(ledger, PassReason.NEW, [first])
        add_pass(ledger, PassReason.DEFERRED, [[record(2, FAILED, error_code="timeout")]])
        add_pass(ledger, PassReason.RETRY, [[record(2)], [record(3, QUARANTINED)]])
        found = totals(ledger)
        assert found.counts == {"ok": 2, "quarantined": 1}
        assert found.codes == {}
        assert (found.entries, found.pictures) == (3, 2)

    def test_what_an_earlier_pass_had_done_is_carried(self, ledger):
        add_pass(ledger, PassReason.NEW, [[record(1), record(2)]])
        add_pass(ledger, PassReason.CHANGED, [[record(3)]], carried=2)
        found = totals(ledger)
        assert (found.entries, found.carried, found.counts) == (3, 2, {"ok": 1})

    def test_a_plan_under_way_counts_what_is_committed(self, ledger):
        add_pass(ledger, PassReason.NEW, [[record(1)]], seal=False)
        assert totals(ledger).entries == 1

    def test_two_entries_with_one_id_stay_two(self, ledger):
        add_pass(ledger, PassReason.NEW, [[record(1, id="same"), record(2, id="same")]])
        assert totals(ledger).entries == 2
        assert [_.row for _ in final_records(ledger)] == [1, 2]

    @given(st.data())
    def test_any_chain_counts_each_row_once(self, data):
        """The model: a dict from row to status, overwritten by each pass of the chain."""
        ledger, newest = new_ledger(), {}
        rows = st.lists(st.integers(1, 12), unique=True, max_size=12)
        for number in range(data.draw(st.integers(1, 4))):
            reason = PassReason.NEW if number == 0 else PassReason.RETRY
            taken = data.draw(rows if number == 0 else rows.map(lambda all_: all_[:4]))
            taken = [row for row in taken if number == 0 or row in newest]
            statuses = {row: data.draw(st.sampled_from(Status)) for row in taken}
            cut = data.draw(st.integers(0, len(taken)))
            shards = [part for part in (taken[:cut], taken[cut:]) if part]
            add_pass(ledger, reason, [[record(_, statuses[_]) for _ in part] for part in shards])
            newest |= statuses
        found = {row: each.status for row, each in records_by_row(final_records(ledger)).items()}
        assert found == newest
        assert totals(ledger).entries == len(newest)
        redo = (FAILED, QUARANTINED)
        again = sorted(row.number for row in rows_to_redo(ledger, 99, redo))
        assert again == sorted(row for row, status in newest.items() if status in redo)


def test_final_tables_have_the_asked_columns_and_the_row(ledger):
    add_pass(ledger, PassReason.NEW, [[record(1)]])
    (table,) = final_tables(ledger, ["status"])
    assert table.column_names == ["row", "status"]


class TestRowsToRedo:
    def test_they_are_the_rows_as_they_were_planned(self, ledger):
        add_pass(ledger, PassReason.NEW, [[record(1), record(2, FAILED)], [record(3, DEFERRED)]])
        assert list(rows_to_redo(ledger, 2, (FAILED,))) == [Row(2, {"source": "2", "pass": 1})]
        assert list(rows_to_redo(ledger, 2, (DEFERRED,))) == [Row(3, {"source": "3", "pass": 1})]

    def test_only_the_newest_record_of_a_row_decides(self, ledger):
        add_pass(ledger, PassReason.NEW, [[record(1, FAILED), record(2, FAILED)]])
        add_pass(ledger, PassReason.RETRY, [[record(1), record(2, FAILED)]])
        assert list(rows_to_redo(ledger, 3, (FAILED,))) == [Row(2, {"source": "2", "pass": 2})]

    def test_passes_from_that_number_on_are_not_looked_at(self, ledger):
        add_pass(ledger, PassReason.NEW, [[record(1, FAILED)]])
        add_pass(ledger, PassReason.RETRY, [[record(1)]])
        assert [row.number for row in rows_to_redo(ledger, 2, (FAILED,))] == [1]

    def test_an_earlier_chain_is_over(self, ledger):
        add_pass(ledger, PassReason.NEW, [[record(1, FAILED)]])
        add_pass(ledger, PassReason.FORCED, [[record(1)]])
        assert list(rows_to_redo(ledger, 3, (FAILED,))) == []

    def test_shards_without_results_have_nothing_to_redo(self, ledger):
        add_pass(ledger, PassReason.NEW, [[record(1, FAILED)]], commit=False)
        assert list(rows_to_redo(ledger, 2, (FAILED,))) == []
