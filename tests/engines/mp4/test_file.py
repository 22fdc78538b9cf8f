"""Reads of a file's first level: few, and none twice."""

import pytest

from farm.engines.mp4.box import NotIndexedError
from farm.engines.mp4.file import MOST_HEADER_BYTES, BoxFile
from tests.engines.mp4.build import box
from tests.engines.mp4.packets import Reads

DATA = box(b"ftyp", b"isom") + box(b"mdat", bytes(100_000)) + box(b"moov", b"1" * 50_000)


def file_of(data: bytes, head_bytes: int = 0) -> tuple[BoxFile, Reads]:
    reads = Reads(data)
    return BoxFile(reads, len(data), head=data[:head_bytes]), reads


@pytest.mark.parametrize("head_bytes", [0, 8, 12, 20, 4096])
def test_boxes_are_found_by_their_headers(head_bytes: int) -> None:
    file, reads = file_of(DATA, head_bytes)
    found = [(at, header.kind, header.size) for at, header in file.boxes()]
    assert found == [
        (0, b"ftyp", 12),
        (12, b"mdat", 100_008),
        (100_020, b"moov", 50_008),
    ]
    assert sum(length for _, length in reads) <= 3 * (16 << 10)


def test_the_tail_comes_in_one_read() -> None:
    file, reads = file_of(DATA, 4096)
    *_, (at, header) = file.boxes(looks_for_tail=True)
    assert bytes(file.content(at, header)) == b"1" * 50_000
    assert reads == [(100_020, 50_008)]


def test_bytes_at_hand_are_not_read_again() -> None:
    file, reads = file_of(DATA, 20)
    assert file.read(8, 30) == DATA[8:38]
    assert reads == [(20, 18)]
    assert file.read(4, 16) == DATA[4:20]
    assert len(reads) == 1


def test_the_tail_of_a_short_file_is_all_of_it() -> None:
    file, _ = file_of(b"1234")
    assert file.tail(100) == b"1234"


def test_too_much_is_refused_before_it_is_read() -> None:
    file = BoxFile(Reads(b""), 1 << 40)
    with pytest.raises(NotIndexedError, match="too long"):
        file.read(0, MOST_HEADER_BYTES + 1)
    with pytest.raises(NotIndexedError, match="too long"):
        file.read((1 << 40) - 5, 6)


def test_a_file_that_shrank_is_refused() -> None:
    file = BoxFile(Reads(b"123"), 100)
    with pytest.raises(NotIndexedError, match="shorter"):
        file.read(0, 50)
    assert file.header(60) is None


def test_the_tail_is_kept_beside_what_is_read_later() -> None:
    file, reads = file_of(DATA)
    assert file.tail(30) == DATA[-30:]
    file.header(12)
    assert file.read(len(DATA) - 20, 20) == DATA[-20:]
    assert len(reads) == 2
