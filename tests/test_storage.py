"""One contract that every store keeps, and what each does on its own."""

import io
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from farm import errors, storage
from farm.settings import Limits
from farm.storage import failure
from tests.s3 import S3Server, s3_server

__all__ = ["s3_server"]

_folders = count()


@pytest.fixture(params=["local", "file", "memory", "s3"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "local":
            return str(tmp_path)
        case "file":
            return f"file://{tmp_path}"
        case "memory":
            return f"memory://test-{next(_folders)}"
        case _:
            server: S3Server = request.getfixturevalue("s3_server")
            return f"{server.new_bucket()}/deep/base"


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure, "FIRST_DELAY_SECONDS", 0.0)


def uris(base: str, **options: str | None) -> list[str]:
    return [file.uri for file in storage.list_files(base, **options)]


class TestContract:
    def test_what_is_put_is_got(self, base: str) -> None:
        uri = storage.join(base, "a/b/c.bin")
        data = random.Random(1).randbytes(100_000)
        storage.put(uri, data, content_type="image/png", sha256="00" * 32)
        assert storage.get(uri) == data
        storage.put(uri, b"shorter")
        assert storage.get(uri) == b"shorter"

    @pytest.mark.parametrize(
        "key", ["a%20b+c é😀.jpg", "q?x=1&y#z.png", "sp ace/[1].jpg", "v?versionId=7", "k" * 250]
    )
    def test_any_key_goes(self, base: str, key: str) -> None:
        uri = storage.join(base, key)
        storage.put(uri, b"1")
        assert storage.get(uri) == b"1"
        assert storage.exists(uri)
        assert uris(base) == [uri]
        with storage.open_source(uri) as opened:
            assert opened.read_at(0, 5) == b"1"

    def test_empty_files(self, base: str) -> None:
        uri = storage.join(base, "empty")
        storage.put(uri, b"")
        assert storage.get(uri) == b""
        assert storage.stat(uri).size == 0
        with storage.open_source(uri) as opened:
            assert opened.size == 0
            assert opened.read_at(0, 10) == b""

    def test_exists_and_delete(self, base: str) -> None:
        uri = storage.join(base, "folder/x")
        assert not storage.exists(uri)
        storage.delete(uri)
        storage.put(uri, b"1")
        assert storage.exists(uri)
        assert not storage.exists(storage.join(base, "folder"))
        storage.delete(uri)
        assert not storage.exists(uri)

    def test_put_new_is_won_once(self, base: str) -> None:
        uri = storage.join(base, "commits/1")
        assert storage.put_new(uri, b"first")
        assert not storage.put_new(uri, b"second")
        assert not storage.put_new(uri, b"first")
        assert storage.get(uri) == b"first"

    def test_stat(self, base: str) -> None:
        uri = storage.join(base, "x")
        storage.put(uri, b"12345")
        found = storage.stat(uri)
        assert (found.uri, found.size) == (uri, 5)
        assert found.mtime is not None
        assert found.mtime > 1_600_000_000

    def test_a_missing_file_is_named(self, base: str) -> None:
        uri = storage.join(base, "no/such")
        for act in (storage.get, storage.stat, storage.open_source, storage.open_stream):
            with pytest.raises(errors.SourceNotFoundError, match="no/such"):
                act(uri)

    def test_a_folder_is_no_source(self, base: str) -> None:
        storage.put(storage.join(base, "folder/x"), b"1")
        with pytest.raises(errors.SourceNotFoundError):
            storage.open_source(storage.join(base, "folder"))

    def test_listing_is_ordered_and_restarts_anywhere(self, base: str) -> None:
        keys = ["a.txt", "a/1", "a/b/2", "a-c/x", "b", "é", "z/z/z/z", "a/b.c", "aa"]
        for key in keys:
            storage.put(storage.join(base, key), key.encode())
        expected = [storage.join(base, key) for key in sorted(keys, key=str.encode)]
        assert uris(base) == expected
        assert uris(base + "/") == expected
        for index, uri in enumerate(expected):
            assert uris(base, after=uri) == expected[index + 1 :]
        sizes = {file.uri: file.size for file in storage.list_files(base)}
        assert sizes[storage.join(base, "a/b/2")] == 5

    def test_listing_a_file_or_nothing(self, base: str) -> None:
        uri = storage.join(base, "one")
        assert uris(base) == []
        storage.put(uri, b"1")
        storage.put(uri + "-more/x", b"1")
        assert uris(uri) == [uri]
        assert uris(storage.join(base, "on")) == []

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("*.jpg", ["a.jpg"]),
            ("**/*.jpg", ["a.jpg", "x/b.jpg", "x/y/c.jpg"]),
            ("x/*", ["x/b.jpg", "x/d.png"]),
            ("x/**", ["x/b.jpg", "x/d.png", "x/y/c.jpg"]),
            ("?/[bc].jpg", ["x/b.jpg"]),
            ("*/*/[!x].jpg", ["x/y/c.jpg"]),
            ("**/y/*", ["x/y/c.jpg"]),
            ("q*", []),
            ("x/[[]1].gif", ["x/[1].gif"]),
        ],
    )
    def test_globs(self, base: str, pattern: str, expected: list[str]) -> None:
        for key in ["a.jpg", "x/b.jpg", "x/y/c.jpg", "x/d.png"]:
            storage.put(storage.join(base, key), b"1")
        if "[[]" in pattern:
            storage.put(storage.join(base, "x/[1].gif"), b"1")
        found = uris(storage.join(base, pattern))
        assert found == [storage.join(base, key) for key in expected]
        if found:
            assert uris(storage.join(base, pattern), after=found[0]) == found[1:]

    def test_read_at(self, base: str) -> None:
        data = random.Random(2).randbytes(1_500_000)
        uri = storage.join(base, "big")
        storage.put(uri, data)
        with storage.open_source(uri, expected_size=len(data)) as opened:
            assert opened.size == len(data)
            for offset, length in [(0, 10), (1_499_990, 100), (700_000, 600_000), (2_000_000, 1)]:
                assert opened.read_at(offset, length) == data[offset : offset + length]
            if opened.fd is not None:
                assert os.pread(opened.fd, 5, 100) == data[100:105]

    def test_streams_read_on_and_seek(self, base: str) -> None:
        data = random.Random(3).randbytes(300_000)
        uri = storage.join(base, "stream")
        storage.put(uri, data)
        with storage.open_stream(uri) as file:
            assert b"".join(iter(lambda: file.read(7_000), b"")) == data
            assert file.seek(-10, io.SEEK_END) == len(data) - 10
            assert file.read() == data[-10:]

    def test_limits_on_bytes(self, base: str) -> None:
        uri = storage.join(base, "x")
        storage.put(uri, b"12345")
        with pytest.raises(errors.SourceTooLargeError, match=r"5 bytes.*at most 4"):
            storage.open_source(uri, limits=Limits(source_bytes=4))
        with pytest.raises(errors.SourceChangedError, match=r"5 bytes.*listed with 6"):
            storage.open_source(uri, expected_size=6)

    def test_many_threads(self, base: str) -> None:
        def work(number: int) -> bool:
            uri = storage.join(base, f"t/{number % 7}/{number}")
            storage.put(uri, str(number).encode())
            return storage.get(uri) == str(number).encode()

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(48)))
        assert len(uris(base)) == 48


@pytest.mark.parametrize("where", ["local", "s3"])
def test_one_of_many_wins_a_race(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = str(tmp_path) if where == "local" else request.getfixturevalue("s3_server").new_bucket()
    for number in range(5):
        uri, start = f"{place}/race/{number}", threading.Barrier(8)

        def put(writer: int, uri: str = uri, start: threading.Barrier = start) -> bool:
            start.wait()
            return storage.put_new(uri, f"{writer}".encode() * 1000)

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(put, range(8)))
        assert won.count(True) == 1
        assert storage.get(uri) == f"{won.index(True)}".encode() * 1000
