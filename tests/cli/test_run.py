"""`farm run`, in processes of its own on an embedded cluster, as a person starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from farm.cli.run import _exit_code
from farm.history import Totals
from farm.run import RunReport, RunState
from tests.cli.conftest import Farm


def _farm(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farm", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.cluster
def test_runs_a_job_and_does_nothing_twice(archive: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(
        f"manifest: {archive.name}\ndestination: out\n"
        "outputs: [{width: 160, filename: '{id}.jpg'}]\nsettings: {lanes: 1}\n"
    )
    first = _farm(tmp_path, "run", job)
    assert first.returncode == 1, first.stderr
    assert (tmp_path / "out" / "good.jpg").is_file()
    assert "3, 2 failed, 1 ok" in first.stdout
    assert "source_not_found" in first.stdout
    assert "pass 1: 3/3 entries, 2 failed, 1 pictures" in first.stderr
    assert "Traceback" not in first.stderr
    summary = json.loads((tmp_path / "out" / "_ledger" / "summary.json").read_text())
    assert summary["state"] == "done"
    assert summary["counts"] == {"ok": 1, "failed": 2}

    again = _farm(tmp_path, "run", job, "--allow-failures")
    assert again.returncode == 0, again.stderr
    assert "0 entries in" in again.stdout
    assert "pass" not in again.stderr


@pytest.mark.cluster
def test_what_may_succeed_later_is_taken_up_by_itself(tmp_path: Path) -> None:
    (tmp_path / "a.syn").write_text('FARMSYN1 {"width": 64, "height": 64}\n')
    rows = [{"source": "a.syn", "id": "a"}, {"source": "a.syn", "id": "b", "size": 1}]
    (tmp_path / "list.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    words = ["run", "--manifest", "list.jsonl", "--destination", "out", "--output", "32x"]
    words += ["--passes", "1", "--pause-limit", "0.1", "--lanes", "1"]
    first = _farm(tmp_path, *words)
    assert first.returncode == 1, first.stderr
    assert "pass 2: the entries that failed and may succeed by now, after 0.1 s" in first.stderr
    assert "1 (new): 1 ok; 2 (retryable): 1 failed" in first.stdout
    assert "1 source_changed" in first.stdout
    again = _farm(tmp_path, *words)
    assert "pass" not in again.stderr


@pytest.mark.cluster
def test_a_signal_drains_and_the_same_command_goes_on(tmp_path: Path) -> None:
    rows = 12
    for number in range(rows):
        recipe = {"width": 64, "height": 64, "sleep": 1.0}
        (tmp_path / f"{number}.syn").write_text(f"FARMSYN1 {json.dumps(recipe)}\n")
    manifest = tmp_path / "list.txt"
    manifest.write_text("".join(f"{number}.syn\n" for number in range(rows)))
    words = ["run", "--manifest", manifest, "--destination", "out", "--output", "32x"]
    words += ["--lanes", "2"]
    command = [sys.executable, "-m", "farm", *map(str, words)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        while "pass 1" not in running.stderr.readline():
            pass
        time.sleep(2)
        running.send_signal(signal.SIGTERM)
        said = running.stderr.read()
    assert running.returncode == 4, said
    assert "a second signal stops at once" in said

    rest = _farm(tmp_path, *words)
    assert rest.returncode == 0, rest.stderr
    assert f"{rows}, {rows} ok" in rest.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected a job file or --manifest"),
        (["none.yaml"], "none.yaml: No such file"),
        (["--manifest", "m", "--output", "9x"], "expected --destination, or --ledger"),
        (["--manifest", "m", "--destination", "d", "--output", "9y"], "output '9y': "),
        (["--manifest", "m", "--destination", "d", "--limit", "0"], "limit: expected at least 1"),
        (["--manifest", "m", "--destination", "d", "--max-failures", "x"], "max-failures: "),
        (["--manifest", "m", "--destination", "d", "--lanes", "-1"], "--lanes"),
        (["--manifest", "m", "--destination", "d", "--passes", "-1"], "--passes"),
        (["--manifest", "m", "--destination", "d", "--gpus", "two"], "expected all, none or a nu"),
        (["--manifest", "m", "--destination", "d", "--pause-limit", "-1"], "settings.pause_"),
        (["--manifest", "m", "--destination", "d", "--bogus"], "No such option"),
        (["--manifest", "m", "--destination", "d", "--log", "xml"], "'bar', 'text', 'json'"),
        (["--manifest", "m", "--destination", "d", "--metrics", "here"], "expected [HOST:]PORT"),
    ],
)  # fmt: skip
def test_wrong_words_end_with_2(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = farm("run", *words)
    assert ended.code == 2
    assert said in ended.err
    assert os.listdir(tmp_path) == []


def test_a_command_that_cannot_begin_tells_machines_so(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "farm", "run", "none.yaml"],
        cwd=tmp_path,
        env={**os.environ, "FARM_LOG": "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    told = json.loads(line)
    assert (told["level"], told["event"], told["code"]) == ("error", "failed", "invalid_job")
    assert "none.yaml" in told["message"]


@pytest.mark.parametrize(
    ("state", "failed", "allow", "code"),
    [
        (RunState.DONE, 0, False, 0),
        (RunState.DONE, 1, False, 1),
        (RunState.DONE, 1, True, 0),
        (RunState.FAILED, 0, True, 3),
        (RunState.PAUSED, 1, True, 4),
    ],
)
def test_exit_codes(state: RunState, failed: int, allow: bool, code: int) -> None:
    totals = Totals(entries=5, counts={"ok": 5 - failed, "quarantined": failed})
    assert _exit_code(RunReport(state, totals, "l", "s", 1.0), allow) == code


def test_help_explains_the_exit_codes(farm: Farm) -> None:
    said = farm("run", "--help").out
    for line in ("  1  some entries failed", "  4  paused", "130  stopped at once"):
        assert line in said


@pytest.mark.parametrize("address", ["banana", "tcp://host", "tcp://:8786 x"])
def test_an_address_that_is_none_is_explained(farm: Farm, archive: Path, address: str) -> None:
    words = ["--manifest", archive, "--destination", archive.parent / "out", "--output", "64x"]
    said = farm("run", *words, "--scheduler", address)
    assert said.code == 2
    assert (
        f"--scheduler: expected an address like tcp://HOST:8786, received '{address}'" in said.err
    )


def test_a_folder_that_is_not_there_is_explained(farm: Farm, tmp_path: Path) -> None:
    words = ["--manifest", f"{tmp_path}/nowhere/", "--destination", tmp_path / "out"]
    said = farm("run", *words, "--output", "64x")
    assert said.code == 2
    assert "there is no folder" in said.err
    assert not (tmp_path / "out").exists()
