"""The torchcodec engine gives the very frames of the pyav engine, or leaves the file to it."""

import io
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import kernels
from farm import engines
from farm.engines import Source, Wish
from farm.engines.frame import FrameBatch
from farm.engines.pyav import PyAVEngine
from farm.errors import (
    EncryptedError,
    EngineUnavailableError,
    LimitError,
    MediaError,
    NoFrameError,
    SourceUnavailableError,
    TruncatedError,
    UnsupportedColorError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.media import MediaFormat, MediaInfo, MediaKind, Transfer
from farm.pipeline import make_thumbnails
from farm.sampling import Target
from farm.settings import Limits
from farm.sniff import HEAD_BYTES, sniff
from farm.spec import Accuracy, Entry
from tests.engines.clips import FPS, HEIGHT, WIDTH, Clip, make, number_of
from tests.engines.contract import EngineContract

try:
    engines.load("torchcodec")
except EngineUnavailableError as missing:
    pytest.skip(str(missing), allow_module_level=True)

from torchcodec.decoders import CpuFallbackStatus, Demuxer

from farm.engines import torchcodec_stream
from farm.engines.torchcodec import TorchcodecEngine
from farm.engines.torchcodec_file import CallbackFile
from farm.engines.torchcodec_play import Player

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.needs_cuda)]
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
LATER = {"output_ts_offset": "3"}
CLIPS = {
    "h264": Clip(),
    "h264 with B-frames": Clip(bframes=2),
    "h264 open groups": Clip(bframes=2, options={"x264-params": "open-gop=1:keyint_min=1"}),
    "h264 in fragments": Clip(bframes=2, container_options=FRAGMENTS),
    "h264 in ts": Clip(container="mpegts", bframes=2),
    "h264 in ts from 3 s on": Clip(container="mpegts", bframes=2, container_options=LATER),
    "h264 in flv": Clip(container="flv", bframes=2),
    "h264 in matroska": Clip(container="matroska", bframes=2),
    "h264 at odd times": Clip(times=tuple(40 * n + n * n for n in range(50))),
    "h264 turned": Clip(rotation=(-90, False)),
    "h264 mirrored": Clip(rotation=(0, True)),
    "h264 of 10 bits": Clip(pixels="yuv420p10le"),
    "h264 of full chroma": Clip(pixels="yuv444p"),
    "hevc": Clip("libx265", bframes=2),
    "hevc of 10 bits": Clip("libx265", pixels="yuv420p10le"),
    "hevc in ts": Clip("libx265", "mpegts", bframes=2),
    "vp8": Clip("libvpx", "webm"),
    "vp9": Clip("libvpx-vp9", "webm"),
    "av1": Clip("libsvtav1", count=30),
    "mpeg4": Clip("mpeg4", bframes=2),
    "mpeg2 in ts": Clip("mpeg2video", "mpegts", bframes=2),
    "mjpeg in mov": Clip("mjpeg", "mov", pixels="yuvj420p", gop=1),
}


@cache
def data_of(name: str) -> bytes:
    return make(CLIPS[name])


def source_of(data: bytes, name: str = "clip") -> Source:
    return Source(io.BytesIO(data), len(data), name)


def opened(data: bytes, engine, limits: Limits | None = None):
    return engine.open(
        source_of(data),
        media_format=sniff(data[:HEAD_BYTES], name="clip"),
        limits=limits or Limits(),
    )


def both(data: bytes, device: str):
    return opened(data, TorchcodecEngine(device)), opened(data, PyAVEngine())


def targets_of(info: MediaInfo) -> list[Target]:
    places = (-0.1, 0, 0.13, 0.5, 0.62, 0.97, 1, 1.2)
    times = [info.start_seconds + place * info.duration_seconds for place in places]
    numbered = [Target(0.0, Accuracy.EXACT, frame=number) for number in (0, -1)]
    return [Target(time, accuracy) for time in times for accuracy in Accuracy] + numbered


