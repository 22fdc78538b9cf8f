"""The command as a whole: it starts at once and ends with one line, never with a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import farm
from farm.__main__ import main
from farm.errors import ClusterError, InvalidJobError, StoreDeniedError

_HEAVY = {
    *("torch", "torchvision", "numpy", "PIL", "av", "decord", "nvidia", "dask", "distributed"),
    *("fsspec", "s3fs", "pyarrow"),
}
# Lists the modules that are loaded when the command exits.
_SPY = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from farm.__main__ import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["schema"], ["--version"]])
def test_loads_nothing_heavy(words: list[str]) -> None:
    assert _loaded(words) & _HEAVY == set()


@pytest.mark.parametrize("name", ["list.jsonl", "list.csv", "list.txt"])
def test_plans_load_nothing_heavy(tmp_path: Path, name: str) -> None:
    (tmp_path / "list.jsonl").write_text('{"source": "/in/1.mp4"}\n')
    (tmp_path / "list.csv").write_text("source\n/in/1.mp4\n")
    (tmp_path / "list.txt").write_text("/in/1.mp4\n")
    job = tmp_path / "job.yaml"
    job.write_text(f"manifest: {name}\ndestination: out\noutputs: [{{width: 9}}]\n")
    assert _loaded(["plan", "--no-probe", str(job)]) & _HEAVY == set()


def _loaded(words: list[str]) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _SPY, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def test_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"thumbfarm {farm.__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InvalidJobError("width: wrong"), 2, "farm: invalid_job: width: wrong\n"),
        (ClusterError("no\x1bworker"), 3, "farm: cluster_failed: no\\x1bworker\n"),
        (StoreDeniedError("no"), 3, "farm: store_denied: no\n"),
        (PermissionError(13, "Denied", "x"), 3, "farm: x: Denied\n"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_and_a_code(
    error: Exception,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("farm.__main__.app", fail)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == code
    assert capsys.readouterr().err == said
