"""Whole files: ours and libavformat's reading of them, and what it costs to read them."""

import io
import struct
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from farm.engines.mp4 import Index, NotIndexedError, open_index
from farm.errors import EncryptedError
from tests.engines.clips import Clip, make
from tests.engines.mp4.build import AVC_CONFIG, Movie, box, full, table, visual_entry
from tests.engines.mp4.packets import (
    Reads,
    columns_of,
    demux,
    index_of,
    video_of,
)

MOVIE = Movie(sizes=[500] * 30, durations=[512] * 30, syncs=[1, 11, 21])
FRAGMENTS = "+frag_keyframe+empty_moov+default_base_moof"
DASH = FRAGMENTS + "+dash+global_sidx"


def clip(movflags: str = "", **values: object) -> Clip:
    """A clip with B-frames."""
    options = {"movflags": movflags} if movflags else {}
    return replace(Clip(count=40, bframes=2, container_options=options), **values)


CLIPS = {
    "plain": clip(),
    "QuickTime": clip(container="mov"),
    "no edit list": clip(container_options={"use_editlist": "0"}),
    "negative offsets": clip("negative_cts_offsets"),
    "late start": clip(delay=30),
    "late start, negative offsets": clip("negative_cts_offsets", delay=30),
    "variable rate": clip(count=20, times=tuple(number**2 * 7 for number in range(20))),
    "open groups": clip(options={"x264-params": "open-gop=1:keyint_min=1"}),
    "intra refresh": clip(options={"x264-params": "intra-refresh=1"}),
    "hint track": clip("rtphint"),
    "MPEG-4": clip(codec="mpeg4", bframes=1),
    "MPEG-4 in QuickTime": clip(codec="mpeg4", container="mov", bframes=0),
    "VP9": clip(codec="libvpx-vp9", count=12),
    "HEVC": clip(codec="libx265", count=12),
    "AV1": clip(codec="libsvtav1", count=12, size=(64, 64)),
    "rotated": clip(count=5, rotation=(90, False)),
    "one frame": clip(count=1),
    "fragments": clip(FRAGMENTS),
    "fragments, absolute offsets": clip("+frag_keyframe+empty_moov"),
    "fragments, no offsets": clip("+frag_keyframe+empty_moov+omit_tfhd_offset"),
    "fragments, negative offsets": clip(FRAGMENTS + "+negative_cts_offsets"),
    "fragments, late header": clip("+frag_keyframe+delay_moov"),
    "fragments, late start": clip("+frag_keyframe+delay_moov", delay=30),
    "fragments after samples": clip("+frag_keyframe"),
    "fragments after samples, late": clip("+frag_keyframe", delay=30),
    "fragments without an end": clip(FRAGMENTS + "+skip_trailer"),
    "fragment each frame": clip("+frag_every_frame+empty_moov+default_base_moof"),
    "fragments by size": clip(container_options={"movflags": "+empty_moov", "frag_size": "2000"}),
    "CMAF": clip("+cmaf+frag_keyframe"),
    "DASH, an index for each segment": clip("+frag_keyframe+delay_moov+dash"),
    "Smooth Streaming": clip("+frag_keyframe", container="ismv"),
    "hybrid": clip("+hybrid_fragmented+frag_keyframe"),
}
assert_equal = np.testing.assert_array_equal


def check(data: bytes) -> None:
    """Asserts that we and libavformat say the same of every video stream of a file."""
    index = index_of(data)
    streams = demux(data)
    assert streams
    for stream, packets in streams:
        track = index.movie.tracks[stream.index]
        context = stream.codec_context
        samples = index.samples(track)
        assert_equal(columns_of(samples), packets)
        assert samples.pts[~samples.is_discard].min() == stream.start_time
        assert index.duration(track) == stream.duration
        assert index.average_rate(track) == stream.average_rate
        assert (track.id, track.frame_count) == (stream.id, stream.frames)
        assert track.time_base == stream.time_base
        assert track.entries[0].size == (context.width, context.height)
        if context.codec.canonical_name != "mpeg2video":  # has none: that one is probed
            assert track.entries[0].extradata == bytes(context.extradata or b"")
        # Where the container says nothing, theirs may be the codec's.
        assert (track.pixel_aspect or 1) == (stream.sample_aspect_ratio or 1)