def answers(decoder, targets: list[Target]) -> dict[int, FrameBatch]:
    found: dict[int, FrameBatch] = {}
    for batch in decoder.frames(targets, Wish()):
        for index in batch.answers[0]:
            assert index not in found
            found[index] = batch
    return found


def samples_of(batch: FrameBatch) -> list[torch.Tensor]:
    """Y, U and V in the low bits, on the CPU."""
    planes = [plane.cpu() for plane in batch.planes]
    if len(planes) == 2:
        planes = [planes[0], *planes[1].unbind(-1)]
    return [(plane.to(torch.int32) & 0xFFFF) >> batch.shift for plane in planes]


def assert_same(decoder, other, targets: list[Target]) -> None:
    wanted = answers(other, targets)
    found = answers(decoder, targets)
    assert found.keys() == wanted.keys()
    for index, batch in found.items():
        expected = wanted[index]
        assert batch.pts_seconds == expected.pts_seconds
        assert batch.full_size == expected.full_size
        assert (batch.orientation, batch.pixel_aspect) == (
            expected.orientation,
            expected.pixel_aspect,
        )
        if batch.planes[0].is_cuda and not is_coded_alike(batch, expected):
            difference = thumbnail(batch).int() - thumbnail(expected).int()
            assert int(difference.abs().max()) <= 4
            continue
        assert batch.color == expected.color
        for plane, like in zip(samples_of(batch), samples_of(expected), strict=True):
            assert plane.shape == like.shape
            # Decoders of the old codecs may round their transforms as they like.
            assert int((plane - like).abs().max()) <= (2 if decoder.info.codec in OLD else 0)


def is_coded_alike(one: FrameBatch, other: FrameBatch) -> bool:
    """Whether samples can be compared: a GPU's surface may have more bits and more chroma."""
    shapes = [[plane.shape for plane in samples_of(batch)] for batch in (one, other)]
    return shapes[0] == shapes[1] and one.color.bits == other.color.bits


def thumbnail(batch: FrameBatch) -> torch.Tensor:
    color, kind = batch.color, torch.uint8 if batch.color.bits == 8 else torch.int32
    y, u, v = (plane.to(kind) for plane in samples_of(batch))
    return kernels.yuv_to_rgb(
        (y, u, v),
        box=(0, 0, *batch.full_size),
        height=36,
        width=64,
        matrix=color.matrix,
        full_range=color.full_range,
        siting=color.siting,
        bits=color.bits,
        light=kernels.Light(color.transfer, color.primaries, color.peak_nits),
    )


def test_thumbnails_of_other_layouts_are_alike():
    target = [Target(1.0, Accuracy.EXACT)]
    (batch,) = opened(data_of("hevc of 10 bits"), PyAVEngine()).frames(target, Wish())
    deep = tuple((plane.to(torch.int32) << 6).to(torch.uint16) for plane in batch.planes)
    surface = replace(batch, planes=(deep[0], torch.stack(deep[1:], dim=-1)), shift=6)
    assert is_coded_alike(surface, batch)
    assert thumbnail(surface).equal(thumbnail(batch))
    wide = replace(surface, color=replace(batch.color, bits=16), shift=0)
    assert not is_coded_alike(wide, batch)
    assert int((thumbnail(wide).int() - thumbnail(batch).int()).abs().max()) <= 1


OLD = ("mjpeg", "mpeg2video", "mpeg4")


class TestContract(EngineContract):
    engine_name = "torchcodec"
    media_format = MediaFormat(MediaKind.VIDEO, "mp4")
    size = Size(WIDTH, HEIGHT)

    @pytest.fixture
    def good(self):
        return make(Clip(count=20, container_options={"moov_size": "20000"}))

    def open(self, data: bytes, limits: Limits | None = None):
        # Other tests of this process may have begun to use a GPU.
        return TorchcodecEngine("cpu").open(
            source_of(data, "folder/name.bin"),
            media_format=self.media_format,
            limits=limits or Limits(),
        )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CLIPS)
