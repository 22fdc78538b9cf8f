"""What the tests of the command line share: a way to call it, sources without a codec, a ledger."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from farm import storage
from farm.__main__ import main
from farm.ledger import Ledger, Pass, PassReason, PlanSeal, Row
from farm.record import Artifact, Record, Status


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Farm = Callable[..., Said]


@pytest.fixture
def farm(capsys: pytest.CaptureFixture[str]) -> Farm:
    """Calls the command line in this process."""

    def call(*words: object) -> Said:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return call


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A video of 100 seconds that needs no codec."""
    path = tmp_path / "clip.syn"
    path.write_bytes(b'FARMSYN1 {"width": 320, "height": 240, "seconds": 100}\n')
    return path


@pytest.fixture
def archive(tmp_path: Path, source: Path) -> Path:
    """A manifest of three rows: a good one, one without a source, one that is no JSON."""
    manifest = tmp_path / "list.jsonl"
    rows = [{"source": source.name, "id": "good"}, {"source": "none.mp4", "id": "missing"}]
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + "not json\n")
    return manifest


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A finished run over four rows: ok, missing, crashed and unreadable."""
    ledger = Ledger(str(tmp_path / "out" / "_ledger"), storage)
    rows = [Row(n, {"source": f"/in/{n}.mp4", "id": f"id{n}"}) for n in (1, 2, 3)]
    rows.append(Row(4, None, "expected a JSON object"))
    ledger.create_pass(Pass(1, PassReason.NEW, "f", {"manifest": "m"}, {}, "2026-01-01", "0"))
    part = ledger.put_part(1, 0, [rows])
    ledger.seal_plan(1, PlanSeal(1, len(rows)))
    artifact = Artifact("/out/1.jpg", 0, 1, 2000, "00", 160, 120, "jpg", 1.5)
    bad = {"source_not_found": Status.FAILED, "decoder_crash": Status.QUARANTINED}
    records = [
        Record(1, Status.OK, "/in/1.mp4", "id1", artifacts=(artifact,), notes={"packets_fed": 7},
               timings_ms={"open": 1.0, "decode": 20.0}, fingerprint="ab"),
        *(
            Record(row, status, f"/in/{row}.mp4", f"id{row}", error_code=code,
                   message=f"\x1b[31m{code} here", timings_ms={"fetch": 10.0 * row})
            for row, (code, status) in enumerate(bad.items(), 2)
        ),
        Record(4, Status.FAILED, error_code="invalid_entry", message="expected a JSON object"),
    ]  # fmt: skip
    ledger.commit(ledger.shards(1, [part])[0], records)
    ledger.finish_pass(1, 0)
    return ledger
