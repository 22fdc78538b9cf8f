import io
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.engines import Source, Wish
from farm.engines.mp4_matrix import orientation_of
from farm.engines.pyav import PyAVEngine
from farm.engines.pyav_frames import color_of, planes_of
from farm.errors import (
    CorruptError,
    EncryptedError,
    LimitError,
    MediaError,
    NoFrameError,
    NoVideoStreamError,
    TruncatedError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.media import Matrix, MediaFormat, MediaKind, Siting, Transfer
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy
from tests.engines.clips import FPS, HEIGHT, WIDTH, Clip, luma, make, number_of
from tests.engines.contract import EngineContract

FORMATS = {
    "matroska": "matroska",
    "webm": "webm",
    "mpeg": "mpegps",
    "mpeg2video": "mpegvideo",
    "yuv4mpegpipe": "y4m",
}
CLIPS = {
    "h264": Clip(),
    "h264 with B-frames": Clip(bframes=2),
    "h264 open groups": Clip(bframes=2, options={"x264-params": "open-gop=1:keyint_min=1"}),
    "h264 in fragments": Clip(container_options={"movflags": "frag_keyframe+empty_moov"}),
    "h264 in ts": Clip(container="mpegts", bframes=2),
    "h264 in ts from 3 s on": Clip(
        container="mpegts", bframes=2, container_options={"output_ts_offset": "3"}
    ),
    "h264 in flv": Clip(container="flv", bframes=2),
    "h264 in matroska": Clip(container="matroska", bframes=2),
    "h264 at odd times": Clip(times=tuple(40 * n + n * n for n in range(50))),
    "hevc": Clip("libx265", bframes=2),
    "vp8": Clip("libvpx", "webm"),
    "vp9": Clip("libvpx-vp9", "webm"),
    "mpeg1 in ps": Clip("mpeg1video", "mpeg", bframes=2),
    "mpeg2 in ts": Clip("mpeg2video", "mpegts", bframes=2),
    "mpeg2 in mxf": Clip("mpeg2video", "mxf"),
    "mpeg4 in avi": Clip("mpeg4", "avi", bframes=2, delay=1),
    "wmv": Clip("wmv2", "asf"),
    "mjpeg in avi": Clip("mjpeg", "avi", pixels="yuvj420p", gop=1),
}


@cache
def data_of(clip_name: str) -> bytes:
    return make(CLIPS[clip_name])


def open_clip(data: bytes, container: str = "mp4", limits: Limits | None = None):
    media_format = MediaFormat(MediaKind.VIDEO, FORMATS.get(container, container))
    source = Source(io.BytesIO(data), len(data), "clip")
    return PyAVEngine().open(source, media_format=media_format, limits=limits or Limits())


def open_named(name: str):
    return open_clip(data_of(name), CLIPS[name].container)


def shown(decoder, targets: list[Target]) -> list[int]:
    """The number in the frame that answers each target."""
    numbers = {}
    for batch in decoder.frames(targets, Wish()):
        for index in batch.answers[0]:
            assert index not in numbers
            numbers[index] = number_of(batch)
    return [numbers[index] for index in range(len(targets))]


def seconds_of(decoder, number: int, clip: Clip) -> float:
    since = clip.times[number] / 1000 if clip.times else (number + clip.delay) / FPS
    return decoder.info.start_seconds + since


class TestContract(EngineContract):
    engine_name = "pyav"
    media_format = MediaFormat(MediaKind.VIDEO, "mp4")
    size = Size(WIDTH, HEIGHT)

    @pytest.fixture
    def good(self):
        return make(Clip(count=20, container_options={"moov_size": "20000"}))


@pytest.mark.parametrize("name", CLIPS)
def test_every_exact_frame_in_one_pass(name):
    decoder, clip = open_named(name), CLIPS[name]
    numbers = list(range(clip.count))
    targets = [Target(seconds_of(decoder, n, clip), Accuracy.EXACT) for n in numbers]
    assert shown(decoder, targets) == numbers


@pytest.mark.parametrize("name", CLIPS)
def test_exact_frame_alone_and_between_two(name):
    clip = CLIPS[name]
    for number in (0, 9, 10, 13, 31, 49):
        decoder = open_named(name)
        late = 0.3 / FPS
        target = Target(seconds_of(decoder, number, clip) + late, Accuracy.EXACT)
        assert shown(decoder, [target]) == [number]


@pytest.mark.parametrize("name", CLIPS)
def test_keyframe_at_or_before(name):
    decoder, clip = open_named(name), CLIPS[name]
    keys = keys_of(name)
    numbers = list(range(clip.count))
    targets = [Target(seconds_of(decoder, n, clip), Accuracy.KEYFRAME) for n in numbers]
    assert shown(decoder, targets) == [max(k for k in keys if k <= n) for n in numbers]
    assert decoder.notes["keyframes"] == len(keys)
    # One packet each, two at most, and never a walk through the groups.
    assert decoder.notes["packets_fed"] <= 2 * len(keys)


@cache
def keys_of(name: str) -> tuple[int, ...]:
    """The numbers of the keyframes, by a plain walk over all packets."""
    clip = CLIPS[name]
    with av.open(io.BytesIO(data_of(name))) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
    times = [p.pts if p.pts is not None else p.dts for p in packets]
    order = sorted(times)
    keys = [order.index(t) for p, t in zip(packets, times, strict=True) if p.is_keyframe]
    assert len(packets) == clip.count
    return tuple(keys)


@pytest.mark.parametrize("name", ["h264 with B-frames", "h264 in ts", "mpeg1 in ps"])
def test_outside_of_the_video(name):
    decoder = open_named(name)
    info = decoder.info
    before, after = info.start_seconds - 5, info.start_seconds + info.duration_seconds + 500
    targets = [Target(t, a) for t in (before, after) for a in Accuracy]
    assert shown(decoder, targets) == [0, 0, keys_of(name)[-1], 49]
    assert decoder.warnings == ("position_past_end",)


@pytest.mark.parametrize("name", ["h264 with B-frames", "h264 in ts", "mpeg4 in avi", "wmv"])
def test_frame_numbers(name):
    decoder = open_named(name)
    wanted = [0, 7, 49, -1, -50, 22]
    targets = [Target(0.0, Accuracy.EXACT, frame=n) for n in wanted]
    assert shown(decoder, targets) == [0, 7, 49, 49, 0, 22]
    with pytest.raises(NoFrameError, match="clip: no frame 50 among 50 frames"):
        shown(decoder, [Target(0.0, Accuracy.EXACT, frame=50)])


@pytest.mark.parametrize(
    "clip",
    [
        Clip(container="h264", bframes=2),
        Clip("libx265", "hevc", bframes=2),
        Clip("mpeg2video", "mpeg2video"),
    ],
    ids=lambda clip: clip.container,
)
def test_elementary_streams_are_counted(clip):
    decoder = open_clip(make(clip), clip.container)
    targets = [Target(n / FPS, a) for n in (0, 13, 33, 49) for a in Accuracy]
    assert shown(decoder, targets) == [0, 0, 13, 13, 33, 33, 49, 49]
    numbered = [Target(0, Accuracy.EXACT, frame=n) for n in (0, 17, -1)]
    assert shown(decoder, numbered) == [0, 17, 49]


def test_keyframe_costs_one_packet():
    decoder = open_named("h264 with B-frames")
    assert shown(decoder, [Target(1.0, Accuracy.KEYFRAME)]) == [20]
    notes = decoder.notes
    assert (notes["open"], notes["packets_fed"], notes["frames_decoded"]) == ("index", 1, 1)


@pytest.mark.parametrize("name", ["vp8", "vp9", "h264 in matroska", "h264 in ts", "h264 in flv"])
def test_opening_decodes_nothing(name):
    decoder = open_named(name)
    with av.open(io.BytesIO(data_of(name))) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    # Only a decoded frame tells the layout of its samples.
    assert decoder._demuxing.opened.stream.codec_context.pix_fmt is None


def test_far_exact_target_skips_groups():
    decoder = open_named("h264 with B-frames")
    targets = [Target(0.0, Accuracy.EXACT), Target(45 / FPS, Accuracy.EXACT)]
    assert shown(decoder, targets) == [0, 45]
    assert decoder.notes["packets_fed"] < 20


def played(name: str) -> dict[float, list[np.ndarray]]:
    """The planes of every frame by its time, as a plain walk through the file gives them."""
    found = {}
    with av.open(io.BytesIO(data_of(name))) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        codec = stream.codec_context.codec.canonical_name
        for frame in container.decode(stream):
            ticks = frame.pts if frame.pts is not None else frame.dts
            planes, _ = planes_of(frame, codec)
            found[float(ticks * stream.time_base)] = [plane.numpy() for plane in planes]
    return found


@pytest.mark.parametrize(
    "name",
    ["h264 with B-frames", "h264 open groups", "hevc", "mpeg2 in ts", "mpeg4 in avi", "vp8", "vp9"],
)
def test_leaving_pictures_out_changes_no_other(name):
    decoder, clip = open_named(name), CLIPS[name]
    targets = [Target(seconds_of(decoder, n, clip), Accuracy.EXACT) for n in (3, 4, 17, 29, 38)]
    plain = played(name)
    for batch in decoder.frames(targets, Wish()):
        for plane, expected in zip(batch.planes, plain[batch.pts_seconds[0]], strict=True):
            assert np.array_equal(plane.numpy(), expected)
    if clip.bframes and not name.endswith("avi"):
        assert decoder.notes["frames_decoded"] < decoder.notes["packets_fed"]


def test_exact_frame_needs_no_packet_behind_it():
    decoder = open_named("h264")
    assert shown(decoder, [Target(13 / FPS, Accuracy.EXACT)]) == [13]
    assert (decoder.notes["packets_fed"], decoder.notes["frames_decoded"]) == (4, 4)


def test_a_keyframe_too_far_does_not_serve():
    decoder = open_named("h264 with B-frames")
    targets = [
        Target(n / FPS, Accuracy.KEYFRAME, max_drift_seconds=drift / FPS)
        for n, drift in ((12, 2), (4, 3), (9, 9), (19, 8.9), (18, 8))
    ]
    assert shown(decoder, targets) == [10, 4, 0, 19, 10]
    assert decoder.notes["keyframes_too_far"] == 2


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["h264 with B-frames", "hevc", "h264 in ts", "vp9", "mpeg4 in avi"]),
    wanted=st.lists(
        st.tuples(st.integers(0, 49), st.sampled_from(Accuracy)), min_size=1, max_size=8
    ),
)
def test_any_mixture_in_any_order(name, wanted):
    decoder = open_named(name)
    targets = [Target(seconds_of(decoder, n, CLIPS[name]), accuracy) for n, accuracy in wanted]
    for _ in range(2):
        assert shown(decoder, targets) == [
            n if accuracy is Accuracy.EXACT else max(k for k in keys_of(name) if k <= n)
            for n, accuracy in wanted
        ]


