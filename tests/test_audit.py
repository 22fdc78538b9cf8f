"""The audit and the repair, after real runs whose files were lost, cut or exchanged."""

import os
from pathlib import Path

import numpy as np
import pytest

from farm import audit as audit_module
from farm import storage
from farm.audit import Checked, FaultKind, audit
from farm.errors import (
    RunConflictError,
    SourceDeniedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from farm.ledger import Ledger, PassReason
from farm.repair import damaged_rows, plan_repair
from farm.row_set import RowSet
from farm.spec import Job
from tests.inline_run import lanes, newest_records, run_inline
from tests.recipes import OUTPUT, make_job, recipe, write_manifest, write_source
from tests.s3 import S3Server, s3_server

__all__ = ["lanes", "s3_server"]

pytestmark = pytest.mark.usefixtures("lanes")

ROWS = 6
BOARD = {"kind": "storyboard", "interval": 0.25, "width": 16, "format": "png"}
NAMES = "{id}-%d.png"


def write_archive(folder: Path, rows: int = ROWS) -> Path:
    for number in range(1, rows + 1):
        if not (folder / f"{number}.syn").exists():
            write_source(folder / f"{number}.syn", seed=number)
    return write_manifest(
        folder / "list.jsonl",
        ({"source": f"{number}.syn", "id": f"e{number}"} for number in range(1, rows + 1)),
    )


def job_of(folder: Path, **fields: object) -> Job:
    write_archive(folder)
    return make_job(folder, settings={"shard_entries": 2}, **fields)


def found(ledger: Ledger, **options: bool) -> dict[int, list[str]]:
    """The kinds of fault by row."""
    return {
        checked.row: [fault.kind.value for fault in checked.faults]
        for checked in audit(ledger, **options)
        if checked.faults
    }


def uris(ledger: Ledger, row: int) -> list[str]:
    return [artifact.uri for artifact in newest_records(ledger)[row].artifacts]


def flip(uri: str) -> None:
    """Changes a byte and leaves the size."""
    data = bytearray(storage.get(uri))
    data[-1] ^= 1
    storage.put(uri, bytes(data))


def rows_of(*rows: int) -> RowSet:
    row_set = RowSet()
    row_set.add(np.array(rows, np.int64))
    return row_set


class TestAudit:
    def test_a_run_leaves_everything_whole(self, tmp_path: Path) -> None:
        ledger = run_inline(tmp_path, job_of(tmp_path, outputs=(OUTPUT, BOARD)))
        checked = list(audit(ledger, with_hash=True))
        assert sorted(each.row for each in checked) == list(range(1, ROWS + 1))
        assert not any(each.faults for each in checked)
        # One picture, the WebVTT file and its four images.
        assert {each.files for each in checked} == {6}
        assert sum(each.size_bytes for each in checked) == sum(
            path.stat().st_size
            for path in (tmp_path / "out").rglob("*.*")
            if path.suffix in (".png", ".vtt")
        )

    def test_it_names_what_is_missing_cut_or_exchanged(self, tmp_path: Path) -> None:
        ledger = run_inline(tmp_path, job_of(tmp_path, outputs=(OUTPUT, BOARD)))
        storage.delete(uris(ledger, 1)[0])
        os.truncate(uris(ledger, 2)[1], 3)
        flip(uris(ledger, 3)[2])
        assert found(ledger) == {1: ["missing"], 2: ["changed"]}
        assert found(ledger, with_hash=True) == {1: ["missing"], 2: ["changed"], 3: ["changed"]}

    def test_it_says_what_was_expected(self, tmp_path: Path) -> None:
        ledger = run_inline(tmp_path, job_of(tmp_path))
        (uri,) = uris(ledger, 4)
        storage.put(uri, b"abc")
        size = newest_records(ledger)[4].artifacts[0].size_bytes
        (fault,) = [fault for each in audit(ledger) for fault in each.faults]
        assert (fault.uri, fault.message) == (uri, f"expected {size} bytes, found 3")

    def test_entries_that_failed_have_nothing_to_look_at(self, tmp_path: Path) -> None:
        job = job_of(tmp_path)
        (tmp_path / "3.syn").write_bytes(b"no recipe")
        ledger = run_inline(tmp_path, job)
        assert sorted(each.row for each in audit(ledger)) == [1, 2, 4, 5, 6]

    def test_a_file_that_may_not_be_read_is_not_damaged(self, tmp_path, monkeypatch) -> None:
        ledger = run_inline(tmp_path, job_of(tmp_path))
        (uri,) = uris(ledger, 2)
        real = storage.stat

        def stat(asked: str) -> storage.Listed:
            if asked == uri:
                raise SourceDeniedError("no permission")
            return real(asked)

        monkeypatch.setattr(storage, "stat", stat)
        faulty = [each for each in audit(ledger) if each.faults]
        assert [(each.row, each.is_damaged) for each in faulty] == [(2, False)]
        assert faulty[0].faults[0].kind is FaultKind.UNREADABLE

    def test_a_store_that_answers_nothing_ends_it(self, tmp_path, monkeypatch) -> None:
        ledger = run_inline(tmp_path, job_of(tmp_path))

        def stat(asked: str) -> storage.Listed:
            raise SourceDeniedError("no permission")

        monkeypatch.setattr(storage, "stat", stat)
        monkeypatch.setattr(audit_module, "_MOST_UNREADABLE", 4)
        with pytest.raises(SourceUnavailableError, match=r"4 entries in a row .* no permission"):
            list(audit(ledger))

    def test_it_is_never_far_ahead(self, tmp_path, monkeypatch) -> None:
        ledger = run_inline(tmp_path, job_of(tmp_path))
        looked = []
        monkeypatch.setattr(audit_module, "_AHEAD", 2)
        monkeypatch.setattr(audit_module, "_check", lambda *asked: looked.append(asked) or HELD)
        HELD = Checked(1, 1, "", "", 0, 0, ())  # noqa: N806
        running = audit(ledger)
        next(running)
        assert len(looked) <= 2
        running.close()

    def test_s3_keeps_the_hash_so_that_nothing_is_read(
        self, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket = s3_server.new_bucket()
        job = job_of(tmp_path, destination=f"{bucket}/out", ledger=f"{bucket}/ledger")
        ledger = run_inline(tmp_path, job)
        uri, other = uris(ledger, 5)[0], uris(ledger, 2)[0]
        data = bytearray(storage.get(uri))
        data[-1] ^= 1
        storage.put(uri, bytes(data), sha256="0" * 64)
        storage.delete(other)
        reads = []
        monkeypatch.setattr(storage, "open_stream", reads.append)
        assert found(ledger) == {5: ["changed"], 2: ["missing"]}
        assert not reads
        monkeypatch.undo()
        assert found(ledger, with_hash=True) == {5: ["changed"], 2: ["missing"]}


class TestStanding:
    def test_of_several_passes_the_newest_record_counts(self, tmp_path: Path) -> None:
        run_inline(tmp_path, job_of(tmp_path))
        for number in range(1, ROWS + 1):
            (tmp_path / f"{number}.syn").write_bytes(recipe(seed=number + 100))
        ledger = run_inline(tmp_path, job_of(tmp_path), force=True)
        assert [one.reason for one in ledger.passes()] == [PassReason.NEW, PassReason.FORCED]
        assert found(ledger, with_hash=True) == {}
        assert {each.pass_number for each in audit(ledger)} == {2}

    def test_what_was_carried_over_is_looked_at_too(self, tmp_path: Path) -> None:
        first = run_inline(tmp_path, job_of(tmp_path, outputs=(OUTPUT | {"filename": NAMES},)))
        storage.delete(uris(first, 3)[0])
        write_archive(tmp_path, ROWS + 2)
        job = make_job(tmp_path, outputs=(OUTPUT | {"filename": NAMES},))
        ledger = run_inline(tmp_path, job)
        assert ledger.read_seal(2).carried == ROWS  # type: ignore[union-attr]
        looked = sorted((each.pass_number, each.row) for each in audit(ledger))
        assert looked == [*((1, row) for row in range(1, ROWS + 1)), (2, 7), (2, 8)]
        assert found(ledger) == {3: ["missing"]}

    def test_what_a_pass_replaced_under_the_same_name_is_not(self, tmp_path: Path) -> None:
        name = {"filename": "{id}.png"}
        run_inline(tmp_path, job_of(tmp_path, outputs=(OUTPUT | name,)))
        smaller = OUTPUT | name | {"width": 8}
        rows = [{"source": f"{n}.syn", "id": f"e{n}"} for n in range(1, ROWS + 1)]
        rows[0] |= {"outputs": [smaller]}
        write_manifest(tmp_path / "list.jsonl", rows)
        ledger = run_inline(tmp_path, make_job(tmp_path, outputs=(OUTPUT | name,)))
        assert ledger.read_seal(2).carried == ROWS - 1  # type: ignore[union-attr]
        looked = sorted((each.pass_number, each.row) for each in audit(ledger))
        assert looked == [(1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (2, 1)]
        assert found(ledger, with_hash=True) == {}

    def test_of_a_fingerprint_that_was_done_twice_the_newer_one_counts(self, tmp_path) -> None:
        outputs = (OUTPUT | {"filename": NAMES},)
        run_inline(tmp_path, job_of(tmp_path, outputs=outputs))
        run_inline(tmp_path, job_of(tmp_path, outputs=outputs), force=True)
        write_archive(tmp_path, ROWS + 1)
        ledger = run_inline(tmp_path, make_job(tmp_path, outputs=outputs))
        looked = sorted((each.pass_number, each.row) for each in audit(ledger))
        assert looked == [*((2, row) for row in range(1, ROWS + 1)), (3, 7)]


class TestRepair:
    def test_the_next_run_makes_the_damaged_ones_again(self, tmp_path: Path) -> None:
        job = job_of(tmp_path)
        ledger = run_inline(tmp_path, job)
        before = newest_records(ledger)
        storage.delete(uris(ledger, 2)[0])
        flip(uris(ledger, 5)[0])
        assert plan_repair(ledger, {1: rows_of(2, 5)}) == 2
        assert ledger.passes()[-1].reason is PassReason.REPAIR
        run_inline(tmp_path, job)
        assert found(ledger, with_hash=True) == {}
        after = newest_records(ledger)
        assert {row: each.artifacts for row, each in after.items()} == {
            row: each.artifacts for row, each in before.items()
        }
        assert {each.pass_number for each in audit(ledger) if each.row in (2, 5)} == {2}
        assert len(ledger.passes()) == 2
        assert sorted(after) == list(range(1, ROWS + 1))

    def test_a_repaired_entry_may_be_damaged_again(self, tmp_path: Path) -> None:
        job = job_of(tmp_path)
        ledger = run_inline(tmp_path, job)
        for number in (2, 3):
            storage.delete(uris(ledger, 4)[0])
            (damaged,) = [each for each in audit(ledger) if each.is_damaged]
            assert plan_repair(ledger, {damaged.pass_number: rows_of(damaged.row)}) == 1
            run_inline(tmp_path, job)
            assert ledger.passes()[-1].number == number
            assert found(ledger, with_hash=True) == {}

    def test_an_interrupted_plan_is_ended_as_far_as_it_came(self, tmp_path, monkeypatch) -> None:
        job = job_of(tmp_path)
        ledger = run_inline(tmp_path, job)
        with monkeypatch.context() as broken:
            broken.setattr(ledger, "seal_plan", lambda *_: storage.get("/nowhere"))
            with pytest.raises(SourceNotFoundError):
                plan_repair(ledger, {1: rows_of(1)})
        storage.delete(uris(ledger, 1)[0])
        run_inline(tmp_path, job)
        assert found(ledger) == {}

    def test_nothing_damaged_is_no_pass(self, tmp_path: Path) -> None:
        ledger = run_inline(tmp_path, job_of(tmp_path))
        assert plan_repair(ledger, {}) == 0
        assert len(ledger.passes()) == 1

    def test_an_unfinished_pass_comes_first(self, tmp_path: Path) -> None:
        ledger = run_inline(tmp_path, job_of(tmp_path))
        plan_repair(ledger, {1: rows_of(1)})
        with pytest.raises(RunConflictError, match=r"pass 2 .* is not finished: let `farm run`"):
            plan_repair(ledger, {1: rows_of(2)})

    def test_rows_of_an_older_manifest_are_left_out(self, tmp_path: Path) -> None:
        outputs = (OUTPUT | {"filename": NAMES},)
        run_inline(tmp_path, job_of(tmp_path, outputs=outputs))
        write_archive(tmp_path, ROWS + 1)
        ledger = run_inline(tmp_path, make_job(tmp_path, outputs=outputs))
        damaged = {1: rows_of(3), 2: rows_of(7)}
        both = [row.fields["id"] for row in damaged_rows(ledger, damaged, [1, 2]) if row.fields]
        assert both == ["e3", "e7"]
        assert plan_repair(ledger, damaged) == 1
