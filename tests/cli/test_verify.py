"""`farm verify`."""

import hashlib
import json
from pathlib import Path

import pytest

from farm import storage
from farm.cli import verify
from farm.ledger import Ledger, Pass, PassReason, PlanSeal
from farm.record import Artifact, Record, Status
from farm.row import Row
from tests.cli.conftest import Farm

PICTURE = b"a picture"


@pytest.fixture
def done(tmp_path: Path) -> Ledger:
    """A finished run over three rows, each with a picture, of a job file `job.yaml`."""
    (tmp_path / "job.yaml").write_text("manifest: m.txt\ndestination: out\n")
    ledger = Ledger(str(tmp_path / "out" / "_ledger"), storage)
    rows = [Row(n, {"source": f"/in/{n}.mp4", "id": f"id{n}"}) for n in (1, 2, 3)]
    head = Pass(1, PassReason.NEW, "f", {"manifest": "m", "destination": "d"}, {}, "2026", "0")
    ledger.create_pass(head)
    part = ledger.put_part(1, 0, [rows])
    ledger.seal_plan(1, PlanSeal(1, len(rows)))
    ledger.commit(ledger.shards(1, [part])[0], [_record(tmp_path, n) for n in (1, 2, 3)])
    ledger.finish_pass(1, 0, 0)
    return ledger


def _record(folder: Path, row: int) -> Record:
    uri = f"{folder}/out/{row}.jpg"
    storage.put(uri, PICTURE)
    digest = hashlib.sha256(PICTURE).hexdigest()
    artifact = Artifact(uri, 0, 1, len(PICTURE), digest, 160, 120, "jpg", 1.5)
    name = f"/in/{row}.mp4"
    return Record(row, Status.OK, name, f"id{row}", fingerprint="ab" * 16, artifacts=(artifact,))


def test_all_is_as_recorded(farm: Farm, done: Ledger, tmp_path: Path) -> None:
    for which in (done.uri, tmp_path / "job.yaml"):
        for words in ((), ("--hash",)):
            said = farm("verify", which, *words)
            assert said.code == 0
            assert "entries   3, 0 of them damaged" in said.out
            assert "files     3, 27 B, all as recorded" in said.out


def test_damaged_files_are_named_exported_and_planned_again(
    farm: Farm, done: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "out" / "1.jpg").unlink()
    (tmp_path / "out" / "3.jpg").write_bytes(b"b picture")
    plain = farm("verify", done.uri)
    assert plain.code == 1
    assert f"missing    row 1 id1 {tmp_path}/out/1.jpg: cannot read" in plain.out
    assert "entries   3, 1 of them damaged" in plain.out
    assert "--repair" in plain.out
    assert len(done.passes()) == 1

    export = tmp_path / "again.jsonl"
    said = farm("verify", done.uri, "--hash", "--repair", "--export", export)
    assert said.code == 1
    assert f"changed    row 3 id3 {tmp_path}/out/3.jpg: expected SHA-256" in said.out
    assert "files     3, 27 B, 1 changed, 1 missing" in said.out
    rows = [json.loads(line) for line in export.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["id1", "id3"]
    assert "planned once more: 2; `farm run` makes them" in said.out
    repair = done.passes()[1]
    assert repair.reason is PassReason.REPAIR
    assert done.read_seal(2) == PlanSeal(1, 2)

    again = farm("verify", done.uri, "--repair")
    assert again.code == 3
    assert "pass 2" in again.err
    assert "is not finished" in again.err


def test_a_run_that_holds_the_ledger_is_left_alone(farm: Farm, done: Ledger, tmp_path) -> None:
    from farm.lease import Lease

    (tmp_path / "out" / "1.jpg").unlink()
    with Lease.take(done.uri):
        assert farm("verify", done.uri).code == 1
        said = farm("verify", done.uri, "--repair")
    assert said.code == 3
    assert "another run works on" in said.err
    assert len(done.passes()) == 1


def test_the_first_faults_are_listed_and_all_are_counted(
    farm: Farm, done: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_MOST_LISTED", 1)
    monkeypatch.setattr(verify, "_LINE_SECONDS", 0.0)
    for path in (tmp_path / "out").glob("*.jpg"):
        path.unlink()
    said = farm("verify", done.uri)
    assert said.out.count("missing    row") == 1
    assert "3, 27 B, 3 missing" in said.out
    assert "these are 1; --export writes the entries" in said.err
    assert "2 entries, 2 files, 2 missing" in said.err


def test_what_cannot_be_read_is_not_damaged(
    farm: Farm, done: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from farm.errors import SourceDeniedError

    def stat(uri: str) -> storage.Listed:
        raise SourceDeniedError("no permission")

    monkeypatch.setattr(storage, "stat", stat)
    said = farm("verify", done.uri)
    assert said.code == 3
    assert "0 of them damaged" in said.out
    assert "3 unreadable" in said.out


def test_no_ledger_is_a_wrong_word(farm: Farm, tmp_path: Path) -> None:
    said = farm("verify", tmp_path / "nothing")
    assert said.code == 2
    assert "expected a ledger at" in said.err


def test_help_explains_the_exit_codes(farm: Farm) -> None:
    assert "  1  some are missing or changed" in farm("verify", "--help").out