def test_the_same_as_pyav(name, device):
    decoder, other = both(data_of(name), device)
    assert decoder.info == other.info
    assert_same(decoder, other, targets_of(other.info))
    assert decoder.warnings == other.warnings
    assert decoder.info == other.info


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["h264 with B-frames", "h264 in ts", "hevc", "vp9"])
def test_every_frame(name, device):
    decoder = opened(data_of(name), TorchcodecEngine(device))
    start = decoder.info.start_seconds
    targets = [Target(start + (n + 0.1) / FPS, Accuracy.EXACT) for n in range(50)]
    found = answers(decoder, targets)
    assert [number_of(as_cpu(found[n])) for n in range(50)] == list(range(50))


def as_cpu(batch: FrameBatch) -> FrameBatch:
    return FrameBatch(
        tuple(samples_of(batch)), batch.color, batch.full_size, batch.answers, batch.pts_seconds
    )


@pytest.mark.parametrize("device", DEVICES)
def test_frames_of_a_gpu_stay_there(device):
    for name, shift in (("h264", 0), ("hevc of 10 bits", 6)):
        decoder = opened(data_of(name), TorchcodecEngine(device))
        (batch,) = decoder.frames([Target(1.0, Accuracy.KEYFRAME)], Wish())
        assert {plane.device.type for plane in batch.planes} == {device}
        if device == "cuda" and "cpu_fallback" not in decoder.notes:
            y, uv = batch.planes
            assert y.shape == (1, HEIGHT, WIDTH)
            assert uv.shape == (1, HEIGHT // 2, WIDTH // 2, 2)
            assert batch.shift == shift


@pytest.mark.needs_cuda
def test_what_nvdec_refuses_is_said():
    # No NVDEC takes 10 bits of full chroma in H.264; which others it takes, it tells.
    data = make(Clip(count=5, pixels="yuv444p10le"))
    decoder, other = both(data, "cuda")
    assert decoder.notes["cpu_fallback"]
    batches = [
        next(iter(each.frames([Target(0.0, Accuracy.EXACT)], Wish()))) for each in (decoder, other)
    ]
    assert [number_of(as_cpu(batch)) for batch in batches] == [0, 0]


def test_a_refusal_of_nvdec_becomes_a_note(monkeypatch):
    from farm.engines import torchcodec as module

    follow = module.follow

    def refused(*args, **kwargs):
        followed = follow(*args, **kwargs)
        return replace(followed, refusal="Video not supported")

    monkeypatch.setattr(module, "follow", refused)
    decoder = opened(data_of("h264"), TorchcodecEngine("cpu"))
    assert decoder.notes["cpu_fallback"] == "Video not supported"


def test_nvdec_is_asked_once_for_streams_of_a_kind(monkeypatch):
    status = CpuFallbackStatus(status_known=True)
    status._backend, status._is_fallback, status._video_not_supported = "CUDA", True, True
    asked = []

    def ask(data, **kwargs):
        asked.append((data, kwargs))
        return SimpleNamespace(cpu_fallback=status)

    monkeypatch.setattr(torchcodec_stream, "VideoDecoder", ask)
    monkeypatch.setattr(torchcodec_stream, "_refusals", {})
    data = data_of("h264")
    for _ in range(2):
        (stream,) = Demuxer(data).streams
        found = torchcodec_stream._refusal(source_of(data), "mp4", stream)
        assert found == "Video not supported"
    ((file, kwargs),) = asked
    assert isinstance(file, CallbackFile)
    assert kwargs == {"stream_index": 0, "device": "cuda", "seek_mode": "approximate"}
    status._is_fallback = False
    torchcodec_stream._refusals.clear()
    assert torchcodec_stream._refusal(source_of(data), "mp4", stream) == ""


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["h264", "h264 with B-frames", "h264 in matroska", "vp9", "hevc"])
def test_a_keyframe_costs_one_packet(name, device):
    decoder = opened(data_of(name), TorchcodecEngine(device))
    assert len(answers(decoder, [Target(1.0, Accuracy.KEYFRAME)])) == 1
    notes = decoder.notes
    assert (notes["packets_fed"], notes["keyframes"], notes["seeks"]) == (1, 1, 1)