def remux(data: bytes, path: Path, movflags: str) -> bytes:
    """The same packets in a file that needs a second pass to be written."""
    with (
        av.open(io.BytesIO(data)) as source,
        av.open(str(path), "w", format="mp4", options={"movflags": movflags}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path.read_bytes()


@pytest.mark.parametrize("movflags", ["+faststart", DASH])
def test_we_say_what_libavformat_says_of_a_second_pass(movflags: str, tmp_path: Path) -> None:
    check(remux(make(clip(count=60)), tmp_path / "made.mp4", movflags))


@pytest.mark.parametrize("made", CLIPS.values(), ids=CLIPS.keys())
def test_we_say_what_libavformat_says(made: Clip) -> None:
    check(make(made))


def test_we_say_what_libavformat_says_of_the_archive(samples: Path) -> None:
    found = sorted(
        path for path in (samples / "videos").iterdir() if path.suffix in (".mp4", ".mov")
    )
    assert len(found) > 15
    for path in found:
        check(path.read_bytes())


@pytest.mark.needs_corpus
def test_we_say_what_libavformat_says_of_the_corpus(corpus: Path) -> None:
    found = sorted((corpus / "torchcodec").glob("*.mp4"))
    assert found
    for path in found:
        check(path.read_bytes())


@pytest.mark.parametrize("moov_first", [True, False])
def test_an_open_costs_one_read_at_most(moov_first: bool) -> None:
    reads = Reads(replace(MOVIE, moov_first=moov_first).data())
    index = index_of(reads.data, reads=reads)
    assert len(index.samples(video_of(index))) == 30
    assert len(reads) == (0 if moov_first else 1)


@pytest.mark.parametrize("moov_first", [True, False])
def test_a_long_header_costs_one_read_more(moov_first: bool) -> None:
    count = 300_000
    movie = Movie([1] * count, [512] * count, moov_first=moov_first)
    data = movie.data()
    reads = Reads(data)
    index = index_of(data, reads=reads)
    assert len(index.samples(video_of(index))) == count
    assert len(reads) == (1 if moov_first else 2)
    assert sum(length for _, length in reads) < 4 * count + 2000


def test_twenty_minutes_are_read_in_milliseconds() -> None:
    count = 36_000
    movie = Movie(
        sizes=[1 + number % 7 for number in range(count)],
        durations=[512] * count,
        cts_offsets=[(number * 5 % 4) * 512 for number in range(count)],
        syncs=range(1, count + 1, 60),
        chunks=[1] * count,
        edits=[(count * 40, 512)],
        moov_first=True,
    )
    data = movie.data()
    seconds = []
    for _ in range(10):
        start = time.process_time()
        index = index_of(data)
        index.samples(video_of(index)).key_at(10_000_000)
        seconds.append(time.process_time() - start)
    # Some 1.5 ms; the bound leaves room for slow machines.
    assert min(seconds) < 0.03


def test_nothing_is_read_of_the_media_data() -> None:
    data = replace(MOVIE, sizes=[50_000] * 30).data()
    reads = Reads(data)
    index_of(data, reads=reads)
    assert sum(length for _, length in reads) < 2000


@pytest.mark.parametrize(("movflags", "most"), [(FRAGMENTS, 2), (DASH, 2)], ids=["mfra", "sidx"])
def test_a_moment_of_a_fragmented_file_costs_few_reads(
    movflags: str, most: int, tmp_path: Path
) -> None:
    made = make(Clip(codec="mjpeg", pixels="yuvj420p", count=150, size=(640, 480)))
    data = remux(made, tmp_path / "made.mp4", movflags)
    assert len(data) > 1 << 18
    whole = index_of(data)
    samples = whole.samples(video_of(whole))
    reads = Reads(data)
    index = index_of(data, reads=reads)
    near = index.samples_near(video_of(index), int(samples.pts[100]))
    assert len(reads) <= most
    assert near.offset[near.key_at(int(samples.pts[100]))] == samples.offset[100]
    assert len(near) < 10


def test_a_head_is_read_where_none_was() -> None:
    data = replace(MOVIE, moov_first=True).data()
    reads = Reads(data)
    index = open_index(reads, len(data), name="test.mp4")
    assert len(index.samples(video_of(index))) == 30
    assert reads[0] == (0, min(len(data), 16 << 10))


def test_a_box_may_have_a_64_bit_size() -> None:
    data = MOVIE.data()
    at = data.index(b"mdat") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    wide = struct.pack(">I4sQ", 1, b"mdat", size + 8)
    index = index_of(data[:at] + wide + data[at + 8 :])
    assert video_of(index).frame_count == 30


def test_the_last_box_may_reach_to_the_end() -> None:
    data = MOVIE.data()
    at = data.index(b"moov") - 4
    index = index_of(data[:at] + bytes(4) + data[at + 4 :])
    assert_equal(index.samples(video_of(index)).offset, MOVIE.offsets())


def _without_moov() -> bytes:
    data = MOVIE.data()
    return data[: data.index(b"moov") - 4]


UNINDEXED = {
    "nothing": b"",
    "no header": _without_moov(),
    "half a header": MOVIE.data()[:-20],
    "compressed": replace(MOVIE, movie_boxes=box(b"cmov")).data(),
    "of other files": replace(MOVIE, movie_boxes=box(b"rmra")).data(),
    "no timescale": replace(MOVIE, timescale=1)
    .data()
    .replace(
        struct.pack(">IIIII", 0, 0, 1, 30 * 512, 0), struct.pack(">IIIII", 0, 0, 0, 30 * 512, 0)
    ),
    "a giant header": box(b"ftyp") + struct.pack(">I4sQ", 1, b"moov", 1 << 40),
}


@pytest.mark.parametrize("data", UNINDEXED.values(), ids=UNINDEXED.keys())
def test_what_has_no_index_is_left_to_others(data: bytes) -> None:
    with pytest.raises(NotIndexedError):
        index_of(data)


def test_no_endless_boxes_are_tried() -> None:
    with pytest.raises(NotIndexedError, match="more than 4096 boxes"):
        index_of(box(b"free") * 100_000)
    with pytest.raises(NotIndexedError, match="more than 4096 boxes"):
        index_of(box(b"moov", box(b"free") * 100_000))
    with pytest.raises(NotIndexedError, match="300 tracks"):
        index_of(box(b"moov", box(b"trak") * 300))


def test_the_first_of_two_headers_counts() -> None:
    first, second = MOVIE.data(), replace(MOVIE, sizes=[1]).with_boxes(stts=None).data()
    index = index_of(first + second[second.index(b"moov") - 4 :])
    assert video_of(index).frame_count == 30


def protected(kind: bytes, *sinf: bytes) -> Index:
    entry = visual_entry(kind, AVC_CONFIG, box(b"sinf", *sinf))
    return index_of(replace(MOVIE, entries=[entry]).data())


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (
            protected(b"encv", box(b"frma", b"avc1"), full(b"schm", b"cbcs", bytes(4))),
            r"^test\.mp4: the samples of its video stream are encrypted \(cbcs\)$",
        ),
        (protected(b"encv"), "unknown"),
        (protected(b"drmi", box(b"frma", b"avc1")), "FairPlay"),
    ],
)
def test_encrypted_samples_are_an_error(index: Index, words: str) -> None:
    track = video_of(index)
    assert track.entries[0].extradata == AVC_CONFIG[8:]
    for ask in (index.samples, index.duration, lambda track: index.samples_near(track, 0)):
        if ask == index.duration:
            continue
        with pytest.raises(EncryptedError, match=words):
            ask(track)


