"""Moments of fragmented files: fewer fragments give the same answers as all."""

import struct

import numpy as np
import pytest

from farm.engines.mp4 import NotIndexedError, Samples
from tests.engines.clips import make
from tests.engines.mp4.build import Movie, box, full, visual_entry
from tests.engines.mp4.packets import Reads, columns_of, demux, index_of, video_of
from tests.engines.mp4.test_index import CLIPS, FRAGMENTS, clip

SYNC, NO_SYNC = 0x2000000, 0x1010000
FRAGMENTED = {
    name: made for name, made in CLIPS.items() if name.startswith(("frag", "CMAF", "DASH"))
}


def seen(samples: Samples, ticks: int) -> tuple[int, list[int], int]:
    """What matters of a moment: the key's group and the sample shown, by place in the file."""
    key, shown = samples.key_at(ticks), samples.shown_at(ticks)
    assert key is not None
    assert shown is not None
    group = [int(samples.offset[index]) for index in samples.group(key)]
    return int(samples.pts[key]), group, int(samples.offset[shown])


@pytest.mark.parametrize("name", FRAGMENTED)
def test_a_part_answers_as_the_whole_does(name: str) -> None:
    data = make(CLIPS[name])
    whole = index_of(data)
    samples = whole.samples(video_of(whole))
    for ticks in range(int(samples.pts.min()) - 600, int(samples.pts.max()) + 900, 300):
        index = index_of(data)
        near = index.samples_near(video_of(index), ticks)
        assert seen(near, ticks) == seen(samples, ticks)
        assert near.is_sync[0]


def test_many_moments_read_each_fragment_once() -> None:
    reads = Reads(make(clip(FRAGMENTS, count=100)))
    index = index_of(reads.data, reads=reads)
    track = video_of(index)
    for ticks in range(0, 100 * 512, 512):
        index.samples_near(track, ticks)
    once = len(reads)
    index.samples(track)
    index.duration(track)
    for ticks in range(0, 100 * 512, 512):
        index.samples_near(track, ticks)
    assert len(reads) == once
    assert index.average_rate(track) == 25


class Fragmented:
    """Writes fragments of one track after an empty header."""

    def __init__(self, *, trex: bytes | None = None) -> None:
        trex = trex or struct.pack(">5I", 1, 1, 512, 0, NO_SYNC)
        mvex = box(b"mvex", full(b"trex", trex))
        self.data = Movie([], [], entries=[visual_entry(b"mp4v")], movie_boxes=mvex).data()

    def add(self, *sizes: int, dts: int | None = None) -> "Fragmented":
        """A fragment that begins with a sync sample."""
        tfdt = b"" if dts is None else full(b"tfdt", struct.pack(">Q", dts), version=1)
        tfhd = full(b"tfhd", struct.pack(">I", 1), flags=0x20000)
        # Headers of moof, traf and trun, and three numbers before the sizes.
        length = 8 + 8 + len(tfhd) + len(tfdt) + 24 + 4 * len(sizes)
        numbers = struct.pack(f">{len(sizes)}I", *sizes)
        run = struct.pack(">IiI", len(sizes), length + 8, SYNC) + numbers
        moof = box(b"moof", box(b"traf", tfhd, tfdt, full(b"trun", run, flags=0x205)))
        assert len(moof) == length
        self.data += moof + box(b"mdat", bytes(sum(sizes)))
        return self

    @property
    def samples(self) -> Samples:
        index = index_of(self.data)
        return index.samples(video_of(index))

    def near(self, ticks: int) -> Samples:
        index = index_of(self.data)
        return index.samples_near(video_of(index), ticks)

    @property
    def duration(self) -> int:
        index = index_of(self.data)
        return index.duration(video_of(index))

    def check(self) -> None:
        """Asserts that libavformat reads the same."""
        ((stream, packets),) = demux(self.data)
        np.testing.assert_array_equal(columns_of(self.samples), packets)
        assert self.duration == stream.duration


