"""Each file of configs/ says what it is for, is named by a test that uses it, and is documented."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.configs.scene import BIN, CONFIGS

TESTS = Path(__file__).resolve().parents[1]
FILES = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*") if path.is_file())
PAGE = (CONFIGS.parent / "docs/deploy.md").read_text("utf-8")


def test_each_file_is_named_by_a_test() -> None:
    tests = [path.read_text("utf-8") for path in TESTS.rglob("*.py") if path != Path(__file__)]
    unnamed = [name for name in FILES if not any(name in text for text in tests)]
    assert unnamed == []
    assert len(FILES) > 15


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_in_the_table_of_the_page(name: str) -> None:
    assert re.search(rf"^\| \[`configs/{re.escape(name)}`\]", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".json")])
def test_each_file_begins_with_what_it_is_for(name: str) -> None:
    lines = (CONFIGS / name).read_text("utf-8").splitlines()
    opening = next(line for line in lines if not line.startswith("#!"))
    assert re.match(r"# [A-Z].{20,}", opening), opening


def test_shell_scripts_pass_shellcheck() -> None:
    scripts = [name for name in FILES if (CONFIGS / name).read_bytes().startswith(b"#!")]
    assert sorted(scripts) == ["slurm/run.sbatch", "slurm/workers.sbatch", "ssh/run"]
    found = subprocess.run([BIN / "shellcheck", *scripts], cwd=CONFIGS, capture_output=True)
    assert found.returncode == 0, found.stdout.decode()
