"""Sample tables: random ones come back, damaged ones are left to libavformat."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.engines.mp4 import NotIndexedError, Samples
from tests.engines.mp4.build import Movie, box, full, table
from tests.engines.mp4.packets import index_of, video_of

MOVIE = Movie(
    sizes=[50, 20, 10, 10, 60, 20],
    durations=[512] * 6,
    cts_offsets=[512, 1536, 512, 0, 512, 512],
    syncs=[1, 5],
    chunks=[2, 2, 1, 1],
)


def samples_of(movie: Movie) -> Samples:
    index = index_of(movie.data())
    return index.samples(video_of(index))


@st.composite
def movies(draw: st.DrawFn) -> Movie:
    chunks = draw(st.lists(st.integers(1, 7), min_size=1, max_size=10))
    count = sum(chunks)
    of_each = {"min_size": count, "max_size": count}
    entry_count = draw(st.integers(1, 3))
    return Movie(
        sizes=draw(st.lists(st.integers(0, 99), **of_each)),
        durations=draw(st.lists(st.integers(0, 3), **of_each)),
        cts_offsets=draw(st.none() | st.lists(st.integers(-5, 5), **of_each)),
        syncs=draw(st.none() | st.sets(st.integers(1, count), min_size=1).map(sorted)),
        chunks=chunks,
        entries=Movie.entries * entry_count,
        entry_of_chunk=draw(
            st.lists(st.integers(1, entry_count), min_size=len(chunks), max_size=len(chunks))
        ),
        moov_first=draw(st.booleans()),
    )


@given(movies())
def test_a_table_comes_back_as_it_was_written(movie: Movie) -> None:
    samples = samples_of(movie)
    count = len(movie.sizes)
    times = np.cumsum(movie.durations) - movie.durations
    assert samples.size.tolist() == list(movie.sizes)
    assert samples.offset.tolist() == movie.offsets()
    assert samples.duration.tolist() == list(movie.durations)
    assert samples.pts.tolist() == (times + (movie.cts_offsets or [0] * count)).tolist()
    # All decoding times are shifted alike, to lie before negative offsets.
    assert len(set((samples.dts - times).tolist())) == 1
    syncs = range(1, count + 1) if movie.syncs is None else movie.syncs
    assert [int(index) + 1 for index in samples.syncs] == list(syncs)
    entries = np.repeat(movie.entry_of_chunk, movie.chunks) - 1
    assert samples.entry.tolist() == entries.tolist()
    assert not samples.is_discard.any()


def test_offsets_lead_to_the_data() -> None:
    data, samples = MOVIE.data(), samples_of(MOVIE)
    for number, (offset, size) in enumerate(zip(samples.offset, samples.size, strict=True)):
        assert data[offset : offset + size] == bytes([number]) * size


def test_offsets_may_have_64_bits() -> None:
    offsets = [1 << 40, 2 << 40, 3 << 40, 4 << 40]
    co64 = full(b"co64", struct.pack(">I4Q", 4, *offsets))
    samples = samples_of(MOVIE.with_boxes(stco=co64))
    assert samples.offset.tolist() == [
        *(1 << 40, (1 << 40) + 50),
        *(2 << 40, (2 << 40) + 10),
        *(3 << 40, 4 << 40),
    ]


@pytest.mark.parametrize(
    ("bits", "content"),
    [
        (4, bytes.fromhex("123456")),
        (8, bytes.fromhex("010203040506")),
        (16, struct.pack(">6H", *range(1, 7))),
    ],
)
def test_sizes_may_be_compact(bits: int, content: bytes) -> None:
    stz2 = full(b"stz2", struct.pack(">II", bits, 6), content)
    assert samples_of(MOVIE.with_boxes(stsz=stz2)).size.tolist() == [1, 2, 3, 4, 5, 6]


def test_all_sizes_may_be_one() -> None:
    stsz = full(b"stsz", struct.pack(">II", 7, 6))
    assert samples_of(MOVIE.with_boxes(stsz=stsz)).size.tolist() == [7] * 6


def test_partial_sync_samples_are_sync_samples() -> None:
    assert samples_of(MOVIE.with_boxes(stps=table(b"stps", [3]))).syncs.tolist() == [0, 2, 4]


@pytest.mark.parametrize("version", [0, 1])
def test_random_access_groups_are_sync_samples(version: int) -> None:
    parameter = bytes(4) if version else b""
    rows = struct.pack(">I4I", 2, 3, 0, 1, 1)
    rap = full(b"sbgp", b"rap ", parameter, rows, version=version)
    other = full(b"sbgp", b"roll", struct.pack(">III", 1, 6, 1))
    movie = MOVIE.with_boxes(sbgp=other + rap)
    assert samples_of(movie).syncs.tolist() == [0, 3, 4]


def test_a_sync_sample_that_is_not_there_is_none() -> None:
    assert samples_of(replace(MOVIE, syncs=[1, 7])).syncs.tolist() == [0]


def test_no_offsets_are_as_good_as_zeros() -> None:
    assert samples_of(MOVIE.with_boxes(ctts=table(b"ctts", []))).pts.tolist() == [
        *range(0, 6 * 512, 512)
    ]


DAMAGED = {
    "no sizes": {"stsz": None},
    "no times": {"stts": None},
    "no chunks": {"stco": None},
    "no runs of chunks": {"stsc": None},
    "no samples": {"stsz": full(b"stsz", bytes(8))},
    "sizes beyond the box": {"stsz": full(b"stsz", struct.pack(">II", 0, 7), bytes(24))},
    "a lie of many sizes": {"stsz": full(b"stsz", struct.pack(">II", 0, 2**32 - 1), bytes(24))},
    "a lie of one size": {"stsz": full(b"stsz", struct.pack(">II", 1, 2**32 - 1))},
    "a lie the file refutes": {"stsz": full(b"stsz", struct.pack(">II", 1, 5_000_000))},
    "a size of gigabytes": {"stsz": full(b"stsz", struct.pack(">II6I", 0, 6, *[2**31] * 6))},
    "sizes of three bits": {"stsz": full(b"stz2", struct.pack(">II", 3, 6), bytes(24))},
    "too few times": {"stts": table(b"stts", [(5, 512)])},
    "too many times": {"stts": table(b"stts", [(5, 512), (2**32 - 1, 512)])},
    "times running backwards": {"stts": table(b"stts", [(6, -512)])},
    "times cut off": {"stts": full(b"stts", struct.pack(">II", 9, 6))},
    "too few offsets of time": {"ctts": table(b"ctts", [(5, 512)])},
    "offsets of years": {"ctts": table(b"ctts", [(1, 2**30), (4, 0), (1, 0)])},
    "fewer of a negative count": {"ctts": table(b"ctts", [(7, 0), (-1, 0)])},
    "chunks out of order": {"stsc": table(b"stsc", [(1, 2, 1), (3, 1, 1), (3, 1, 1)])},
    "chunks from the second": {"stsc": table(b"stsc", [(2, 2, 1)])},
    "chunks beyond the last": {"stsc": table(b"stsc", [(1, 2, 1), (5, 1, 1)])},
    "empty chunks": {"stsc": table(b"stsc", [(1, 2, 1), (3, 0, 1)])},
    "description zero": {"stsc": table(b"stsc", [(1, 2, 1), (3, 1, 0)])},
    "a description that is not there": {"stsc": table(b"stsc", [(1, 2, 1), (3, 1, 2)])},
    "too many samples in chunks": {"stsc": table(b"stsc", [(1, 2, 1)])},
    "a lie of chunks": {"stsc": table(b"stsc", [(1, 2**32 - 1, 1)])},
    "chunks nowhere": {"stco": full(b"co64", struct.pack(">I4q", 4, -1, 0, 0, 0))},
    "chunks past any file": {"stco": full(b"co64", struct.pack(">I4q", 4, 2**62, 0, 0, 0))},
    "sync samples by content": {"stss": table(b"stss", [])},
    "sync samples out of order": {"stss": table(b"stss", [5, 1])},
    "sync samples from zero": {"stss": table(b"stss", [0, 4])},
    "two tables of times": {"more": table(b"stts", [(6, 512)])},
    "more random access than samples": {
        "sbgp": full(b"sbgp", b"rap ", struct.pack(">III", 1, 2**32 - 1, 1))
    },
}


@pytest.mark.parametrize("boxes", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_damaged_is_left_to_others(boxes: dict[str, bytes | None]) -> None:
    with pytest.raises(NotIndexedError):
        samples_of(MOVIE.with_boxes(**boxes))


def test_a_box_of_another_kind_does_no_harm() -> None:
    assert len(samples_of(MOVIE.with_boxes(more=box(b"xxxx", b"?")))) == 6