def test_fragments_follow_one_another() -> None:
    made = Fragmented().add(5, 6, 7, dts=0).add(8, 9, dts=3 * 512)
    assert made.samples.size.tolist() == [5, 6, 7, 8, 9]
    assert made.samples.pts.tolist() == [512 * number for number in range(5)]
    assert made.samples.syncs.tolist() == [0, 3]
    made.check()


def test_fragments_without_times_follow_one_another_too() -> None:
    made = Fragmented().add(5, 6, 7).add(8, 9).add(1)
    assert made.samples.pts.tolist() == [512 * number for number in range(6)]
    np.testing.assert_array_equal(columns_of(made.near(2000)), columns_of(made.samples))
    assert made.duration == 6 * 512
    made.check()


def test_a_gap_stays_a_gap() -> None:
    made = Fragmented().add(5, 6, dts=1000).add(7, 8, dts=50_000)
    assert made.samples.pts.tolist() == [1000, 1512, 50_000, 50_512]
    assert made.duration == 50_000 + 1024
    made.check()


def test_what_overlaps_the_fragment_before_is_not_shown() -> None:
    made = Fragmented().add(5, 6, 7, dts=0).add(8, 9, 10, dts=512)
    assert made.samples.is_discard.tolist() == [False] * 3 + [True, True, False]
    made.check()


def test_without_an_index_no_more_is_read_than_up_to_the_moment() -> None:
    made = Fragmented()
    for number in range(100):
        made.add(20_000, dts=512 * number)
    reads = Reads(made.data)
    index = index_of(made.data, reads=reads)
    near = index.samples_near(video_of(index), 10 * 512)
    assert len(near) == 12
    assert len(reads) <= 12 + 1  # and one for the index that is not there


def test_no_fragments_are_no_samples() -> None:
    made = Fragmented()
    assert made.duration == 0
    for ask in (lambda: made.samples, lambda: made.near(0)):
        with pytest.raises(NotIndexedError, match="no samples"):
            ask()


def test_fragments_that_were_announced_may_not_come() -> None:
    movie = Movie([5, 6], [512] * 2, edits=[(40, 0)], movie_boxes=box(b"mvex"))
    index = index_of(movie.data())
    track = video_of(index)
    assert index.movie.is_fragmented
    assert index.samples(track).size.tolist() == [5]
    assert index.samples_near(track, 600).size.tolist() == [5]
    assert index.duration(track) == track.duration == 512


def test_samples_of_the_header_come_before_fragments() -> None:
    trex = full(b"trex", struct.pack(">5I", 1, 1, 512, 0, NO_SYNC))
    entry = visual_entry(b"mp4v")
    made = Fragmented()
    made.data = Movie(
        [5, 6, 7], [512] * 3, syncs=[1], entries=[entry], movie_boxes=box(b"mvex", trex)
    ).data()
    made.add(8, 9)
    assert made.samples.size.tolist() == [5, 6, 7, 8, 9]
    assert made.samples.syncs.tolist() == [0, 3]
    assert made.duration == 5 * 512
    made.check()


def test_a_description_that_is_not_there_is_left_to_others() -> None:
    made = Fragmented(trex=struct.pack(">5I", 1, 2, 512, 0, NO_SYNC)).add(5, dts=0)
    with pytest.raises(NotIndexedError, match="description"):
        assert made.samples


def test_a_track_without_defaults_has_no_samples() -> None:
    made = Fragmented(trex=struct.pack(">5I", 2, 1, 512, 0, NO_SYNC)).add(5, dts=0)
    with pytest.raises(NotIndexedError, match="no samples"):
        assert made.samples


def test_fragments_have_an_average_rate() -> None:
    index = index_of(Fragmented().add(5, 6, dts=0).add(7, dts=1024).data)
    assert index.average_rate(video_of(index)) == 25
