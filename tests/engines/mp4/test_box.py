"""Box headers and their bounds."""

import struct

import pytest

from farm.engines.mp4.box import Header, NotIndexedError, boxes, children, read_header, unpack
from tests.engines.mp4.build import box


def test_a_header_tells_kind_and_size() -> None:
    assert read_header(box(b"free", b"1234")) == Header(b"free", head=8, size=12)


def test_a_size_of_one_stands_for_a_64_bit_size() -> None:
    data = struct.pack(">I4sQ", 1, b"mdat", 1 << 40)
    assert read_header(data) == Header(b"mdat", head=16, size=1 << 40)


def test_a_size_of_zero_reaches_to_the_end() -> None:
    content = memoryview(box(b"free") + struct.pack(">I4s", 0, b"mdat") + b"rest")
    assert [(kind, bytes(inner)) for kind, inner in boxes(content)] == [
        (b"free", b""),
        (b"mdat", b"rest"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0\x08fre",
        struct.pack(">I4s", 7, b"free"),
        struct.pack(">I4sQ", 1, b"mdat", 15),
        struct.pack(">I4sI", 1, b"mdat", 0),
    ],
)
def test_no_header_is_made_of_too_little(data: bytes) -> None:
    assert read_header(data) is None


def test_a_box_beyond_its_parent_ends_the_walk() -> None:
    content = memoryview(box(b"free") + struct.pack(">I4s", 9, b"skip"))
    assert [kind for kind, _ in boxes(content)] == [b"free"]


def test_the_first_of_two_children_counts() -> None:
    content = memoryview(box(b"name", b"1") + box(b"name", b"2"))
    assert bytes(children(content)[b"name"]) == b"1"


def test_numbers_beyond_a_box_are_refused() -> None:
    with pytest.raises(NotIndexedError, match="ends too early"):
        unpack(struct.Struct(">I"), memoryview(b"123"))