def test_samples_in_another_file_are_left_to_others() -> None:
    data = replace(MOVIE).data()
    here = box(b"stbl")[4:]
    assert data.count(here) == 1
    external = box(b"dinf", full(b"dref", struct.pack(">I", 1), full(b"url ", b"file:///x\0")))
    index = index_of(_grown(data, b"minf", external))
    with pytest.raises(NotIndexedError, match="another file"):
        index.samples(video_of(index))


def _grown(data: bytes, kind: bytes, extra: bytes) -> bytes:
    """The data with one more box at the start of the first box of a kind."""
    for parent in (b"moov", b"trak", b"mdia", b"minf"):
        at = data.index(parent) - 4
        size = int.from_bytes(data[at : at + 4], "big") + len(extra)
        data = data[:at] + struct.pack(">I", size) + data[at + 4 :]
        if parent == kind:
            return data[: at + 8] + extra + data[at + 8 :]
    raise AssertionError(kind)


def test_a_track_of_chapter_pictures_is_no_video() -> None:
    chap = box(b"tref", box(b"chap", struct.pack(">I", 1)))
    index = index_of(replace(MOVIE, track_boxes=chap).data())
    assert index.movie.tracks[0].is_picture
    assert not index.movie.tracks[0].is_video


def test_a_track_of_sound_is_no_video() -> None:
    (track,) = index_of(replace(MOVIE, handler=b"soun").data()).movie.tracks
    assert (track.is_video, track.entries) == (False, ())


def test_tables_are_read_only_when_samples_are_asked_for() -> None:
    index = index_of(MOVIE.with_boxes(stsz=table(b"stsz", [])).data())
    assert video_of(index).average_rate == Fraction(25)
    with pytest.raises(NotIndexedError):
        index.samples(video_of(index))


def test_what_was_read_once_is_kept() -> None:
    reads = Reads(make(CLIPS["fragments"]))
    index = index_of(reads.data, reads=reads)
    samples = index.samples(video_of(index))
    count = len(reads)
    assert index.samples(video_of(index)) is samples
    assert index.samples_near(video_of(index), 0) is samples
    assert len(reads) == count
