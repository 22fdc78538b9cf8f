"""`farm certs`, and `--tls` of the commands that use them."""

from pathlib import Path

import pytest

from tests.cli.conftest import Farm


def test_tells_what_was_made_and_what_to_do_with_it(farm: Farm, tmp_path: Path) -> None:
    said = farm("certs", str(tmp_path), "--hosts", "a.example.org, 10.0.0.1", "--days", "30")
    assert said.code == 0
    lines = said.out.splitlines()
    assert [Path(line).name for line in lines[:2]] == ["ca.pem", "ca.key"]
    assert all(Path(line).is_file() for line in lines[:8])
    assert f"--tls-cert {tmp_path}/scheduler.pem --tls-key {tmp_path}/scheduler.key" in lines[8]
    assert f"--tls-cert {tmp_path}/worker.pem --tls-key {tmp_path}/worker.key" in lines[9]
    assert lines[10] == f"farm run JOB.yaml --scheduler tls://HOST:8786 --tls {tmp_path}"
    assert "PRIVATE" not in said.out + said.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scheduler", "tls://h:1"], "received none with tls://h:1"),
        (["--tls", "."], "received a folder with no scheduler"),
        (["--tls", ".", "--scheduler", "tcp://h:1"], "received a folder with tcp://h:1"),
        (["--tls", "none", "--scheduler", "tls://h:1"], "expected ca.pem in none"),
        (["--scheduler", "h"], "expected an address like tcp://HOST:8786"),
    ],
)
@pytest.mark.parametrize("command", ["run", "serve"])
def test_options_that_do_not_fit_are_refused(
    farm: Farm, tmp_path: Path, command: str, words: list[str], told: str
) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\n")
    job = ["--manifest", str(tmp_path / "list.txt"), "--destination", str(tmp_path / "out")]
    own = {"run": [*job, "--output", "32x"], "serve": ["--data", str(tmp_path / "data")]}[command]
    said = farm(command, *own, *words)
    assert said.code == 2
    assert told in said.err
    assert not (tmp_path / "out").exists()
