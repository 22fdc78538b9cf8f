"""`farm ledger`."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from farm.ledger import Ledger
from tests.cli.conftest import Farm


def test_shows_totals_and_examples(farm: Farm, ledger: Ledger) -> None:
    said = farm("ledger", ledger.uri)
    assert said.code == 0
    lines = said.out.splitlines()
    assert [line.split() for line in lines if line.startswith("  ok")] == [["ok", "1"]]
    assert any("pictures  1, 2 kB" in line for line in lines)
    example = next(line for line in lines if line.startswith("  source_not_found"))
    assert "row 2 /in/2.mp4" in example
    assert "\\x1b[31msource_not_found here" in example


def test_finds_the_ledger_of_a_job(farm: Farm, ledger: Ledger, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("manifest: m\ndestination: out\n")
    assert f"ledger    {ledger.uri}" in farm("ledger", job).out


def test_lists_entries_of_a_status_or_code(farm: Farm, ledger: Ledger) -> None:
    said = farm("ledger", ledger.uri, "--status", "quarantined").out
    listed = [line for line in said.splitlines() if line.startswith("quarantined")]
    assert len(listed) == 1
    assert "row 3 /in/3.mp4  decoder_crash" in listed[0]
    assert "failed       row 4" in farm("ledger", ledger.uri, "--code", "invalid_entry").out


def test_lists_the_slowest(farm: Farm, ledger: Ledger) -> None:
    said = farm("ledger", ledger.uri, "--slowest", 2).out
    slowest = said.partition("\nslowest\n")[2].splitlines()
    assert [line.split()[:4] for line in slowest] == [
        ["30", "ms", "row", "3"],
        ["21", "ms", "row", "1"],
    ]


def test_exports_json_lines(farm: Farm, ledger: Ledger, tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    assert farm("ledger", ledger.uri, "--export", out).out == f"4 records in {out}\n"
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [record["row"] for record in records] == [1, 2, 3, 4]
    assert records[0]["notes"] == {"packets_fed": 7}
    assert records[0]["artifacts"][0]["uri"] == "/out/1.jpg"


def test_exports_csv(farm: Farm, ledger: Ledger, tmp_path: Path) -> None:
    out = tmp_path / "records.csv"
    farm("ledger", ledger.uri, "--export", out, "--status", "ok")
    with out.open(newline="") as file:
        (record,) = csv.DictReader(file)
    assert record["source"] == "/in/1.mp4"
    assert json.loads(record["artifacts"])[0]["width"] == 160


def test_exports_parquet(farm: Farm, ledger: Ledger, tmp_path: Path) -> None:
    out = tmp_path / "records.parquet"
    farm("ledger", ledger.uri, "--export", out, "--code", "decoder_crash")
    assert pq.read_table(out)["row"].to_pylist() == [3]


def test_writes_what_failed_as_a_manifest(farm: Farm, ledger: Ledger, tmp_path: Path) -> None:
    out = tmp_path / "redo.jsonl"
    said = farm("ledger", ledger.uri, "--manifest", out).out
    assert said == f"2 entries in {out}, without 1 rows that cannot be read\n"
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows == [{"source": f"/in/{row}.mp4", "id": f"id{row}"} for row in (2, 3)]
    farm("ledger", ledger.uri, "--manifest", out, "--code", "source_not_found")
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["id2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--status", "good"], "--status: expected one of ok, failed"),
        (["--code", "bad_luck"], "--code: expected one of"),
        (["--export", "records.xlsx"], "--export: expected a name ending in .jsonl"),
    ],
)
def test_says_what_is_wrong(farm: Farm, ledger: Ledger, words: list[str], said: str) -> None:
    ended = farm("ledger", ledger.uri, *words)
    assert ended.code == 2
    assert said in ended.err


def test_says_where_no_ledger_is(farm: Farm, tmp_path: Path) -> None:
    ended = farm("ledger", tmp_path)
    assert ended.code == 2
    assert f"expected a ledger at {tmp_path}, found none" in ended.err
