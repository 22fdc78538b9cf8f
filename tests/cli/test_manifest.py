"""`farm manifest`."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from farm.manifest import table
from tests.cli.conftest import Farm


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Five files, three of them media."""
    for name in ("a/1.mp4", "a/2.JPG", "a/notes.txt", "b/3.webm", "b/raw.dat"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path / "in"


def _names(path: Path) -> list[str]:
    return [Path(source).name for source in pq.read_table(path)["source"].to_pylist()]


def test_lists_into_a_folder(farm: Farm, store: Path, tmp_path: Path) -> None:
    said = farm("manifest", store, "-o", tmp_path / "list")
    assert said.out == f"manifest: {tmp_path}/list\n"
    (part,) = (tmp_path / "list").iterdir()
    assert _names(part) == ["1.mp4", "2.JPG", "notes.txt", "3.webm", "raw.dat"]
    assert pq.read_table(part)["size"].to_pylist() == [5] * 5


def test_lists_media_into_one_file(farm: Farm, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "list.parquet"
    assert farm("manifest", store, "-o", out, "--media-only").code == 0
    assert _names(out) == ["1.mp4", "2.JPG", "3.webm"]


def test_lists_a_glob(farm: Farm, store: Path, tmp_path: Path) -> None:
    farm("manifest", store / "**" / "*.webm", "-o", tmp_path / "list.parquet")
    assert _names(tmp_path / "list.parquet") == ["3.webm"]


def test_leaves_itself_out(farm: Farm, store: Path) -> None:
    out = store / "list"
    farm("manifest", store, "-o", out)
    part = next(out.iterdir())
    first = part.read_bytes()
    # A listing that is complete stays as it is.
    farm("manifest", store, "-o", out)
    assert list(out.iterdir()) == [part]
    assert part.read_bytes() == first
    assert "part" not in "".join(_names(part))


def test_goes_on_where_it_was_cut_short(
    farm: Farm, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "ROWS_PER_PART", 2)
    out = tmp_path / "list"
    farm("manifest", store, "-o", out)
    parts = sorted(out.iterdir())
    assert [len(_names(part)) for part in parts] == [2, 2, 1]
    parts[2].unlink()
    parts[1].unlink()
    parts[0].touch()
    farm("manifest", store, "-o", out)
    assert [_names(part) for part in sorted(out.iterdir())] == [
        ["1.mp4", "2.JPG"],
        ["notes.txt", "3.webm"],
        ["raw.dat"],
    ]


@pytest.mark.parametrize("name", ["list.csv", "list.JSONL"])
def test_writes_parquet_only(farm: Farm, store: Path, tmp_path: Path, name: str) -> None:
    said = farm("manifest", store, "-o", tmp_path / name)
    assert said.code == 2
    assert "--out: expected a folder or a name ending in .parquet" in said.err
    assert not (tmp_path / name).exists()


def test_a_place_without_files_is_an_error(farm: Farm, tmp_path: Path) -> None:
    out = tmp_path / "list.parquet"
    said = farm("manifest", tmp_path / "nowhere", "-o", out)
    assert (said.code, said.out) == (2, "")
    assert said.err == f"farm: invalid_manifest: found no file at '{tmp_path}/nowhere'\n"
    assert not out.exists()