@pytest.mark.parametrize("device", DEVICES)
def test_a_keyframe_too_far_does_not_serve(device):
    decoder = opened(data_of("h264 with B-frames"), TorchcodecEngine(device))
    targets = [
        Target(n / FPS, Accuracy.KEYFRAME, max_drift_seconds=drift / FPS)
        for n, drift in ((12, 2), (4, 3), (9, 9), (19, 8.9), (18, 8))
    ]
    found = answers(decoder, targets)
    assert [number_of(as_cpu(found[index])) for index in range(5)] == [10, 4, 0, 19, 10]
    assert decoder.notes["keyframes_too_far"] == 2


def test_far_exact_frames_skip_groups():
    decoder = opened(data_of("h264 with B-frames"), TorchcodecEngine("cpu"))
    targets = [Target(0.0, Accuracy.EXACT), Target(45 / FPS, Accuracy.EXACT)]
    assert [number_of(batch) for batch in answers(decoder, targets).values()] == [0, 45]
    assert decoder.notes["packets_fed"] < 30


LEFT_TO_PYAV = {"mpeg1.mpg", "mpeg4.avi"}


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_for_all_samples(samples: Path, device):
    left = set()
    for path in sorted((samples / "videos").iterdir()):
        data = path.read_bytes()
        other = opened(data, PyAVEngine())
        info = other.info
        middle = info.start_seconds + 0.4 * info.duration_seconds
        targets = [Target(middle, accuracy) for accuracy in Accuracy]
        try:
            assert_same(opened(data, TorchcodecEngine(device)), other, targets)
        except UnsupportedFormatError:
            left.add(path.name)
        except AssertionError as error:
            raise AssertionError(f"{path.name}: {error}") from error
    assert left == LEFT_TO_PYAV


@pytest.mark.needs_corpus
@pytest.mark.parametrize("device", DEVICES)
def test_the_same_for_the_corpus(corpus: Path, device):
    same = 0
    for path in sorted((corpus / "torchcodec").glob("*.m[pk][4v]")):
        data = path.read_bytes()
        other = opened(data, PyAVEngine())
        info = other.info
        targets = [Target(info.start_seconds + 0.4 * info.duration_seconds, a) for a in Accuracy]
        try:
            assert_same(opened(data, TorchcodecEngine(device)), other, targets)
            same += 1
        except UnsupportedFormatError:
            continue
        except AssertionError as error:
            raise AssertionError(f"{path.name}: {error}") from error
    assert same >= 20


@pytest.mark.parametrize("device", DEVICES)
def test_facts_on_light_are_pyav_s(samples: Path, device):
    decoder, other = both((samples / "videos" / "hevc-hdr10.mp4").read_bytes(), device)
    target = [Target(0.5, Accuracy.EXACT)]
    (batch,), (wanted,) = decoder.frames(target, Wish()), other.frames(target, Wish())
    assert batch.color.transfer is Transfer.PQ
    assert batch.color == wanted.color
    assert decoder.notes["tone_mapped"] == "pq"


def test_colours_that_nothing_shows_stop_the_entry(monkeypatch):
    from farm.engines import torchcodec as module

    def light(_):
        raise UnsupportedColorError("clip: its colours are unknown")

    monkeypatch.setattr(module.TorchcodecDecoder, "_light", light)
    decoder = opened(data_of("hevc of 10 bits"), TorchcodecEngine("cpu"))
    with pytest.raises(UnsupportedColorError):
        answers(decoder, [Target(0.0, Accuracy.KEYFRAME)])


