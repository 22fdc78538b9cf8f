import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from farm.engines import Source, Wish
from farm.engines import pyav as engine
from farm.engines.frame import FrameBatch
from farm.errors import CorruptError, EncryptedError, LimitError, MediaError, NoVideoStreamError
from farm.media import MediaFormat, MediaInfo, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy
from tests.engines.clips import FPS, Clip, make, number_of

MP4 = MediaFormat(MediaKind.VIDEO, "mp4")
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
CLIPS = {
    "h264": Clip(bframes=2),
    "h264 open groups": Clip(bframes=2, options={"x264-params": "open-gop=1:keyint_min=1"}),
    "h264 in mov": Clip(container="mov", bframes=2),
    "h264 with its header first": Clip(container_options={"moov_size": "20000"}),
    "h264 in fragments": Clip(bframes=2, container_options=FRAGMENTS),
    "h264 in segments": Clip(bframes=2, container_options={"movflags": "dash"}),
    "h264 at odd times": Clip(times=tuple(40 * n + n * n for n in range(50))),
    "h264 turned": Clip(rotation=(-90, False)),
    "hevc": Clip("libx265", bframes=2),
    "vp9": Clip("libvpx-vp9"),
    "av1": Clip("libsvtav1", count=30),
    "mpeg4": Clip("mpeg4", bframes=2),
    "prores": Clip("prores_ks", "mov", count=3, pixels="yuv422p10le", gop=1),
}


def open_clip(data: bytes, limits: Limits | None = None) -> engine.PyAVDecoder:
    source = Source(io.BytesIO(data), len(data), "clip")
    return engine.PyAVEngine().open(source, media_format=MP4, limits=limits or Limits())


@pytest.fixture
def demuxed(monkeypatch):
    """Opens a clip as if there were no index."""

    def open_demuxed(data: bytes) -> engine.PyAVDecoder:
        with monkeypatch.context() as patch:
            patch.setattr(engine, "open_movie", lambda *_, **__: None)
            return open_clip(data)

    return open_demuxed


def targets_of(info: MediaInfo) -> list[Target]:
    places = (0, 0.13, 0.5, 0.62, 0.97, 1)
    times = [info.start_seconds + place * info.duration_seconds for place in places]
    numbered = [Target(0.0, Accuracy.EXACT, frame=number) for number in (0, -1)]
    return [Target(time, accuracy) for time in times for accuracy in Accuracy] + numbered


def answers(decoder: engine.PyAVDecoder, targets: list[Target]) -> dict[int, FrameBatch]:
    batches = decoder.frames(targets, Wish())
    return {index: batch for batch in batches for index in batch.answers[0]}


def assert_same(one: engine.PyAVDecoder, other: engine.PyAVDecoder) -> None:
    # Of segments libavformat counts the reordering delay to the duration.
    assert one.info.duration_seconds == pytest.approx(other.info.duration_seconds, abs=3 / FPS)
    assert replace(one.info, duration_seconds=0) == replace(other.info, duration_seconds=0)
    targets = targets_of(other.info)
    expected = answers(other, targets)
    for index, batch in answers(one, targets).items():
        wanted = expected.pop(index)
        assert batch.pts_seconds == wanted.pts_seconds
        assert (batch.color, batch.full_size) == (wanted.color, wanted.full_size)
        assert (batch.orientation, batch.pixel_aspect) == (wanted.orientation, wanted.pixel_aspect)
        for plane, wanted_plane in zip(batch.planes, wanted.planes, strict=True):
            assert plane.equal(wanted_plane)
    assert not expected


@pytest.mark.parametrize("name", CLIPS)
def test_the_same_as_libavformat(name, demuxed):
    data = make(CLIPS[name])
    decoder, other = open_clip(data), demuxed(data)
    assert_same(decoder, other)
    assert decoder.notes["open"] == ("fast" if name == "prores" else "index")
    assert other.notes["open"] == "fast"


