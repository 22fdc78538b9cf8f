"""Local destinations stay below their roots, whatever names and links say."""

from pathlib import Path

import pytest

from farm import errors
from farm.service.folder import put_below


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    return tmp_path / "root"


def test_bytes_and_files_are_stored(root: Path, tmp_path: Path) -> None:
    assert put_below([root], f"file://{root}/x.jpg", b"1") == root / "x.jpg"
    source = tmp_path / "source"
    source.write_bytes(b"2" * 3_000_000)
    found = put_below([tmp_path / "no", root], f"file://{root}/a/b%20c/y.jpg", source)
    assert found == root / "a" / "b c" / "y.jpg"
    assert found.read_bytes() == source.read_bytes()
    put_below([root], f"file://localhost{root}/x.jpg", b"over")
    assert (root / "x.jpg").read_bytes() == b"over"
    assert sorted(path.name for path in root.iterdir()) == ["a", "x.jpg"]


@pytest.mark.parametrize(
    "path",
    [
        *("{root}/../outside/x", "{root}/a/../../outside/x", "{root}/%2e%2e/outside/x"),
        *("{root}/..%2foutside/x", "{root}//x", "{root}x/y", "/etc/passwd"),
        *("{root}/./x", "{outside}/x"),
    ],
)
def test_names_do_not_lead_out(root: Path, tmp_path: Path, path: str) -> None:
    uri = "file://" + path.format(root=root, outside=tmp_path / "outside")
    with pytest.raises(errors.StoreDeniedError, match="expected a path below one of"):
        put_below([root], uri, b"1")
    assert list((tmp_path / "outside").iterdir()) == []
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    "uri", ["{root}/x", "file://host{root}/x", "file://{root}/", "s3://a/b", "file://{root}/%00"]
)
def test_what_is_no_file(root: Path, uri: str) -> None:
    with pytest.raises(errors.InvalidEntryError, match="expected file:///FOLDER/NAME"):
        put_below([root], uri.format(root=root), b"1")


def test_links_do_not_lead_out(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (root / "link").symlink_to(outside)
    (root / "deep").mkdir()
    (root / "deep" / "up").symlink_to("../../outside")
    for path in ("link/x", "link/a/x", "deep/up/x"):
        with pytest.raises(errors.StoreDeniedError, match="is a link or a file"):
            put_below([root], f"file://{root}/{path}", b"1")
    assert list(outside.iterdir()) == []


def test_a_link_to_a_file_is_replaced(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "outside" / "victim"
    victim.write_bytes(b"old")
    (root / "x").symlink_to(victim)
    put_below([root], f"file://{root}/x", b"new")
    assert victim.read_bytes() == b"old"
    assert not (root / "x").is_symlink()
    assert (root / "x").read_bytes() == b"new"


def test_a_root_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    put_below([tmp_path / "alias"], f"file://{tmp_path}/alias/x", b"1")
    assert (root / "x").read_bytes() == b"1"


def test_what_cannot_be_written(root: Path) -> None:
    (root / "taken" / "x").mkdir(parents=True)
    with pytest.raises(errors.StoreError, match="Is a directory"):
        put_below([root], f"file://{root}/taken/x", b"1")
    put_below([root], f"file://{root}/file", b"1")
    with pytest.raises(errors.StoreDeniedError, match="is a link or a file"):
        put_below([root], f"file://{root}/file/x", b"1")
    with pytest.raises(errors.StoreError):
        put_below([root / "none"], f"file://{root}/none/x", b"1")
    assert sorted(path.name for path in root.rglob("*")) == ["file", "taken", "x"]
    with pytest.raises(errors.StoreDeniedError, match=r"folders \[\]"):
        put_below([], f"file://{root}/x", b"1")