def truncated(container_options: dict[str, str]) -> bytes:
    data = make(Clip(container_options=container_options))
    start = data.index(b"mdat")
    return data[: start + (len(data) - start) * 2 // 3]


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_left_of_a_file_is_right_or_left_to_pyav(device):
    data = truncated({"moov_size": "20000"})
    other, same = opened(data, PyAVEngine()), 0
    for seconds in (0.0, 0.5, 1.0, 1.5, 1.99):
        for accuracy in Accuracy:
            decoder = opened(data, TorchcodecEngine(device))
            target = [Target(seconds, accuracy)]
            (wanted,) = other.frames(target, Wish())
            try:
                (batch,) = decoder.frames(target, Wish())
            except UnsupportedFormatError:
                continue
            assert batch.pts_seconds == wanted.pts_seconds
            same += 1
    assert same >= 6


@pytest.mark.parametrize("device", DEVICES)
def test_errors_are_pyav_s(device):
    data = data_of("h264")
    start, end = data.index(b"mdat") + 4, data.index(b"moov")
    encryption = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "00" * 16,
        "encryption_kid": "11" * 16,
    }
    header_first = make(Clip(container_options={"moov_size": "20000"}))
    broken = {
        "no header": data[: end - 4],
        "zeros": data[:start] + bytes(end - start) + data[end:],
        "no samples": header_first[: header_first.index(b"mdat")],
        "encrypted": make(Clip(container_options=encryption)),
        "a playlist": b"\x00\x00\x00\x18ftypisom" + b"#EXTM3U\n/etc/passwd\n",
    }
    kinds = {}
    for name, content in broken.items():
        told = []
        for engine in (PyAVEngine(), TorchcodecEngine(device)):
            with pytest.raises(MediaError, match="clip: ") as caught:
                answers(opened(content, engine), [Target(1.0, Accuracy.KEYFRAME)])
            told.append(caught.type)
        assert told[0] is told[1], name
        kinds[name] = told[0]
    assert kinds["no header"] is kinds["no samples"] is TruncatedError
    assert kinds["encrypted"] is EncryptedError


class Lying:
    """A demuxer that goes elsewhere than it is told to."""

    def __init__(self, demuxer, place) -> None:
        self._demuxer, self._place = demuxer, place

    def seek(self, seconds: float) -> None:
        self._demuxer.seek(self._place(seconds))

    def __next__(self):
        return next(self._demuxer)


def lie(decoder, place) -> None:
    player = decoder._player
    player._followed = replace(player._followed, demuxer=Lying(player._followed.demuxer, place))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["h264 with B-frames", "hevc", "vp9"])
def test_a_seek_that_goes_too_far_back_costs_time_only(name, device):
    decoder, other = both(data_of(name), device)
    lie(decoder, lambda _: 0.0)
    assert_same(decoder, other, targets_of(other.info))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("accuracy", Accuracy)
def test_a_seek_that_goes_too_far_ahead_gives_no_wrong_frame(accuracy, device):
    decoder = opened(data_of("h264"), TorchcodecEngine(device))
    lie(decoder, lambda _: 1.7)
    with pytest.raises(UnsupportedFormatError, match=r"not sure of it: no frame at 0\.400 s"):
        answers(decoder, [Target(0.5, accuracy)])
    assert answers(decoder, [Target(1.7, accuracy)])


def test_a_frame_that_the_decoder_drops_is_missed(monkeypatch):
    play = Player.play
    monkeypatch.setattr(
        Player,
        "play",
        lambda self, key: (f for f in play(self, key) if abs(f.pts_seconds - 13 / FPS) > 0.01),
    )
    decoder = opened(data_of("h264 with B-frames"), TorchcodecEngine("cpu"))
    (before,) = answers(decoder, [Target(12.5 / FPS, Accuracy.EXACT)]).values()
    assert number_of(before) == 12
    with pytest.raises(UnsupportedFormatError, match="a frame that its container tells of is"):
        answers(decoder, [Target(13.5 / FPS, Accuracy.EXACT)])


