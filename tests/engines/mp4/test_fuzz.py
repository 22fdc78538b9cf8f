"""Damaged files end in a documented error, soon, and without much memory."""

import random
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from farm.engines.mp4 import NotIndexedError
from farm.engines.mp4.box import read_header
from farm.errors import MediaError
from tests.engines.clips import make
from tests.engines.mp4.packets import index_of
from tests.engines.mp4.test_index import CLIPS

KINDS = ("plain", "late start", "fragments after samples", "fragment each frame")
CASES = 120
MOST_BYTES = 2 << 20
MOST_SECONDS = 1.0
_TELLING = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\x5b\0\0", b"\x80\0\0\0")


def spots(data: bytes) -> list[int]:
    """The places that are no media data."""
    found: list[int] = []
    at = 0
    while (header := read_header(data, at)) is not None:
        found += range(at, at + (header.head if header.kind == b"mdat" else header.size))
        at += header.size
    return found


def damaged(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """The data with flipped bytes, telling numbers, or cut off."""
    places = spots(data)
    for case in range(CASES):
        broken = bytearray(data)
        if case % 8 == 0:
            del broken[rng.randrange(len(broken)) :]
        for _ in range(rng.choice((1, 1, 2, 4, 16)) if case % 8 else 0):
            at = rng.choice(places)
            new = rng.choice(_TELLING) if rng.random() < 0.3 else rng.randbytes(1)
            broken[at : at + len(new)] = new
        yield bytes(broken)


def read_all(data: bytes) -> int:
    """Asks everything of a file; the number of samples found."""
    count = 0
    for track in index_of(data).movie.tracks:
        if track.is_video:
            index = index_of(data)
            near = index.samples_near(track, 6000)
            near.key_at(6000)
            index.duration(track)
            index.average_rate(track)
            samples = index.samples(track)
            samples.shown_at(6000)
            count += len(samples)
    return count


@pytest.mark.parametrize("kind", KINDS)
def test_damage_ends_in_an_error_or_in_samples(kind: str) -> None:
    outcomes = set()
    rng = random.Random(kind)
    for data in damaged(make(CLIPS[kind]), rng):
        start = time.process_time()
        tracemalloc.start()
        try:
            outcomes.add(bool(read_all(data)))
        except (NotIndexedError, MediaError):
            outcomes.add(False)
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < MOST_BYTES
        assert time.process_time() - start < MOST_SECONDS
    assert outcomes == {True, False}
