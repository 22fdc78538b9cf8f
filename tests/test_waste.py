"""What is of no use any more: found after real runs, and nothing else is."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from farm import storage
from farm.audit import audit
from farm.history import totals
from farm.ledger import Ledger
from farm.spec import Job
from farm.waste import Waste, WasteKind, find_waste, remove, why_older_passes_stay
from tests.inline_run import lanes, run_inline
from tests.recipes import OUTPUT, make_job, write_manifest, write_source
from tests.s3 import S3Server, s3_server

__all__ = ["lanes", "s3_server"]

pytestmark = pytest.mark.usefixtures("lanes")

PNG = OUTPUT | {"filename": "{id}.png"}
JPG = PNG | {"format": "jpg", "filename": "{id}.jpg"}
WIDE = PNG | {"width": 20}


def job_of(folder: Path, *outputs: dict[str, Any], rows: int = 6, **fields: Any) -> Job:
    """A job over so many sources, in shards of two."""
    for number in range(1, rows + 1):
        if not (folder / f"{number}.syn").exists():
            write_source(folder / f"{number}.syn", seed=number)
    listed = [{"source": f"{number}.syn", "id": f"e{number}"} for number in range(1, rows + 1)]
    write_manifest(folder / "list.jsonl", listed)
    return make_job(folder, outputs=outputs, settings={"shard_entries": 2}, **fields)


def waste(ledger: Ledger, folder: Path | str) -> list[Waste]:
    return list(find_waste(ledger, f"{folder}/out"))


def names(found: list[Waste], kind: WasteKind) -> list[str]:
    return sorted(each.uri.rpartition("/")[2] for each in found if each.kind is kind)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def records(found: list[Waste]) -> list[str]:
    """Results and plans, by their pass."""
    uris = [each.uri for each in found if each.kind is WasteKind.RECORDS]
    return sorted(uri[uri.index("/pass-") + 1 :] for uri in uris)


class TestReplaced:
    def test_a_finished_run_has_no_waste(self, tmp_path: Path) -> None:
        ledger = run_inline(tmp_path, job_of(tmp_path, PNG))
        assert waste(ledger, tmp_path) == []
        assert why_older_passes_stay(ledger) is None

    def test_pictures_under_old_names_go_with_their_records(self, tmp_path: Path) -> None:
        run_inline(tmp_path, job_of(tmp_path, PNG))
        ledger = run_inline(tmp_path, job_of(tmp_path, JPG))
        found = waste(ledger, tmp_path)
        assert names(found, WasteKind.PICTURE) == [f"e{n}.png" for n in range(1, 7)]
        assert [name for name in records(found) if "plan" in name] == [
            "pass-0001/plan/part-000000.n0003.parquet"
        ]
        assert len(records(found)) == 4
        assert all(each.size_bytes == Path(each.uri).stat().st_size for each in found)
        # Records first: what nobody tells of, nobody takes for done.
        assert found[0].kind is WasteKind.RECORDS

    def test_a_dry_run_changes_nothing_and_deleting_only_what_it_named(self, tmp_path) -> None:
        run_inline(tmp_path, job_of(tmp_path, PNG))
        ledger = run_inline(tmp_path, job_of(tmp_path, JPG))
        before = files(tmp_path / "out")
        found = waste(ledger, tmp_path)
        assert files(tmp_path / "out") == before
        before_totals = totals(ledger)

        assert list(remove(find_waste(ledger, f"{tmp_path}/out"))) == found
        gone = {os.path.relpath(each.uri, tmp_path / "out") for each in found}
        assert files(tmp_path / "out") == {k: v for k, v in before.items() if k not in gone}
        assert waste(ledger, tmp_path) == []
        assert totals(ledger) == before_totals
        assert not [each for each in audit(ledger, with_hash=True) if each.faults]

    def test_the_job_may_turn_back_to_what_was_cleaned_up(self, tmp_path: Path) -> None:
        """The old pictures must not count as done: they are gone."""
        run_inline(tmp_path, job_of(tmp_path, PNG))
        ledger = run_inline(tmp_path, job_of(tmp_path, JPG))
        list(remove(find_waste(ledger, f"{tmp_path}/out")))
        ledger = run_inline(tmp_path, job_of(tmp_path, PNG))
        assert ledger.read_seal(3).carried == 0  # type: ignore[union-attr]
        assert len(list((tmp_path / "out").glob("e*.png"))) == 6
        assert not [each for each in audit(ledger, with_hash=True) if each.faults]

    def test_what_was_made_over_it_stays(self, tmp_path: Path) -> None:
        run_inline(tmp_path, job_of(tmp_path, PNG))
        ledger = run_inline(tmp_path, job_of(tmp_path, WIDE))
        found = waste(ledger, tmp_path)
        assert names(found, WasteKind.PICTURE) == []
        assert len(records(found)) == 4
        assert len(list(remove(iter(found)))) == 4
        assert not [each for each in audit(ledger, with_hash=True) if each.faults]

    def test_a_file_that_somebody_else_put_there_stays(self, tmp_path: Path) -> None:
        run_inline(tmp_path, job_of(tmp_path, PNG))
        ledger = run_inline(tmp_path, job_of(tmp_path, JPG))
        mine = tmp_path / "out" / "e2.png"
        mine.write_bytes(bytes(reversed(mine.read_bytes())))
        (tmp_path / "out" / "e3.png").unlink()
        (tmp_path / "out" / "holiday.png").write_bytes(b"not the farm's")
        found = waste(ledger, tmp_path)
        assert names(found, WasteKind.PICTURE) == ["e1.png", "e4.png", "e5.png", "e6.png"]

    def test_entries_that_left_the_manifest_keep_their_pictures(self, tmp_path: Path) -> None:
        run_inline(tmp_path, job_of(tmp_path, PNG))
        ledger = run_inline(tmp_path, job_of(tmp_path, JPG, rows=5))
        found = waste(ledger, tmp_path)
        # Entry 6 left; its shard stays whole.
        assert names(found, WasteKind.PICTURE) == ["e1.png", "e2.png", "e3.png", "e4.png"]
        assert len(records(found)) == 2

    def test_behind_a_pass_of_which_something_stays_nothing_goes(self, tmp_path: Path) -> None:
        run_inline(tmp_path, job_of(tmp_path, PNG))
        run_inline(tmp_path, job_of(tmp_path, JPG, rows=5))
        third = JPG | {"filename": "third-{id}.jpg"}
        ledger = run_inline(tmp_path, job_of(tmp_path, third, rows=5))
        assert {name[:9] for name in records(waste(ledger, tmp_path))} == {"pass-0001"}
        names_left = names(waste(ledger, tmp_path), WasteKind.PICTURE)
        assert names_left == ["e1.png", "e2.png", "e3.png", "e4.png"]

    def test_an_entry_that_fails_today_keeps_what_it_had(self, tmp_path: Path) -> None:
        run_inline(tmp_path, job_of(tmp_path, PNG))
        (tmp_path / "1.syn").write_bytes(b"no recipe")
        ledger = run_inline(tmp_path, job_of(tmp_path, JPG))
        found = waste(ledger, tmp_path)
        assert names(found, WasteKind.PICTURE) == ["e3.png", "e4.png", "e5.png", "e6.png"]

    def test_rows_of_one_source_and_id_are_counted(self, tmp_path: Path) -> None:
        job_of(tmp_path, rows=1)
        row = {"source": "1.syn", "id": "e"}
        rows = [row | {"outputs": [PNG]}, row | {"outputs": [JPG]}]
        write_manifest(tmp_path / "list.jsonl", rows)
        run_inline(tmp_path, make_job(tmp_path))
        rows = [row | {"outputs": [PNG | {"filename": "{id}-again.png"}]}]
        write_manifest(tmp_path / "list.jsonl", rows)
        ledger = run_inline(tmp_path, make_job(tmp_path))
        assert why_older_passes_stay(ledger) is None
        assert waste(ledger, tmp_path) == []

    def test_passes_that_were_carried_over_stay_and_it_is_said_why(self, tmp_path: Path) -> None:
        run_inline(tmp_path, job_of(tmp_path, PNG))
        ledger = run_inline(tmp_path, job_of(tmp_path, PNG, rows=7))
        assert waste(ledger, tmp_path) == []
        assert why_older_passes_stay(ledger) == "pass 2 carried 6 entries over from older ones"

    def test_while_a_pass_is_unfinished_older_ones_stay(self, tmp_path: Path) -> None:
        run_inline(tmp_path, job_of(tmp_path, PNG))
        ledger = run_inline(tmp_path, job_of(tmp_path, JPG))
        storage.delete(f"{ledger.uri}/pass-0002/done.json")
        assert waste(ledger, tmp_path) == []
        assert why_older_passes_stay(ledger) == "pass 2 is not finished"

    def test_a_file_that_a_kept_record_names_stays(self, tmp_path: Path) -> None:
        """Two entries with one name: the newer pass's record of the other one still stands."""
        same = PNG | {"filename": "{path}-same.png"}
        run_inline(tmp_path, job_of(tmp_path, same))
        run_inline(tmp_path, job_of(tmp_path, same, rows=5), force=True)
        ledger = run_inline(tmp_path, job_of(tmp_path, JPG, rows=5))
        # Pass 2 has everything replaced, but pass 1 keeps entry 6, so that pass 2 is not reached.
        assert names(waste(ledger, tmp_path), WasteKind.PICTURE) == []

    def test_on_s3_the_stored_hash_tells_whose_a_file_is(
        self, s3_server: S3Server, tmp_path: Path
    ) -> None:
        bucket = s3_server.new_bucket()
        where = {"destination": f"{bucket}/out", "ledger": f"{bucket}/out/_ledger"}
        run_inline(tmp_path, job_of(tmp_path, PNG, rows=3, **where))
        ledger = run_inline(tmp_path, job_of(tmp_path, JPG, rows=3, **where))
        data = storage.get(f"{bucket}/out/e2.png")
        storage.put(f"{bucket}/out/e2.png", data, sha256="0" * 64)
        found = waste(ledger, bucket)
        assert names(found, WasteKind.PICTURE) == ["e1.png", "e3.png"]
        assert len(list(remove(iter(found)))) == len(found)
        left = sorted(_.uri.rpartition("/")[2] for _ in storage.list_files(f"{bucket}/out/*"))
        assert left == ["e1.jpg", "e2.jpg", "e2.png", "e3.jpg"]
        assert waste(ledger, bucket) == []


