import io
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("farm.engines.decord")  # which loads decord after PyAV

import decord

from farm.engines import Source, Wish
from farm.engines import decord as module
from farm.engines.decord import DecordEngine
from farm.errors import CorruptError, LimitError, NoFrameError, UnsupportedFormatError
from farm.geometry import Size
from farm.media import Matrix, MediaFormat, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy
from tests.engines.clips import FPS, HEIGHT, WIDTH, Clip, make, number_of
from tests.engines.contract import EngineContract

LATER = {"output_ts_offset": "3"}


def open_clip(clip: Clip, container: str = "mp4"):
    data = make(clip)
    source = Source(io.BytesIO(data), len(data), "clip")
    return DecordEngine().open(
        source, media_format=MediaFormat(MediaKind.VIDEO, container), limits=Limits()
    )


def shown(decoder, targets: list[Target]) -> list[int]:
    numbers = {}
    for batch in decoder.frames(targets, Wish()):
        assert batch.color.matrix is Matrix.RGB
        numbers |= dict.fromkeys(batch.answers[0], number_of(batch))
    return [numbers[index] for index in range(len(targets))]


class TestContract(EngineContract):
    engine_name = "decord"
    media_format = MediaFormat(MediaKind.VIDEO, "mp4")
    size = Size(WIDTH, HEIGHT)

    @pytest.fixture
    def good(self):
        return make(Clip(count=20, container_options={"moov_size": "4000"}))


@pytest.mark.parametrize(
    "clip",
    [Clip(), Clip(bframes=2), Clip("libx265"), Clip("libvpx-vp9", "webm"), Clip("mpeg4", "avi")],
    ids=["h264", "h264 with B-frames", "hevc", "vp9", "mpeg4 in avi"],
)
def test_frames_and_keyframes(clip):
    decoder = open_clip(clip, clip.container)
    numbers = [0, 3, 9, 10, 25, 49]
    targets = [Target((n + 0.1) / FPS, a) for n in numbers for a in Accuracy]
    answers = shown(decoder, targets)
    assert answers[1::2] == numbers
    if clip.codec in ("libx264", "libx265"):  # other encoders place keyframes as they like
        assert answers[::2] == [n // clip.gop * clip.gop for n in numbers]


def test_a_later_start_is_counted_in():
    decoder = open_clip(Clip(container="mpegts", container_options=LATER), "mpegts")
    assert decoder.info.start_seconds > 1
    target = Target(decoder.info.start_seconds + 12.2 / FPS, Accuracy.EXACT)
    (batch,) = decoder.frames([target], Wish())
    assert number_of(batch) == 12
    assert batch.pts_seconds[0] == pytest.approx(target.seconds - 0.2 / FPS, abs=1e-5)


def test_outside_of_the_video_and_frame_numbers():
    decoder = open_clip(Clip())
    targets = [Target(-1, Accuracy.EXACT), Target(99, Accuracy.EXACT)]
    assert shown(decoder, targets) == [0, 49]
    assert decoder.warnings == ("position_past_end",)
    numbered = [Target(0, Accuracy.EXACT, frame=n) for n in (0, 17, -1)]
    assert shown(decoder, numbered) == [0, 17, 49]
    with pytest.raises(NoFrameError, match="clip: no frame 50 among 50 frames"):
        shown(decoder, [Target(0, Accuracy.EXACT, frame=50)])


def test_frames_come_upright():
    decoder = open_clip(Clip(rotation=(-90, False)))
    assert decoder.info.orientation == 1
    assert decoder.info.size == Size(HEIGHT, WIDTH)
    (batch,) = decoder.frames([Target(1, Accuracy.EXACT)], Wish())
    assert batch.planes[0].shape == (1, WIDTH, HEIGHT, 3)
    assert batch.full_size == Size(HEIGHT, WIDTH)
    rows = batch.planes[0][0].float().mean((1, 2)).reshape(8, -1).mean(1)
    # Turned clockwise, the first column becomes the first row.
    assert sum(1 << bit for bit in range(8) if rows[bit] > 120) == 25


def test_what_decord_cannot_do_is_refused():
    with pytest.raises(UnsupportedFormatError, match="decord has no decoder for av1"):
        open_clip(Clip("libsvtav1", count=3))
    with pytest.raises(UnsupportedFormatError, match="decord does not mirror"):
        open_clip(Clip(rotation=(0, True)))
    huge = Source(io.BytesIO(b""), 3 << 30, "clip")
    with pytest.raises(LimitError, match="clip: 3221225472 bytes"):
        DecordEngine().open(huge, media_format=MediaFormat(MediaKind.VIDEO, "mp4"), limits=Limits())


def test_an_unreadable_file_is_corrupt():
    with pytest.raises(CorruptError, match="clip: decord: "):
        shown(
            open_clip(Clip(container="matroska", container_options={"live": "1"}), "matroska"),
            [Target(0, Accuracy.EXACT)],
        )


class StandIn:
    """A decord that was built for CUDA, whose GPU is the wheel's CPU."""

    DECORDError = decord.DECORDError

    def __init__(self, *, exists: bool = True, fault: str = "") -> None:
        self.exists = exists
        self.fault = fault
        self.contexts: list[str] = []

    def cpu(self, number: int) -> str:
        return f"cpu {number}"

    def gpu(self, number: int) -> Any:
        return SimpleNamespace(exist=self.exists, name=f"gpu {number}")

    def VideoReader(self, file, *, ctx, num_threads):
        name = ctx if isinstance(ctx, str) else ctx.name
        self.contexts.append(name)
        if self.fault == "open" and name == "gpu 0":
            raise decord.DECORDError("NVDEC takes no such stream\nat line 1")
        reader = decord.VideoReader(file, ctx=decord.cpu(0), num_threads=num_threads)
        return Failing(reader) if self.fault == "frame" and name == "gpu 0" else reader


class Failing:
    def __init__(self, reader) -> None:
        self.reader = reader

    def __getattr__(self, name: str):
        return getattr(self.reader, name)

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, number: int):
        raise decord.DECORDError("NVDEC is lost")


