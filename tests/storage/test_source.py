"""Opened sources: exact ranges, counted, and what came with opening not asked for again."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import SourceChangedError
from farm.storage.source import (
    HEAD_BYTES,
    STILL_HEAD_BYTES,
    FileSource,
    RangeSource,
    SourceStream,
    head_bytes_for,
)


class Server:
    def __init__(self, size: int) -> None:
        self.data = os.urandom(size)
        self.asked: list[tuple[int, int]] = []

    def fetch(self, offset: int, length: int) -> bytes:
        assert 0 <= offset < offset + length <= len(self.data)
        self.asked.append((offset, length))
        return self.data[offset : offset + length]

    def source(self, *, head_bytes: int = 0) -> RangeSource:
        head = self.data[:head_bytes]
        return RangeSource(self.fetch, size=len(self.data), name="s3://b/k", head=head, requests=1)


@given(
    st.integers(0, 200),
    st.integers(0, 50),
    st.lists(st.tuples(st.integers(-5, 210), st.integers(0, 100)), max_size=30),
)
def test_reads_are_right_and_exact(
    size: int, head_bytes: int, reads: list[tuple[int, int]]
) -> None:
    server = Server(size)
    with server.source(head_bytes=head_bytes) as source:
        for offset, length in reads:
            server.asked.clear()
            expected = server.data[offset : offset + length] if offset >= 0 else b""
            assert source.read_at(offset, length) == expected
            beyond = server.data[max(offset, head_bytes) : offset + length] if offset >= 0 else b""
            assert sum(length for _, length in server.asked) == len(beyond)
            assert len(server.asked) == bool(beyond)


def test_what_was_sent_and_received_is_counted() -> None:
    server = Server(100)
    with server.source(head_bytes=10) as source:
        assert (source.requests, source.bytes_read) == (1, 10)
        source.read_at(2, 5)
        assert (source.requests, source.bytes_read) == (1, 10)
        source.read_at(5, 20)
        assert (source.requests, source.bytes_read) == (2, 25)


def test_a_short_answer_is_said() -> None:
    with (
        RangeSource(lambda offset, length: b"x", size=100, name="http://h/x?sig=abc") as source,
        pytest.raises(SourceChangedError, match=r"gave 1 of the 5 bytes at 0") as caught,
    ):
        source.read_at(0, 5)
    assert "abc" not in str(caught.value)


def test_a_stream_begins_with_what_opening_brought() -> None:
    server = Server(95)
    with SourceStream(server.source(head_bytes=20), window_bytes=20) as file:
        assert file.read(20) == server.data[:20]
        assert server.asked == []
        assert file.readall() == server.data[20:]
        assert server.asked == [(20, 75)]


@pytest.mark.parametrize(
    ("uri", "size", "expected"),
    [
        ("https://h/a/photo.JPG?width=3.5", None, STILL_HEAD_BYTES),
        ("s3://b/a.b/c.webp", None, STILL_HEAD_BYTES),
        ("s3://b/clip.mp4", None, HEAD_BYTES),
        ("https://h/jpg", None, HEAD_BYTES),
        ("a.png", 1, STILL_HEAD_BYTES),
        ("a.png", STILL_HEAD_BYTES + 1, STILL_HEAD_BYTES + 1),
        ("a.png", 2 * STILL_HEAD_BYTES + 1, STILL_HEAD_BYTES),
        ("a.mp4", STILL_HEAD_BYTES + 1, HEAD_BYTES),
        ("https://h/clip.mp4?poster=a.jpg", None, HEAD_BYTES),
    ],
)
def test_more_is_asked_for_first_of_what_is_called_a_still(
    uri: str, size: int | None, expected: int
) -> None:
    assert head_bytes_for(uri, size) == expected


def test_a_file_closes_its_descriptor_once(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    fd = os.open(path, os.O_RDONLY)
    source = FileSource(fd, size=5, name=str(path))
    assert source.read_at(3, 10) == b"45"
    assert (source.head, source.requests, source.bytes_read) == (b"", 0, 0)
    source.close()
    source.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