def without_first_key(data: bytes) -> bytes:
    """The same video from its sixth frame on, with an edit list that hides the ones before."""
    out = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(out, "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        step = source.streams.video[0].time_base.denominator // FPS
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.pts, packet.dts = packet.pts - 5 * step, packet.dts - 5 * step
                packet.stream = stream
                target.mux(packet)
    return out.getvalue()


def test_keyframe_before_an_edit_start_is_not_shown():
    decoder = open_clip(without_first_key(data_of("h264")))
    targets = [Target(n / FPS, a) for n in (0, 2, 6) for a in Accuracy]
    assert shown(decoder, targets) == [5, 5, 5, 7, 10, 11]


def test_intra_refresh_gives_a_whole_picture():
    options = {"x264-params": "intra-refresh=1:keyint=10:bframes=0"}
    decoder = open_clip(make(Clip(gop=10, options=options)))
    numbers = shown(decoder, [Target(1.0, Accuracy.KEYFRAME), Target(1.2, Accuracy.EXACT)])
    assert numbers[1] == 30
    assert not decoder.warnings


def test_cut_transport_stream():
    data = data_of("h264 in ts")
    cut = data[len(data) // 4 // 188 * 188 :]
    decoder = open_clip(cut, "mpegts")
    (number,) = shown(decoder, [Target(decoder.info.start_seconds, Accuracy.KEYFRAME)])
    assert number in keys_of("h264 in ts")


def test_truncated_file_gives_what_is_left():
    data = make(Clip(container_options={"moov_size": "20000"}))
    start = data.index(b"mdat")
    decoder = open_clip(data[: start + (len(data) - start) * 2 // 3])
    targets = [Target(1.99, Accuracy.EXACT), Target(1.99, Accuracy.KEYFRAME)]
    exact, key = shown(decoder, targets)
    assert 0 < key <= exact < 49
    with pytest.raises(TruncatedError, match="clip: the file ends before the first frame"):
        shown(open_clip(data[:start]), targets)


@pytest.mark.parametrize(
    ("rotation", "orientation"),
    [((-90, False), 6), ((90, False), 8), ((180, False), 3), ((0, True), 2)],
)
def test_orientation(rotation, orientation):
    decoder = open_clip(make(Clip(count=3, rotation=rotation)))
    (batch,) = decoder.frames([Target(0, Accuracy.EXACT)], Wish())
    assert batch.orientation == decoder.info.orientation == orientation
    assert batch.full_size == Size(WIDTH, HEIGHT)


@pytest.mark.parametrize("code", range(1, 9))
def test_orientation_of_a_matrix(code):
    corners = torch.tensor([[0, 1], [2, 3]])
    turned = {
        1: corners,
        2: corners.flip(1),
        3: corners.flip(0, 1),
        4: corners.flip(0),
        5: corners.T,
        6: corners.rot90(-1),
        7: corners.rot90(2).T,
        8: corners.rot90(1),
    }[code]
    matches = []
    for a, b, c, d in ((x, 0, 0, y) for x in (1, -1) for y in (1, -1)):
        matches += [(a, b, c, d), (b, a, d, c)]
    found = [m for m in matches if shown_by(corners, m).equal(turned)]
    assert [orientation_of((a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30))
            for a, b, c, d in found] == [code]  # fmt: skip


def shown_by(picture: torch.Tensor, matrix: tuple[int, int, int, int]) -> torch.Tensor:
    """A 2x2 picture whose pixel (x, y) goes to (a x + c y, b x + d y), moved back to 0."""
    a, b, c, d = matrix
    out = torch.empty_like(picture)
    left, top = min(0, a + c, a, c), min(0, b + d, b, d)
    for y in range(2):
        for x in range(2):
            out[b * x + d * y - top, a * x + c * y - left] = picture[y, x]
    return out


PLANAR = [
    "yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv440p", "gray", "yuyv422", "uyvy422", "nv12",
    "yuv420p10le", "yuv422p12le", "yuv444p16le", "gray10le", "yuv420p16be", "p010le",
]  # fmt: skip


@pytest.mark.parametrize("pixels", PLANAR)
@pytest.mark.parametrize("size", [(64, 32), (38, 20)])
def test_planes_keep_every_sample(pixels, size):
    width, height = size
    frame = av.VideoFrame(width, height, pixels)
    generator = np.random.default_rng(1)
    bits = frame.format.components[0].bits
    samples = []
    for plane in frame.planes:
        raw = generator.integers(0, 1 << bits, plane.buffer_size // (1 if bits == 8 else 2))
        if pixels == "p010le":
            raw <<= 6
        kind = np.uint8 if bits == 8 else ">u2" if pixels.endswith("be") else "<u2"
        plane.update(raw.astype(kind).tobytes())
        samples.append(raw.reshape(-1, plane.line_size // (1 if bits == 8 else 2)))
    planes, color = planes_of(frame, "ffv1")
    frame = None
    assert color.bits == bits
    assert planes[0].shape == (1, height, width)
    assert planes[0].dtype == (
        torch.uint8 if bits == 8 else torch.int16 if bits <= 15 else torch.int32
    )
    expected = unpacked(pixels, samples, size)
    for plane, wanted in zip(planes, expected, strict=True):
        assert np.array_equal(plane[0].numpy(), wanted)


def unpacked(pixels: str, samples: list[np.ndarray], size: tuple[int, int]) -> list[np.ndarray]:
    """The Y, U and V planes of a layout, written out by its definition."""
    width, height = size
    first = samples[0]
    if pixels.startswith("gray"):
        bits = 10 if "10" in pixels else 8
        flat = np.full((height, width), 1 << (bits - 1))
        return [first[:height, :width], flat, flat]
    if pixels in ("yuyv422", "uyvy422"):
        line = first[:height, : 2 * width]
        luma_at, chroma_at = (0, 1) if pixels == "yuyv422" else (1, 0)
        return [line[:, luma_at::2], line[:, chroma_at::4], line[:, chroma_at + 2 :: 4]]
    if pixels in ("nv12", "p010le"):
        shift = 6 if pixels == "p010le" else 0
        chroma = samples[1][: height // 2, :width] >> shift
        return [first[:height, :width] >> shift, chroma[:, ::2], chroma[:, 1::2]]
    layout = av.VideoFormat(pixels, width, height)
    small = layout.chroma_width(), layout.chroma_height()
    return [
        plane[:h, :w]
        for plane, (w, h) in zip(samples, [(width, height), small, small], strict=True)
    ]


@pytest.mark.parametrize(
    ("pixels", "container", "codec", "channels"),
    [
        ("rgb24", "mp4", "libx264rgb", 3),
        ("bgra", "matroska", "ffv1", 4),
        ("rgb24", "mov", "qtrle", 3),
        ("argb", "mov", "qtrle", 4),
        ("yuva420p", "matroska", "ffv1", 4),
    ],
)
def test_rgb_and_alpha_go_through_rgb(pixels, container, codec, channels):
    decoder = open_clip(make(Clip(codec, container, count=8, gop=1, pixels=pixels)), container)
    batches = list(decoder.frames([Target(5 / FPS, Accuracy.EXACT)], Wish()))
    (plane,) = batches[0].planes
    assert plane.shape == (1, HEIGHT, WIDTH, channels)
    assert plane.dtype == torch.uint8
    assert batches[0].color.matrix is Matrix.RGB
    assert number_of(batches[0]) == 5
    if channels == 4:
        assert plane[..., 3].min() == 255


def test_palette_goes_through_rgba():
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4)
    # libav's palette is ARGB, alpha first in a big-endian word.
    palette = np.random.default_rng(2).integers(0, 256, (256, 4), np.uint8)
    frame = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
    (plane,), color = planes_of(frame, "png")
    assert color.matrix is Matrix.RGB
    assert np.array_equal(plane[0].numpy(), palette[:, [1, 2, 3, 0]][indices])


def tags(codec: str = "h264", pixels: str = "yuv420p", height: int = 480, **values: int):
    frame = av.VideoFrame(640, height, pixels)
    for key, value in values.items():
        setattr(frame, key, value)
    return color_of(frame, codec)


def test_color_tags_of_a_frame():
    assert tags(colorspace=2).matrix is Matrix.BT601
    assert tags(colorspace=2, height=720).matrix is Matrix.BT709
    assert tags("vp8", colorspace=2, height=720).matrix is Matrix.BT601
    assert tags(colorspace=1).matrix is Matrix.BT709
    assert tags(colorspace=9, color_trc=16).transfer is Transfer.PQ
    assert tags(colorspace=9, color_trc=18).transfer is Transfer.HLG
    assert tags(colorspace=9).siting is Siting.TOP_LEFT
    assert tags().siting is Siting.LEFT
    assert tags("mpeg1video").siting is Siting.CENTER
    assert not tags().full_range
    assert tags(color_range=2).full_range
    assert tags(pixels="yuvj420p").full_range
    assert tags("mjpeg", pixels="gray").full_range
    assert not tags("h264", pixels="gray").full_range
    assert tags(pixels="yuv420p10le").bits == 10
    assert tags(pixels="gbrp", colorspace=0).matrix is Matrix.RGB


def test_samples_arrive_as_they_were_coded():
    decoder = open_clip(make(Clip("ffv1", "matroska", count=3, gop=1)), "matroska")
    (batch,) = decoder.frames([Target(2 / FPS, Accuracy.EXACT)], Wish())
    assert np.array_equal(batch.planes[0][0].numpy(), luma(2))


def test_facts():
    info = open_named("h264 with B-frames").info
    assert (info.codec, info.size, info.frame_count) == ("h264", Size(WIDTH, HEIGHT), 50)
    assert (info.start_seconds, info.duration_seconds, info.average_fps) == (0, 2, FPS)


def test_unknown_duration_is_said():
    info = open_clip(
        make(Clip(container="matroska", container_options={"live": "1"})), "matroska"
    ).info
    assert info.duration_seconds == 0
    assert info.warnings == ("duration_unknown",)


def with_cover(data: bytes) -> bytes:
    """The video behind an attached picture of greater size."""
    out = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(out, "w", format="mp4") as target:
        cover = target.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 512
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        stream = target.add_stream_from_template(source.streams.video[0])
        target.mux(cover.encode(av.VideoFrame(512, 512, "yuvj420p")))
        target.mux(cover.encode(None))
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return out.getvalue()


def test_cover_art_is_not_the_video():
    decoder = open_clip(with_cover(data_of("h264")))
    assert decoder.info.size == Size(WIDTH, HEIGHT)
    assert shown(decoder, [Target(1.0, Accuracy.EXACT)]) == [25]


def audio_only() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    return out.getvalue()


def test_errors_say_what_is_wrong():
    data = data_of("h264")
    encryption = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "00" * 16,
        "encryption_kid": "11" * 16,
    }
    with pytest.raises(NoVideoStreamError, match="clip: no video stream, only audio"):
        open_clip(audio_only())
    with pytest.raises(TruncatedError, match=r"clip: .*moov atom not found"):
        open_clip(data[: data.index(b"moov") - 4])
    with pytest.raises(UnsupportedFormatError, match=r"clip: expected one of asf, avi.*hls"):
        open_clip(data, "hls")
    with pytest.raises(EncryptedError, match=r"clip: .*encrypted"):
        shown(open_clip(make(Clip(container_options=encryption))), [Target(0, Accuracy.KEYFRAME)])
    with pytest.raises(MediaError, match="clip: "):
        open_clip(b"#EXTM3U\n/etc/passwd\n")
    start = data.index(b"mdat") + 4
    zeros = data[:start] + bytes(data.index(b"moov") - start) + data[data.index(b"moov") :]
    with pytest.raises(CorruptError, match="clip: no frame could be decoded"):
        shown(open_clip(zeros), [Target(1, Accuracy.KEYFRAME)])


def test_limits():
    data = data_of("h264")
    with pytest.raises(LimitError, match=r"clip: frames of 128x64 = 8192 pixels, .* 8191 allowed"):
        open_clip(data, limits=Limits(frame_pixels=8191))
    with pytest.raises(LimitError, match=r"clip: a video of 2 s, longer than the 1 s"):
        open_clip(data, limits=Limits(duration_seconds=1))
    with pytest.raises(LimitError, match=r"clip: more than the 3 frames"):
        shown(open_clip(data, limits=Limits(frames=3)), [Target(0.3, Accuracy.EXACT)])


def test_a_frame_may_not_grow_past_the_limit():
    small, big = (make(Clip(container="mpegts", count=20, size=s)) for s in ((128, 64), (256, 128)))
    decoder = open_clip(small + big, "mpegts", Limits(frame_pixels=128 * 64))
    batches = list(decoder.frames([Target(0, Accuracy.EXACT)], Wish()))
    assert [batch.full_size for batch in batches] == [Size(128, 64)]


def test_libav_is_silent(capfd):
    for end in range(100, 3000, 500):
        with pytest.raises(MediaError):
            open_clip(data_of("h264")[:end])
    assert capfd.readouterr() == ("", "")
    # A log level that stays set can make threaded decoders of the same process hang.
    assert av.logging.get_level() is None


@pytest.mark.needs_corpus
def test_corpus(corpus: Path):
    for path in sorted((corpus / "torchcodec").glob("*.mp4")):
        data = path.read_bytes()
        info = open_clip(data).info
        end = info.start_seconds + info.duration_seconds
        wanted = [info.start_seconds, end / 2, end]
        targets = [Target(t, a) for t in wanted for a in Accuracy]
        answered = [i for b in open_clip(data).frames(targets, Wish()) for i in b.answers[0]]
        assert sorted(answered) == list(range(6))


def test_a_message_blames_no_earlier_file():
    """libav logs an error about a file that opens; the next file that fails did not write it."""
    mp4 = next(name for name, clip in CLIPS.items() if clip.container == "mp4")
    data = bytearray(data_of(mp4))
    timescale = data.index(b"mvhd") + 16
    data[timescale : timescale + 4] = bytes(4)
    assert open_clip(bytes(data)).info.codec
    with pytest.raises(MediaError) as caught:
        open_clip(b"FLV\x01\x05\0\0\0\x09\0\0\0\0", "flv")
    assert "mvhd" not in str(caught.value)
