"""Edit lists: cut and delayed presentations come out as libavformat has them."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from farm.engines.mp4 import NotIndexedError, Samples
from farm.engines.mp4.edit import Edit, time_offset
from tests.engines.mp4.build import Movie, box, full, visual_entry
from tests.engines.mp4.packets import COLUMNS, columns_of, demux, index_of, video_of

# Ten frames of 40 ms; a B-frame between any two others, so that presentation lags by one frame.
MOVIE = Movie(
    sizes=[9] * 10,
    durations=[512] * 10,
    cts_offsets=[512, *(1024, 0) * 4, 512],
    syncs=[1, 6],
    edits=[(400, 512)],
    entries=(visual_entry(b"mp4v"),),
)


def samples_of(movie: Movie) -> Samples:
    index = index_of(movie.data())
    return index.samples(video_of(index))


def test_an_edit_takes_away_the_delay_of_reordering() -> None:
    samples = samples_of(MOVIE)
    assert samples.pts.min() == 0
    assert samples.dts[0] == -512
    assert not samples.is_discard.any()


def test_an_empty_edit_delays_all() -> None:
    samples = samples_of(replace(MOVIE, edits=[(1000, -1), (400, 512)]))
    assert samples.pts.min() == 12800


def test_an_edit_within_a_group_begins_with_what_is_only_decoded() -> None:
    movie = replace(MOVIE, cts_offsets=None, edits=[(120, 3 * 512)])
    samples = samples_of(movie)
    assert samples.is_discard.tolist() == [True] * 3 + [False] * 3
    assert samples.pts.tolist() == [512 * number for number in range(-3, 3)]


def test_what_lies_before_the_last_key_of_a_cut_is_left_out() -> None:
    samples = samples_of(replace(MOVIE, cts_offsets=None, edits=[(100, 7 * 512)]))
    assert samples.is_sync.tolist()[0]
    assert samples.offset[0] == MOVIE.offsets()[5]


@pytest.mark.parametrize(
    "edits",
    [
        [(100, 0), (100, 2048)],
        [(100, 0), (100, -1)],
        [(400, -1)],
        [(400, -2)],
        [(0, 512)],
        [(400, 512 * 50)],
    ],
    ids=["two", "an empty end", "empty", "negative", "no length", "past the end"],
)
def test_other_edits_are_left_to_others(edits: list[tuple[int, int]]) -> None:
    with pytest.raises(NotIndexedError, match="elst"):
        samples_of(replace(MOVIE, edits=edits))


def test_edits_need_a_timescale() -> None:
    with pytest.raises(NotIndexedError, match="edit list"):
        samples_of(replace(MOVIE, movie_timescale=0))


def test_a_damaged_edit_list_is_left_to_others() -> None:
    data = MOVIE.data()
    at = data.index(b"elst")
    count = at + 8
    lie = data[:count] + (2).to_bytes(4, "big") + data[count + 4 :]
    index = index_of(lie)
    with pytest.raises(NotIndexedError, match="edit list"):
        index.samples(video_of(index))


@pytest.mark.parametrize("edit", [(2**63, 512), (400, 2**62)])
def test_an_edit_past_all_times_is_left_to_others(edit: tuple[int, int]) -> None:
    elst = full(b"elst", struct.pack(">IQqI", 1, *edit, 1 << 16), version=1)
    with pytest.raises(NotIndexedError, match="edit list"):
        samples_of(replace(MOVIE, edits=(), track_boxes=box(b"edts", elst)))


def test_the_offset_of_fragments_is_the_first_start_less_its_delay() -> None:
    assert time_offset(()) == 0
    assert time_offset((Edit(400, 512),)) == 512
    assert time_offset((Edit(1000, -1), Edit(0, 512))) == -488
    assert time_offset((Edit(1000, -1),)) == -1000


@st.composite
def edited(draw: st.DrawFn) -> Movie:
    count = draw(st.integers(1, 20))
    durations = draw(st.lists(st.sampled_from([512, 512, 300, 1]), min_size=count, max_size=count))
    length = sum(durations)
    offsets = st.lists(st.integers(-3, 3), min_size=count, max_size=count)
    delay = draw(st.lists(st.integers(0, 500), max_size=2))
    edit = (draw(st.integers(1, length * 1000 // 12800 + 1)), draw(st.integers(0, length)))
    return Movie(
        sizes=[number + 1 for number in range(count)],
        durations=durations,
        cts_offsets=draw(st.none() | offsets.map(lambda steps: [512 * step for step in steps])),
        syncs=draw(st.none() | st.sets(st.integers(1, count), min_size=1).map(sorted)),
        chunks=[1] * count,
        edits=[*((ticks, -1) for ticks in delay), edit],
        entries=(visual_entry(b"mp4v"),),
    )


@given(edited())
@settings(max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
def test_edits_are_applied_as_libavformat_does(movie: Movie) -> None:
    data = movie.data()
    index = index_of(data)
    track = video_of(index)
    try:
        samples = index.samples(track)
    except NotIndexedError:
        assume(False)
    (theirs,) = demux(data)
    compared = set(COLUMNS)
    if movie.cts_offsets is None:
        # Where an edit cuts samples away, libavformat counts durations from the first still.
        compared.remove("duration")
    if (samples.pts < samples.dts).any():
        # No decoder could take these; libavformat makes up other decoding times.
        compared.remove("dts")
    columns = [number for number, name in enumerate(COLUMNS) if name in compared]
    np.testing.assert_array_equal(columns_of(samples)[:, columns], theirs.packets[:, columns])
    assert track.duration == theirs.stream.duration
    assert track.frame_count == theirs.stream.frames


def test_an_edit_list_may_have_64_bits() -> None:
    elst = full(b"elst", struct.pack(">IQqI", 1, 400, 512, 1 << 16), version=1)
    samples = samples_of(replace(MOVIE, edits=(), track_boxes=box(b"edts", elst)))
    np.testing.assert_array_equal(columns_of(samples), columns_of(samples_of(MOVIE)))