def test_the_same_for_all_samples(samples: Path, demuxed):
    paths = sorted((samples / "videos").glob("*.m[op][4v]"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        assert_same(open_clip(data), demuxed(data))


@pytest.mark.needs_corpus
def test_the_same_for_the_corpus(corpus: Path, demuxed):
    indexed = 0
    for path in sorted(corpus.glob("torchcodec/*.mp4")):
        data = path.read_bytes()
        decoder = open_clip(data)
        assert_same(decoder, demuxed(data))
        indexed += decoder.notes["open"] == "index"
    assert indexed


class CountingFile(io.BytesIO):
    """A file that knows what was read of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[int] = []

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.reads.append(len(found))
        return found


def noise(container_options: dict[str, str], count: int = 60) -> bytes:
    """A video that compresses badly, with a keyframe a second."""
    out, generator = io.BytesIO(), np.random.default_rng(1)
    with av.open(out, "w", format="mp4", options=container_options) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "gray"
        stream.codec_context.gop_size = FPS
        stream.codec_context.thread_count = 1
        for number in range(count):
            pixels = generator.integers(0, 256, (180, 320), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="gray")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


# Where no index tells of all fragments, their headers have to be visited one by one.
@pytest.mark.parametrize(
    ("options", "most_reads"),
    [({}, 4), ({"moov_size": "8000"}, 4), (FRAGMENTS, 10), ({"movflags": "dash"}, 10)],
    ids=str,
)
def test_one_thumbnail_reads_the_index_and_its_packet(options, most_reads):
    data = noise(options)
    with av.open(io.BytesIO(data)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    key = max(p.size for p in packets if p.is_keyframe)
    assert len(data) > 30 * key
    file = CountingFile(data)
    decoder = engine.PyAVEngine().open(
        Source(file, len(data), "clip"), media_format=MP4, limits=Limits()
    )
    (batch,) = decoder.frames([Target(1.5, Accuracy.KEYFRAME)], Wish())
    assert batch.pts_seconds == (1.0,)
    assert len(file.reads) <= most_reads
    assert sum(file.reads) <= key + (64 << 10)


def test_a_group_is_one_read():
    data = noise({})
    file = CountingFile(data)
    decoder = engine.PyAVEngine().open(
        Source(file, len(data), "clip"), media_format=MP4, limits=Limits()
    )
    decoder_reads = len(file.reads)
    times = [1.1, 1.3, 1.6]
    batches = list(decoder.frames([Target(t, Accuracy.EXACT) for t in times], Wish()))
    assert [round(batch.pts_seconds[0] * FPS) for batch in batches] == [27, 32, 40]
    assert len(file.reads) == decoder_reads + 1


def test_what_the_index_cannot_do_libavformat_does(demuxed):
    data = bytearray(make(Clip(bframes=2)))
    with av.open(io.BytesIO(data)) as container:
        key = [p for p in container.demux(video=0) if p.size and p.is_keyframe][2]
    # The keyframe's slice is gone; the one before has to serve.
    data[key.pos : key.pos + key.size] = bytes(key.size)
    decoder = open_clip(bytes(data))
    assert decoder.notes["open"] == "index"
    targets = [Target(n / FPS, Accuracy.KEYFRAME) for n in (12, 25)]
    batches = list(decoder.frames(targets, Wish()))
    assert [batch.answers for batch in batches] == [((0,),), ((1,),)]
    assert number_of(batches[0]) == 10
    assert decoder.notes["open"] == "fast"
    for batch in decoder.frames(targets, Wish()):
        assert number_of(batch) == 10
    (expected, *_) = demuxed(bytes(data)).frames(targets[1:], Wish())
    assert batches[1].planes[0].equal(expected.planes[0])


def test_several_descriptions_are_left_to_libavformat():
    data = make(Clip())
    start = data.index(b"stsd") - 4
    size = int.from_bytes(data[start : start + 4], "big")
    entry = data[start + 16 : start + size]
    doubled = (size + len(entry)).to_bytes(4, "big") + data[start + 4 : start + 12]
    patched = data[:start] + doubled + (2).to_bytes(4, "big") + entry + entry + data[start + size :]
    for box in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        at = patched.index(box) - 4
        length = int.from_bytes(patched[at : at + 4], "big") + len(entry)
        patched = patched[:at] + length.to_bytes(4, "big") + patched[at + 4 :]
    decoder = open_clip(patched)
    (batch,) = decoder.frames([Target(13 / FPS, Accuracy.EXACT)], Wish())
    assert (decoder.notes["open"], number_of(batch)) == ("fast", 13)


def test_limits_and_errors_are_the_same(demuxed):
    data = make(Clip())
    with pytest.raises(LimitError, match=r"clip: frames of 128x64 = 8192 pixels, .* 8191 allowed"):
        open_clip(data, Limits(frame_pixels=8191))
    with pytest.raises(LimitError, match=r"clip: a video of 2 s, longer than the 1 s"):
        open_clip(data, Limits(duration_seconds=1))
    encryption = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "00" * 16,
        "encryption_kid": "11" * 16,
    }
    with pytest.raises(EncryptedError, match=r"clip: .*encrypted"):
        open_clip(make(Clip(container_options=encryption)))
    start = data.index(b"mdat") + 4
    zeros = data[:start] + bytes(data.index(b"moov") - start) + data[data.index(b"moov") :]
    for each in (open_clip, demuxed):
        with pytest.raises(CorruptError, match="clip: no frame could be decoded"):
            list(each(zeros).frames([Target(1, Accuracy.KEYFRAME)], Wish()))


def test_damaged_files_end_the_same(demuxed):
    data = make(Clip(count=20, container_options={"moov_size": "20000"}))
    for cut in range(40, len(data), len(data) // 25):
        outcomes = []
        for each in (open_clip, demuxed):
            try:
                decoder = each(data[:cut])
                found = answers(decoder, targets_of(decoder.info))
                outcomes.append({index: batch.pts_seconds for index, batch in found.items()})
            except MediaError as error:
                outcomes.append(type(error))
        assert outcomes[0] == outcomes[1], cut
    with pytest.raises(NoVideoStreamError):
        open_clip(data.replace(b"vide", b"soun"))


@pytest.mark.parametrize("name", ["h264", "h264 in fragments", "hevc"])
def test_random_damage_gives_pictures_or_an_error(name):
    data, generator = make(CLIPS[name]), np.random.default_rng(7)
    header = data.index(b"moov")
    targets = [Target(time, accuracy) for time in (0.5, 1.9) for accuracy in Accuracy]
    pictures = 0
    for _ in range(100):
        damaged = bytearray(data)
        for place in generator.integers(header, len(data), generator.integers(1, 6)):
            damaged[place] = generator.integers(0, 256)
        try:
            decoder = open_clip(bytes(damaged))
            batches = list(decoder.frames(targets, Wish()))
        except (MediaError, MemoryError):
            continue
        assert sorted(index for batch in batches for index in batch.answers[0]) == [0, 1, 2, 3]
        pictures += 1
    assert pictures