def test_a_packet_that_makes_trouble_leaves_the_file_to_pyav(monkeypatch):
    def decode(_, packet):
        raise RuntimeError("Failed to send packet to decoder (status -1094995529)\nmore")

    decoder = opened(data_of("h264"), TorchcodecEngine("cpu"))
    monkeypatch.setattr(type(decoder._followed.decoder), "decode", decode)
    for accuracy in Accuracy:
        with pytest.raises(UnsupportedFormatError, match=r"decoder \(status -1094995529\); engine"):
            answers(decoder, [Target(0.5, accuracy)])


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("CUDA out of memory. Tried to allocate", MemoryError),
        ("CUDA error: an illegal memory access", EngineUnavailableError),
        ("Failed to create NVDEC decoder: 100", EngineUnavailableError),
    ],
)
def test_a_gpu_s_trouble_is_not_the_file_s(monkeypatch, words, kind):
    def decode(_, packet):
        raise RuntimeError(words)

    decoder = opened(data_of("h264"), TorchcodecEngine("cpu"))
    monkeypatch.setattr(type(decoder._followed.decoder), "decode", decode)
    with pytest.raises(kind, match=f"clip: torchcodec: {words}"):
        answers(decoder, [Target(0.5, Accuracy.KEYFRAME)])


def test_containers_and_samples_that_it_does_not_take():
    avi = make(Clip("mpeg4", "avi"))
    with pytest.raises(UnsupportedFormatError, match=r"clip: engine torchcodec takes flv, .* avi"):
        opened(avi, TorchcodecEngine("cpu"))
    rgb = make(Clip("libx264rgb", pixels="rgb24", count=3))
    with pytest.raises(UnsupportedFormatError, match="clip: its samples are gbrp"):
        opened(rgb, TorchcodecEngine("cpu"))
    clip = data_of("h264 in ts")
    huge = Source(io.BytesIO(clip), 1 << 40, "clip")
    with pytest.raises(UnsupportedFormatError, match="clip: 1099511627776 bytes"):
        TorchcodecEngine("cpu").open(
            huge, media_format=MediaFormat(MediaKind.VIDEO, "mpegts"), limits=Limits()
        )


def test_limits():
    data, engine = data_of("h264"), TorchcodecEngine("cpu")
    with pytest.raises(LimitError, match=r"clip: frames of 128x64 = 8192 pixels, .* 8191 allowed"):
        opened(data, engine, Limits(frame_pixels=8191))
    with pytest.raises(LimitError, match=r"clip: a video of 2 s, longer than the 1 s"):
        opened(data, engine, Limits(duration_seconds=1))
    with pytest.raises(LimitError, match=r"clip: more than the 3 frames"):
        answers(opened(data, engine, Limits(frames=3)), [Target(0.3, Accuracy.EXACT)])
    with pytest.raises(NoFrameError, match="clip: no frame 50 among 50 frames"):
        answers(opened(data, engine), [Target(0, Accuracy.EXACT, frame=50)])


class Store(io.BytesIO):
    """A file that counts the bytes that are read of it, and fails when told to."""

    bytes_read = 0
    is_gone = False

    def read(self, size: int | None = -1) -> bytes:
        if self.is_gone:
            raise SourceUnavailableError("the store is gone")
        data = super().read(size)
        self.bytes_read += len(data)
        return data


def open_stored(data: bytes):
    file = Store(data)
    source = Source(file, len(data), "clip")
    media_format = MediaFormat(MediaKind.VIDEO, "mp4")
    return file, TorchcodecEngine("cpu").open(source, media_format=media_format, limits=Limits())


def test_no_more_is_read_than_needed():
    # Far more than libavformat looks at, behind all that the video needs.
    data = make(Clip(container_options={"moov_size": "20000"}))
    data += (1 << 25).to_bytes(4, "big") + b"free" + bytes((1 << 25) - 8)
    file, decoder = open_stored(data)
    assert len(answers(decoder, [Target(1.0, Accuracy.KEYFRAME)])) == 1
    assert file.bytes_read < 1 << 20


@pytest.mark.parametrize("accuracy", Accuracy)
def test_the_store_s_failure_is_the_entry_s(monkeypatch, accuracy):
    clip = Clip("prores_ks", "mov", count=40, pixels="yuv422p10le", gop=1, size=(640, 320))
    file, decoder = open_stored(make(clip))
    seek = Player._seek

    def seek_in_vain(player: Player, seconds: float) -> bool:
        file.is_gone = True
        return seek(player, seconds)

    monkeypatch.setattr(Player, "_seek", seek_in_vain)
    with pytest.raises(SourceUnavailableError, match="the store is gone"):
        answers(decoder, [Target(1.4, accuracy)])


