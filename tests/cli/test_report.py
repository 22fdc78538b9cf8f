"""`farm report`."""

import builtins
import re
from pathlib import Path
from typing import Any

import pytest

from farm.ledger import Ledger
from tests.cli.conftest import Farm


def test_writes_beside_the_ledger(farm: Farm, ledger: Ledger, tmp_path: Path) -> None:
    said = farm("report", ledger.uri)
    assert said.code == 0
    page = tmp_path / "out/_report/index.html"
    assert said.out == f"4 entries: {page}\n"
    text = page.read_text("utf-8")
    assert re.search(r"<code>source_not_found</code></a></th><td>1</td>", text)
    assert "correct the source" in text


def test_takes_a_job_and_a_folder(farm: Farm, ledger: Ledger, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("manifest: m\ndestination: out\n")
    out = farm("report", job, "--to", tmp_path / "r", "--limit", 2, "--status", "failed").out
    assert out == f"2 entries: {tmp_path}/r/index.html\n"
    out = farm("report", job, "--to", tmp_path / "r", "--limit", 2).out
    assert out == f"4 entries, 2 of them in the gallery: {tmp_path}/r/index.html\n"
    assert "1 of them" not in farm("report", job, "--to", tmp_path / "r", "--limit", 0).out


def test_says_what_cannot_be_copied(farm: Farm, ledger: Ledger, tmp_path: Path) -> None:
    said = farm("report", ledger.uri, "--to", tmp_path / "r", "--copy")
    assert said.code == 0
    assert said.err == "1 files cannot be read and are not shown\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--status", "good"], "--status: expected one of ok, failed"),
        (["--code", "bad_luck"], "--code: expected one of"),
    ],
)
def test_says_what_is_wrong(farm: Farm, ledger: Ledger, words: list[str], told: str) -> None:
    ended = farm("report", ledger.uri, *words)
    assert ended.code == 2
    assert told in ended.err


def test_says_where_no_ledger_is(farm: Farm, tmp_path: Path) -> None:
    ended = farm("report", tmp_path)
    assert ended.code == 2
    assert f"expected a ledger at {tmp_path}, found none" in ended.err


def test_says_which_extra_is_missing(
    farm: Farm, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = builtins.__import__

    def without_report(name: str, *rest: Any, **more: Any) -> Any:
        if name == "farm.report":
            raise ModuleNotFoundError("No module named 'jinja2'")
        return load(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_report)
    ended = farm("report", ledger.uri)
    assert ended.code == 2
    assert "pip install 'thumbfarm[report]'" in ended.err