class TestOther:
    def test_half_written_files_go_when_they_are_old(self, tmp_path: Path) -> None:
        ledger = run_inline(tmp_path, job_of(tmp_path, PNG))
        day_ago = time.time() - 90_000
        for name in ("a/.thumbfarm-00ff.tmp", "_ledger/pass-0001/results/.thumbfarm-01.tmp"):
            path = tmp_path / "out" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"half")
            os.utime(path, (day_ago, day_ago))
        for name in (".thumbfarm-02.tmp", ".other.tmp", ".thumbfarm-x"):
            (tmp_path / "out" / name).write_bytes(b"fresh, or not ours")
        os.utime(tmp_path / "out" / ".other.tmp", (day_ago, day_ago))
        found = waste(ledger, tmp_path)
        assert names(found, WasteKind.TEMPORARY) == [".thumbfarm-00ff.tmp", ".thumbfarm-01.tmp"]
        assert len(found) == 2

    def test_a_ledger_elsewhere_is_looked_through_too(self, tmp_path: Path) -> None:
        job = job_of(tmp_path, PNG, ledger=f"{tmp_path}/elsewhere")
        ledger = run_inline(tmp_path, job)
        path = tmp_path / "elsewhere" / ".thumbfarm-03.tmp"
        path.write_bytes(b"")
        os.utime(path, (0, 0))
        assert names(waste(ledger, tmp_path), WasteKind.TEMPORARY) == [".thumbfarm-03.tmp"]
        assert names(list(find_waste(ledger, None)), WasteKind.TEMPORARY) == [".thumbfarm-03.tmp"]

    def test_marks_go_with_the_end_of_their_pass(self, tmp_path: Path) -> None:
        ledger = run_inline(tmp_path, job_of(tmp_path, PNG))
        storage.put(f"{ledger.uri}/pass-0001/marks/000000-0001/x.1.2.3", b"")
        assert names(waste(ledger, tmp_path), WasteKind.MARK) == ["x.1.2.3"]
        storage.delete(f"{ledger.uri}/pass-0001/done.json")
        assert waste(ledger, tmp_path) == []


def test_random_histories_never_lose_what_the_job_asks_for(tmp_path: Path) -> None:
    """Outputs and manifests that come and go, cleaned up in between."""
    steps = [
        ((PNG,), 6), ((JPG,), 6), ((PNG, JPG), 5), ((PNG,), 6),
        ((WIDE,), 7), ((JPG,), 4), ((PNG,), 7), ((JPG, WIDE), 7),
    ]  # fmt: skip
    for number, (outputs, rows) in enumerate(steps):
        outputs = tuple(
            each | {"filename": f"{index}-{each['filename']}"} for index, each in enumerate(outputs)
        )
        ledger = run_inline(tmp_path, job_of(tmp_path, *outputs, rows=rows))
        if number % 2:
            list(remove(find_waste(ledger, f"{tmp_path}/out")))
        wanted = {
            output["filename"].replace("{id}", f"e{row}")
            for output in outputs
            for row in range(1, rows + 1)
        }
        there = {path.name for path in (tmp_path / "out").iterdir()}
        assert wanted <= there
        assert not [each for each in audit(ledger, with_hash=True) if each.faults]
