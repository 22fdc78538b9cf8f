"""Files made of ranges: right bytes, few requests, bounded memory."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm import range_file
from farm.range_file import MOST_WINDOWS, RangeFile, read_beyond

WINDOW = 10


class Server:
    def __init__(self, size: int) -> None:
        self.data = os.urandom(size)
        self.asked: list[tuple[int, int]] = []

    def read_at(self, offset: int, length: int) -> bytes:
        assert 0 <= offset < offset + length <= len(self.data)
        self.asked.append((offset, length))
        return self.data[offset : offset + length]

    def file(self, *, head_bytes: int = 0) -> RangeFile:
        head = self.data[:head_bytes]
        return RangeFile(self.read_at, len(self.data), head=head, window_bytes=WINDOW)


def read(file: RangeFile, offset: int, length: int) -> bytes:
    """All of a range, by as many reads as it takes."""
    file.seek(offset)
    parts = []
    while length and (part := file.read(length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


@given(
    st.integers(0, 2_000),
    st.integers(0, 50),
    st.lists(st.tuples(st.integers(0, 2_100), st.integers(0, 1_000)), max_size=30),
)
def test_reads_are_right_and_nothing_kept_is_asked_for(
    size: int, head_bytes: int, reads: list[tuple[int, int]]
) -> None:
    server = Server(size)
    file = server.file(head_bytes=head_bytes)
    for offset, length in reads:
        assert read(file, offset, length) == server.data[offset : offset + length]
    known = set(range(min(head_bytes, size)))
    for offset, length in server.asked:
        assert known.isdisjoint(range(offset, offset + length))
        known |= set(range(offset, offset + length))


@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 100)), max_size=50))
def test_memory_is_bounded_and_reads_are_right_all_the_same(reads: list[tuple[int, int]]) -> None:
    server = Server(2_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(range_file, "KEPT_BYTES", 30)
        file = server.file(head_bytes=20)
        for offset, length in reads:
            assert read(file, offset, length) == server.data[offset : offset + length]
            assert sum(map(len, file._windows.values())) <= 30


def test_a_window_ends_where_a_kept_one_begins() -> None:
    server = Server(500)
    file = server.file()
    read(file, 105, 5)
    read(file, 98, 17)
    assert server.asked == [(105, 10), (98, 7)]


def test_the_window_used_last_is_kept_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_file, "KEPT_BYTES", 3 * WINDOW)
    server = Server(500)
    file = server.file()
    for offset in (100, 200, 300, 100, 400, 100):
        read(file, offset, 5)
    assert [offset for offset, _ in server.asked] == [100, 200, 300, 400]


def test_reading_straight_on_reads_ahead() -> None:
    server = Server(10_000)
    file = server.file()
    data = b"".join(iter(lambda: file.read(5), b""))
    assert data == server.data
    lengths = [length for _, length in server.asked]
    assert lengths[:4] == [10, 40, 80, 80]
    assert max(lengths) == MOST_WINDOWS * WINDOW


def test_jumps_read_nothing_ahead() -> None:
    server = Server(10_000)
    file = server.file()
    for offset in (5_000, 1_000, 9_000, 3_000):
        read(file, offset, 5)
    assert [length for _, length in server.asked] == [WINDOW] * 4


def test_a_long_read_is_one_request() -> None:
    server = Server(10_000)
    file = io.BufferedReader(server.file(head_bytes=WINDOW), WINDOW)
    assert file.read(5_000) == server.data[:5_000]
    assert server.asked == [(WINDOW, 5_000 - WINDOW)]


def test_what_is_in_the_head_is_not_asked_for() -> None:
    server = Server(100)
    head = server.data[:10]
    assert read_beyond(head, server.read_at, 2, 8) == server.data[2:10]
    assert server.asked == []
    assert read_beyond(head, server.read_at, 2, 12) == server.data[2:14]
    assert read_beyond(head, server.read_at, 50, 5) == server.data[50:55]
    assert server.asked == [(10, 4), (50, 5)]


def test_it_is_a_file() -> None:
    server = Server(95)
    file = server.file()
    assert file.readable()
    assert file.seekable()
    assert file.read(10) == server.data[:10]
    assert file.tell() == 10
    file.seek(5, os.SEEK_CUR)
    assert file.readall() == server.data[15:]
    assert file.read(1) == b""
    assert file.seek(-5, os.SEEK_END) == 90
    assert file.read(10) == server.data[90:]
    with pytest.raises(ValueError, match="0 or more"):
        file.seek(-1)
