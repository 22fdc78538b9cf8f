"""A source's exact reads: of the head, of ranges, of its file."""

import io

import pytest

from farm.engines import Source

DATA = bytes(range(200))


class Ranges:
    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def __call__(self, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        return DATA[offset : offset + length]


@pytest.mark.parametrize("head_bytes", [0, 50])
@pytest.mark.parametrize(
    ("offset", "length"), [(0, 10), (0, 50), (40, 20), (50, 10), (190, 50), (300, 5), (0, 0)]
)
def test_they_are_exact(offset: int, length: int, head_bytes: int) -> None:
    ranges = Ranges()
    file = io.BytesIO(DATA)
    plain = Source(file, len(DATA), "x", DATA[:head_bytes])
    ranged = Source(file, len(DATA), "x", DATA[:head_bytes], ranges)
    for source in (plain, ranged):
        assert source.read_at(offset, length) == DATA[offset : offset + length]
    start = max(offset, head_bytes)
    beyond = offset + length - start
    assert ranges.asked == ([(start, beyond)] if beyond > 0 else [])
