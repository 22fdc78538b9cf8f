"""What local files do on their own: no halves, no strays, no waiting on pipes, no fsspec."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from farm import errors, storage
from farm.storage import listing, local


def strays(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(f"{listing.TEMPORARY_PREFIX}*")]


def test_local_work_loads_no_fsspec(tmp_path: Path) -> None:
    code = f"""
import sys
from farm import storage
storage.put({str(tmp_path / "x")!r}, b"1")
storage.get({str(tmp_path / "x")!r})
list(storage.list_files({str(tmp_path)!r}))
heavy = {{"fsspec", "s3fs", "aiohttp", "yaml", "pyarrow"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_full_disk_leaves_the_old_file_and_no_stray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    storage.put(str(path), b"old")

    def full(path: str, data: bytes, *, durable: bool) -> None:
        Path(path).write_bytes(data[:1])
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(local, "_write", full)
    for put in (storage.put, storage.put_new):
        with pytest.raises(errors.DiskFullError, match="No space left"):
            put(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert strays(tmp_path) == []


def test_no_strays_after_puts(tmp_path: Path) -> None:
    uri = str(tmp_path / "a/x")
    assert storage.put_new(uri, b"1")
    assert not storage.put_new(uri, b"2")
    storage.put(uri, b"3")
    assert strays(tmp_path) == []


def test_unfinished_files_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / f"{listing.TEMPORARY_PREFIX}ab{listing.TEMPORARY_SUFFIX}").write_bytes(b"1")
    (tmp_path / ".hidden").write_bytes(b"1")
    assert [file.uri for file in storage.list_files(str(tmp_path))] == [f"{tmp_path}/.hidden"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_a_filesystem_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*paths: str) -> None:
        raise OSError(code, "")

    monkeypatch.setattr(local.os, "link", refuse)
    uri = str(tmp_path / "x")
    assert storage.put_new(uri, b"1")
    assert not storage.put_new(uri, b"2")
    assert storage.get(uri) == b"1"
    assert strays(tmp_path) == []


def test_pipes_and_devices_are_no_sources(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for uri in (str(tmp_path / "pipe"), "/dev/zero"):
        for act in (storage.get, storage.open_source, storage.stat):
            with pytest.raises(errors.SourceError, match="not a file"):
                act(uri)
    assert list(storage.list_files(str(tmp_path))) == []


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "x/y", "dangling", "loop"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_bytes(b"1")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(errors.SourceNotFoundError):
        storage.get(f"{tmp_path}/{name}")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "x/y", "folder"])
def test_names_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_bytes(b"1")
    (tmp_path / "folder/full").mkdir(parents=True)
    with pytest.raises(errors.StoreError):
        storage.put(f"{tmp_path}/{name}", b"1")
    assert strays(tmp_path) == []


def test_links_are_followed_to_files_only(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x").write_bytes(b"12")
    (tmp_path / "file").symlink_to("data/x")
    (tmp_path / "data/up").symlink_to("..")
    found = {Path(file.uri).name: file.size for file in storage.list_files(str(tmp_path))}
    assert found == {"x": 2, "file": 2}


def test_relative_paths_stay_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    storage.put("a/x.jpg", b"1")
    storage.put("top.jpg", b"1")
    assert [file.uri for file in storage.list_files("a")] == ["a/x.jpg"]
    assert [file.uri for file in storage.list_files("**/*.jpg")] == ["a/x.jpg", "top.jpg"]


def test_a_folder_with_wildcards_in_its_name(tmp_path: Path) -> None:
    uri = f"{tmp_path}/holiday [2024]*"
    storage.put(f"{uri}/x", b"1")
    assert [file.uri for file in storage.list_files(uri)] == [f"{uri}/x"]


def test_only_folders_that_matter_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a/1/x", "a/2/x", "b/1/x", "c"):
        storage.put(f"{tmp_path}/{key}", b"1")
    seen: list[str] = []
    scan = local._scan

    def watch(folder: str) -> Any:
        seen.append(os.path.relpath(folder, tmp_path))
        return scan(folder)

    monkeypatch.setattr(local, "_scan", watch)
    assert len(list(storage.list_files(str(tmp_path), after=f"{tmp_path}/a/2/x"))) == 2
    assert seen == [".", "a", "a/2", "b", "b/1"]
    seen.clear()
    assert len(list(storage.list_files(f"{tmp_path}/*/1/*"))) == 2
    assert seen == [".", "a", "a/1", "b", "b/1"]


def test_after_must_be_of_the_listing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="to list after"):
        list(storage.list_files(str(tmp_path), after="s3://b/k"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1")
    path.chmod(0)
    with pytest.raises(errors.SourceDeniedError):
        storage.get(str(path))
