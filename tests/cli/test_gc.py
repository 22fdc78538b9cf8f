"""`farm gc`."""

import hashlib
import os
from pathlib import Path

import pytest

from farm import storage
from farm.lease import Lease
from farm.ledger import Ledger, Pass, PassReason, PlanSeal
from farm.record import Artifact, Record, Status
from farm.row import Row
from tests.cli.conftest import Farm

PICTURE = b"a picture"


@pytest.fixture
def twice(tmp_path: Path) -> Ledger:
    """A job that made PNGs, then JPEGs, and a writer that died long ago."""
    (tmp_path / "job.yaml").write_text("manifest: m.txt\ndestination: out\n")
    ledger = Ledger(str(tmp_path / "out" / "_ledger"), storage)
    for number, reason in enumerate((PassReason.NEW, PassReason.CHANGED), 1):
        job = {"manifest": "m", "destination": str(tmp_path / "out")}
        ledger.create_pass(Pass(number, reason, f"f{number}", job, {}, "2026", "0"))
        part = ledger.put_part(number, 0, [[Row(1, {"source": "/in/1.mp4", "id": "id1"})]])
        ledger.seal_plan(number, PlanSeal(1, 1))
        uri = f"{tmp_path}/out/1.{('png', 'jpg')[number - 1]}"
        storage.put(uri, PICTURE)
        digest = hashlib.sha256(PICTURE).hexdigest()
        artifact = Artifact(uri, 0, 1, len(PICTURE), digest, 9, 9, "jpg")
        fingerprint = f"{number}" * 32
        record = Record(
            1, Status.OK, "/in/1.mp4", "id1", fingerprint=fingerprint, artifacts=(artifact,)
        )
        ledger.commit(ledger.shards(number, [part])[0], [record])
        ledger.finish_pass(number, 0, 0)
    half = tmp_path / "out" / ".thumbfarm-00.tmp"
    half.write_bytes(b"half")
    os.utime(half, (0, 0))
    return ledger


@pytest.mark.parametrize("which", ["job.yaml", "out/_ledger"])
def test_it_lists_first_and_deletes_on_demand(
    farm: Farm, twice: Ledger, tmp_path: Path, which: str
) -> None:
    listed = farm("gc", tmp_path / which)
    assert listed.code == 0
    lines = listed.out.splitlines()
    assert [line.split()[0] for line in lines] == ["temporary", "records", "picture", "records"]
    assert lines[2].split()[1:] == ["9", "B", f"{tmp_path}/out/1.png"]
    assert "1 picture: 9 B" in listed.err
    assert "the same command with --delete" in listed.err
    assert (tmp_path / "out" / "1.png").exists()

    deleted = farm("gc", tmp_path / which, "--delete")
    assert (deleted.code, deleted.out) == (0, listed.out)
    assert "--delete" not in deleted.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.jpg", "_ledger"]
    assert len(twice.passes()) == 2

    again = farm("gc", tmp_path / which, "--delete")
    assert (again.code, again.out, again.err) == (0, "", "nothing to clean up\n")


def test_it_refuses_while_a_run_works(farm: Farm, twice: Ledger, tmp_path: Path) -> None:
    with Lease.take(twice.uri):
        said = farm("gc", tmp_path / "job.yaml", "--delete")
    assert said.code == 3
    assert "another run works on" in said.err
    assert (tmp_path / "out" / "1.png").exists()


def test_it_says_why_older_passes_stay(farm: Farm, twice: Ledger, tmp_path: Path) -> None:
    storage.delete(f"{twice.uri}/pass-0002/done.json")
    said = farm("gc", tmp_path / "job.yaml")
    assert "of older passes all is kept: pass 2 is not finished" in said.err
    assert [line.split()[0] for line in said.out.splitlines()] == ["temporary"]


def test_no_ledger_is_a_wrong_word(farm: Farm, tmp_path: Path) -> None:
    assert farm("gc", tmp_path / "nothing").code == 2
    assert os.listdir(tmp_path) == []
