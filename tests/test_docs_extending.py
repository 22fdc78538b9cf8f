"""What docs/extending.md adds works: its engine keeps the contract, both make a thumbnail."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.documents import ROOT, Block, blocks, read

pytestmark = pytest.mark.timeout(300)


def _apply(block: Block, project: Path) -> None:
    """Writes a file that the page shows, or changes one as the page's lines say."""
    path = project / block.title
    if block.language == "python":
        assert not path.exists()
        path.write_text(block.text)
        return
    assert block.language == "diff"
    lines = block.text.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    text = path.read_text()
    assert text.count(before) == 1, block.title
    path.write_text(text.replace(before, after))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with all that the page adds."""
    project = tmp_path_factory.mktemp("project")
    left_out = shutil.ignore_patterns("__pycache__")
    for folder in ("farm", "kernels", "tests/engines"):
        shutil.copytree(ROOT / folder, project / folder, ignore=left_out)
    for name in ("pyproject.toml", "tests/__init__.py"):
        shutil.copy(ROOT / name, project / name)
    titled = [block for block in blocks(read("docs/extending.md")) if block.title]
    assert len(titled) == 9
    for block in titled:
        _apply(block, project)
    return project


def _run(project: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )


def test_the_engine_keeps_the_contract(project: Path) -> None:
    words = ["pytest", "-q", "-p", "no:cacheprovider", "tests/engines/test_farbfeld.py"]
    ended = _run(project, *words, cwd=project)
    assert ended.returncode == 0, ended.stdout
    assert "13 passed" in ended.stdout


def test_the_code_is_clean(project: Path) -> None:
    titled = [block.title for block in blocks(read("docs/extending.md")) if block.title]
    for words in (["check"], ["format", "--check"]):
        ended = _run(project, "ruff", *words, *titled, cwd=project)
        assert ended.returncode == 0, ended.stdout


def test_engine_and_encoder_make_a_thumbnail(project: Path, tmp_path: Path) -> None:
    pixels = np.zeros((240, 320, 4), ">u2")
    pixels[:, :160] = 0xC8FF, 0x20FF, 0x28FF, 0xFFFF
    pixels[:, 160:] = 0x28FF, 0x40FF, 0xC0FF, 0xFFFF
    head = struct.pack(">8sII", b"farbfeld", 320, 240)
    (tmp_path / "photo.ff").write_bytes(head + pixels.tobytes())

    words = ["farm", "thumbnail", "photo.ff", "-o", "photo.avif", "--size", "160x"]
    ended = _run(project, *words, cwd=tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert "160x120" in ended.stdout
    with Image.open(tmp_path / "photo.avif") as made:
        assert (made.format, made.size) == ("AVIF", (160, 120))
        shown = made.convert("RGB")
    for place, color in ((40, 60), (200, 32, 40)), ((120, 60), (40, 64, 192)):
        assert np.abs(np.subtract(shown.getpixel(place), color)).max() <= 6