class TestOnAGpu:
    @pytest.fixture
    def in_gpu_lane(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)

    def play(self, monkeypatch, library: StandIn, clip: Clip | None = None):
        monkeypatch.setattr(module, "decord", library)
        decoder = open_clip(clip or Clip())
        targets = [Target(0, Accuracy.EXACT, frame=n) for n in (0, 17, 49)]
        numbers = shown(decoder, targets) if clip is None else []
        return numbers, decoder

    def test_the_wheel_has_none(self, in_gpu_lane):
        assert not decord.gpu(0).exist
        decoder = open_clip(Clip())
        assert shown(decoder, [Target(0, Accuracy.EXACT)]) == [0]
        assert decoder.notes == {"decord_device": "cpu", "frames_given": 1}

    def test_a_build_for_cuda_uses_it(self, in_gpu_lane, monkeypatch):
        library = StandIn()
        numbers, decoder = self.play(monkeypatch, library)
        assert numbers == [0, 17, 49]
        assert library.contexts == ["gpu 0"]
        assert decoder.notes == {"decord_device": "cuda", "frames_given": 3}

    def test_not_outside_of_its_lanes(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
        library = StandIn()
        assert self.play(monkeypatch, library)[0] == [0, 17, 49]
        assert library.contexts == ["cpu 0"]

    def test_not_where_the_machine_has_none(self, in_gpu_lane, monkeypatch):
        library = StandIn(exists=False)
        assert self.play(monkeypatch, library)[1].notes["decord_device"] == "cpu"
        assert library.contexts == ["cpu 0"]

    @pytest.mark.parametrize(
        ("fault", "words"), [("open", "NVDEC takes no such stream"), ("frame", "NVDEC is lost")]
    )
    def test_the_cpu_goes_on_and_the_record_says_why(self, in_gpu_lane, monkeypatch, fault, words):
        library = StandIn(fault=fault)
        numbers, decoder = self.play(monkeypatch, library)
        assert numbers == [0, 17, 49]
        assert library.contexts == ["gpu 0", "cpu 0"]
        assert decoder.notes == {"decord_device": "cpu", "frames_given": 3, "cpu_fallback": words}

    def test_what_has_to_be_turned_is_the_cpus(self, in_gpu_lane, monkeypatch):
        _, decoder = self.play(monkeypatch, StandIn(), Clip(rotation=(-90, False)))
        assert decoder.notes["decord_device"] == "cpu"