def test_many_at_once_keep_their_own_frames():
    names = ["h264 with B-frames", "h264 in matroska", "hevc", "vp9", "h264 in ts"]
    barrier = threading.Barrier(8)

    def work(seat: int) -> None:
        barrier.wait()
        for turn, name in zip(range(6), cycle(names), strict=False):
            number = (7 * seat + 11 * turn) % 50
            decoder = opened(data_of(name), TorchcodecEngine("cpu"))
            seconds = decoder.info.start_seconds + (number + 0.1) / FPS
            ((found,)) = decoder.frames([Target(seconds, Accuracy.EXACT)], Wish())
            assert number_of(found) == number
            decoder.close()

    for name in names:
        data_of(name)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_torchcodec_is_silent(capfd):
    data = data_of("h264")
    for end in range(500, len(data), 900):
        with pytest.raises(MediaError):
            answers(opened(data[:end], TorchcodecEngine("cpu")), [Target(1.0, Accuracy.EXACT)])
    assert capfd.readouterr() == ("", "")


_BOTH_ORDERS = """
import io, sys
sys.path[:0] = {paths!r}
from farm.engines import Source, Wish, load
from farm.sampling import Target
from farm.settings import Limits
from farm.media import MediaFormat, MediaKind
from farm.spec import Accuracy, Entry
data = open(sys.argv[1], "rb").read()
for name in sys.argv[2:] * 2:
    source = Source(io.BytesIO(data), len(data), "clip")
    media_format = MediaFormat(MediaKind.VIDEO, "mp4")
    decoder = load(name).open(source, media_format=media_format, limits=Limits())
    for accuracy in Accuracy:
        (batch,) = decoder.frames([Target(1.5, accuracy)], Wish())
        print(name, accuracy.value, batch.pts_seconds[0], int(batch.planes[0].sum()))
"""


@pytest.mark.parametrize("order", [("pyav", "torchcodec"), ("torchcodec", "pyav")])
def test_two_ffmpegs_in_one_process(tmp_path, order):
    (tmp_path / "clip.mp4").write_bytes(data_of("h264 with B-frames"))
    code = _BOTH_ORDERS.format(paths=[path for path in sys.path if path])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "clip.mp4"), *order],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 8
    assert [line[0] for line in lines[::2]] == list(order * 2)
    for accuracy in Accuracy:
        assert len({tuple(line[2:]) for line in lines if line[1] == accuracy.value}) == 1


def test_lanes_that_fork_do_not_load_it():
    code = "import sys, farm.pipeline as p; p.warm_up(); print('torchcodec' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def made(data: bytes, *, engine: str | None, device: str = "cpu"):
    output = {"width": 64, "accuracy": "exact", "position": 1.0, "engine": engine}
    content = {"id": "clip", "source": "clip", "destination": "out", "outputs": [output]}
    entry = Entry.model_validate(content)
    return make_thumbnails(entry, 0, source_of(data), limits=Limits(), device=device)


@pytest.mark.parametrize("name", ["h264 in ts", "hevc of 10 bits", "h264 turned"])
def test_thumbnails_are_those_of_pyav(name):
    one, other = (made(data_of(name), engine=engine) for engine in ("torchcodec", "pyav"))
    assert (one.engine, other.engine) == ("torchcodec", "pyav")
    assert [each.data for each in one.files] == [each.data for each in other.files]


def test_a_lane_of_a_gpu_says_what_was_left_to_another_engine():
    result = made(make(Clip("mpeg4", "avi")), engine=None, device="cuda")
    assert result.engine != "torchcodec"
    assert "torchcodec -> " in (result.fallback or "")
    assert "engine torchcodec takes flv" in (result.fallback or "")
