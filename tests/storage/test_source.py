"""The block cache of remote sources: right bytes, few requests, bounded memory."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import SourceChangedError
from farm.storage.source import (
    CACHE_BLOCKS,
    MOST_AHEAD_BLOCKS,
    FileSource,
    RangeSource,
    SourceStream,
)

BLOCK = 10


class Server:
    def __init__(self, size: int) -> None:
        self.data = os.urandom(size)
        self.asked: list[tuple[int, int]] = []

    def fetch(self, offset: int, length: int) -> bytes:
        assert 0 <= offset < offset + length <= len(self.data)
        self.asked.append((offset, length))
        return self.data[offset : offset + length]

    def source(self, **options: bytes) -> RangeSource:
        return RangeSource(
            self.fetch, size=len(self.data), name="s3://b/k", block_bytes=BLOCK, **options
        )


@given(
    st.integers(0, 2_000),
    st.lists(st.tuples(st.integers(-5, 2_100), st.integers(0, 1_000)), max_size=30),
)
def test_reads_are_right(size: int, reads: list[tuple[int, int]]) -> None:
    server = Server(size)
    with server.source() as source:
        for offset, length in reads:
            expected = server.data[offset : offset + length] if offset >= 0 else b""
            assert source.read_at(offset, length) == expected
            assert len(source._blocks) <= CACHE_BLOCKS
        assert source.requests == len(server.asked)
        assert source.bytes_read == sum(length for _, length in server.asked)


def test_neighbours_come_in_one_request_and_once() -> None:
    server = Server(500)
    with server.source() as source:
        source.read_at(105, 50)
        assert server.asked == [(100, 60)]
        source.read_at(100, 60)
        assert len(server.asked) == 1
        source.read_at(85, 100)
        assert server.asked[1:] == [(80, 20), (160, 30)]


def test_reading_straight_on_reads_ahead() -> None:
    server = Server(10_000)
    with server.source() as source:
        data = b"".join(source.read_at(offset, 5) for offset in range(0, 10_000, 5))
    assert data == server.data
    assert len(server.asked) < 1.2 * 10_000 / BLOCK / MOST_AHEAD_BLOCKS
    assert max(length for _, length in server.asked) == (MOST_AHEAD_BLOCKS + 1) * BLOCK


def test_jumps_read_nothing_ahead() -> None:
    server = Server(10_000)
    with server.source() as source:
        for offset in (5_000, 1_000, 9_000, 3_000):
            source.read_at(offset, 5)
    assert [length for _, length in server.asked] == [BLOCK] * 4


def test_the_first_block_may_be_given() -> None:
    server = Server(100)
    with server.source(head=server.data[:BLOCK]) as source:
        assert source.read_at(0, BLOCK) == server.data[:BLOCK]
        assert server.asked == []


def test_a_short_answer_is_said() -> None:
    with (
        RangeSource(lambda offset, length: b"x", size=100, name="http://h/x?sig=abc") as source,
        pytest.raises(SourceChangedError, match=r"gave 1 of the 100 bytes at 0") as caught,
    ):
        source.read_at(0, 5)
    assert "abc" not in str(caught.value)


def test_a_stream_is_a_file() -> None:
    server = Server(95)
    with SourceStream(server.source()) as file:
        assert file.seekable()
        assert file.read(10) == server.data[:10]
        assert file.tell() == 10
        file.seek(5, os.SEEK_CUR)
        assert file.readall() == server.data[15:]
        assert file.read(1) == b""
        with pytest.raises(ValueError, match="0 or more"):
            file.seek(-1)


def test_a_file_closes_its_descriptor_once(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    fd = os.open(path, os.O_RDONLY)
    source = FileSource(fd, size=5, name=str(path))
    assert source.read_at(3, 10) == b"45"
    source.close()
    source.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
