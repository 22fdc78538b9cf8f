import io
import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from farm import engines
from farm.engines import Source, Wish
from farm.engines.frame import FrameBatch
from farm.engines.nvdec import NvdecEngine
from farm.engines.nvdec_caps import Capabilities, StreamKind
from farm.engines.pyav import PyAVEngine
from farm.errors import (
    EncryptedError,
    EngineUnavailableError,
    LimitError,
    MediaError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.media import MediaFormat, MediaKind
from farm.pipeline import make_thumbnails
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy, Entry, ThumbnailSpec
from kernels.tolerance import MAX_DIFFERENCE
from tests.engines import contract
from tests.engines.clips import FPS, HEIGHT, WIDTH, Clip, codec_options, make, number_of, picture
from tests.engines.contract import START, EngineContract
from tests.engines.nvdec_cpu import CpuFeeder, UnreliableFeeder, cpu_backend

MP4 = MediaFormat(MediaKind.VIDEO, "mp4")
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
CLIPS = {
    "h264": Clip(bframes=2),
    "h264 in mov": Clip(container="mov", bframes=2),
    "h264 in fragments": Clip(bframes=2, container_options=FRAGMENTS),
    "h264 at odd times": Clip(times=tuple(40 * n + n * n for n in range(50))),
    "h264 turned": Clip(rotation=(-90, False)),
    "h264 cropped": Clip(size=(136, 70)),
    "h264 of full range": Clip(options={"x264-params": "fullrange=on:colormatrix=bt709"}),
    "h264 aspect": Clip(options={"x264-params": "sar=16/11"}),
    "hevc": Clip("libx265", bframes=2),
    "hevc of 10 bits": Clip("libx265", pixels="yuv420p10le", bframes=2),
    "hevc 444": Clip("libx265", pixels="yuv444p"),
    "hevc 444 of 10 bits": Clip("libx265", pixels="yuv444p10le"),
    "hevc cropped": Clip("libx265", size=(136, 70)),
    "hevc open groups": Clip(
        "libx265",
        bframes=3,
        options={"x265-params": "log-level=none:pools=1:keyint=10:min-keyint=10:open-gop=1"},
    ),
    "hevc tagged": Clip(
        "libx265",
        options={"x265-params": "log-level=none:pools=1:colorprim=9:transfer=18:colormatrix=9"},
    ),
}
# What the other engine is to do, and why.
REFUSED = {
    "vp9": (Clip("libvpx-vp9"), "decodes h264 and hevc; received vp9"),
    "mpeg4": (Clip("mpeg4"), "received mpeg4"),
    "fields": (Clip(options={"x264-params": "tff=1"}), "coded as two fields"),
    "422": (Clip(pixels="yuv422p"), "chroma_format_idc 2 with 8 bits"),
    "gray": (Clip(pixels="gray"), "chroma_format_idc 0 with 8 bits"),
    "pq": (
        Clip("libx265", options={"x265-params": "log-level=none:pools=1:transfer=16"}),
        "PQ, whose brightness",
    ),
    "rgb": (
        Clip(pixels="yuv444p", options={"x264-params": "colormatrix=GBR"}),
        r"no YCbCr \(matrix 0\)",
    ),
}


@cache
def data_of(name: str) -> bytes:
    return make(CLIPS[name])


def source_of(data: bytes, name: str = "clip") -> Source:
    return Source(io.BytesIO(data), len(data), name)


def open_with(engine, data: bytes, limits: Limits | None = None):
    return engine.open(source_of(data), media_format=MP4, limits=limits or Limits())


@pytest.fixture
def engine() -> NvdecEngine:
    return NvdecEngine(cpu_backend())


def targets_of(info) -> list[Target]:
    places = (0, 0.13, 0.5, 0.62, 0.97, 1)
    times = [info.start_seconds + place * info.duration_seconds for place in places]
    numbered = [Target(0.0, Accuracy.EXACT, frame=number) for number in (0, -1)]
    drifting = [Target(time, Accuracy.KEYFRAME, max_drift_seconds=0.1) for time in times]
    return [Target(time, each) for time in times for each in Accuracy] + numbered + drifting


def answers(decoder, targets: list[Target]) -> dict[int, FrameBatch]:
    found: dict[int, FrameBatch] = {}
    for batch in decoder.frames(targets, Wish()):
        for index in batch.answers[0]:
            assert index not in found
            found[index] = batch
    return found


def planar(batch: FrameBatch) -> list[torch.Tensor]:
    """Y, U and V as numbers of `color.bits` bits."""
    y, *chroma = (plane.cpu().to(torch.int32) >> batch.shift for plane in batch.planes)
    return [y, *(chroma[0].unbind(-1) if len(chroma) == 1 else chroma)]


def assert_same_as_pyav(engine: NvdecEngine, data: bytes) -> None:
    decoder, other = open_with(engine, data), open_with(PyAVEngine(), data)
    assert decoder.info == other.info
    targets = targets_of(other.info)
    expected = answers(other, targets)
    found = answers(decoder, targets)
    assert found.keys() == expected.keys()
    for index, batch in found.items():
        wanted = expected[index]
        assert (batch.pts_seconds, batch.color) == (wanted.pts_seconds, wanted.color)
        assert (batch.full_size, batch.orientation) == (wanted.full_size, wanted.orientation)
        assert batch.pixel_aspect == wanted.pixel_aspect
        for plane, wanted_plane in zip(planar(batch), planar(wanted), strict=True):
            assert plane.equal(wanted_plane)
    assert decoder.warnings == other.warnings
    assert "sessions_discarded" not in decoder.notes


class TestContract(EngineContract):
    engine_name = "nvdec"
    media_format = MP4
    size = Size(WIDTH, HEIGHT)

    @pytest.fixture(autouse=True)
    def on_the_cpu(self, monkeypatch, engine):
        monkeypatch.setattr(contract, "load", lambda _: engine)

    @pytest.fixture
    def good(self) -> bytes:
        return data_of("h264")

    def test_batches_agree_with_themselves(self, good):
        (batch,) = self.open(good).frames([START], Wish())
        y, uv = batch.planes
        assert y.shape == (1, HEIGHT, WIDTH)
        assert uv.shape == (1, HEIGHT // 2, WIDTH // 2, 2)
        assert batch.full_size == self.size
        assert batch.is_yuv


@pytest.mark.parametrize("name", CLIPS)
def test_the_same_as_pyav(name, engine):
    assert_same_as_pyav(engine, data_of(name))


def test_the_same_for_all_samples(samples: Path, engine):
    assert sum(_is_taken(engine, path) for path in sorted((samples / "videos").iterdir())) >= 8


@pytest.mark.needs_corpus
def test_the_same_for_the_corpus(corpus: Path, engine):
    assert sum(_is_taken(engine, path) for path in sorted(corpus.glob("torchcodec/*.mp4"))) >= 8


def _is_taken(engine: NvdecEngine, path: Path) -> bool:
    """Whether a file's frames come out, and then the same as pyav's."""
    try:
        assert_same_as_pyav(engine, path.read_bytes())
    except UnsupportedFormatError:
        return False
    return True


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_left_to_others(name, engine):
    clip, words = REFUSED[name]
    with pytest.raises(UnsupportedFormatError, match=rf"clip: .*{words}"):
        open_with(engine, make(clip))


def test_other_containers_are_left_to_others(engine):
    data = make(Clip(container="matroska"))
    with pytest.raises(UnsupportedFormatError, match="expected one of mov, mp4; received matroska"):
        engine.open(
            source_of(data),
            media_format=MediaFormat(MediaKind.VIDEO, "matroska"),
            limits=Limits(),
        )


def test_what_the_gpu_does_not_decode():
    kinds: list[StreamKind] = []

    def refusal(kind: StreamKind) -> str:
        kinds.append(kind)
        return "this GPU decodes nothing"

    engine = NvdecEngine(cpu_backend(refusal=refusal))
    with pytest.raises(UnsupportedFormatError, match="clip: this GPU decodes nothing"):
        open_with(engine, data_of("hevc of 10 bits"))
    size = Size(WIDTH, HEIGHT)
    assert kinds == [StreamKind("hevc", 1, 10, size, size)]


def test_a_keyframe_is_fed_alone(engine):
    decoder = open_with(engine, data_of("h264"))
    targets = [Target(n / FPS, Accuracy.KEYFRAME) for n in (12, 13, 25)]
    batches = list(decoder.frames(targets, Wish()))
    assert [(number_of(batch), batch.answers) for batch in batches] == [
        (10, ((0, 1),)),
        (20, ((2,),)),
    ]
    assert decoder.notes["packets_fed"] == decoder.notes["frames_decoded"] == 2
    assert decoder.notes["keyframes"] == 2


@pytest.fixture
def only_these(engine, monkeypatch):
    """A registry in which nvdec runs on the CPU, and pyav is the only one beside it."""
    load = engines.load

    def load_these(name: str):
        if name not in ("nvdec", "pyav"):
            raise EngineUnavailableError("not in this test")
        return engine if name == "nvdec" else load(name)

    monkeypatch.setattr(engines, "load", load_these)


@pytest.mark.parametrize("name", ["h264 turned", "h264 aspect", "hevc of 10 bits", "hevc 444"])
def test_thumbnails_are_those_of_pyav(name, only_these):
    one, other = (_thumbnail(data_of(name), asked).astype(int) for asked in ("nvdec", "pyav"))
    assert one.shape == other.shape
    assert abs(one - other).max() <= MAX_DIFFERENCE[torch.uint8]
    assert np.ptp(one) > 100


def _thumbnail(data: bytes, engine_name: str) -> np.ndarray:
    output = ThumbnailSpec(width=60, format="png", position="50%", engine=engine_name)
    entry = Entry(source="clip.mp4", id="clip", outputs=[output], destination="/nowhere")
    result = make_thumbnails(entry, 1, source_of(data, "clip.mp4"), limits=Limits(), device="cuda")
    assert (result.engine, result.fallback) == (engine_name, None)
    with Image.open(io.BytesIO(result.files[0].data)) as image:
        return np.asarray(image)


def test_a_video_that_nvdec_refuses_is_made_by_another(only_these):
    clip, words = REFUSED["fields"]
    output = ThumbnailSpec(width=60)
    entry = Entry(source="clip.mp4", id="clip", outputs=[output], destination="/nowhere")
    source = source_of(make(clip), "clip.mp4")
    result = make_thumbnails(entry, 1, source, limits=Limits(), device="cuda")
    assert result.engine == "pyav"
    assert result.fallback.startswith("nvdec -> ")
    assert words in result.fallback


def test_sessions_are_used_again():
    made = Counter[StreamKind]()

    def make_feeder(kind: StreamKind) -> CpuFeeder:
        made[kind] += 1
        return CpuFeeder(kind)

    engine = NvdecEngine(cpu_backend(make_feeder))
    for name in ("h264", "hevc", "h264 turned", "h264", "h264 cropped", "hevc"):
        answers(open_with(engine, data_of(name)), [START])
    assert set(made.values()) == {1}
    assert len(made) == 3


def test_a_broken_engine_leaves_all_to_others():
    def make_feeder(kind: StreamKind) -> CpuFeeder:
        raise RuntimeError("no such device")

    decoder = open_with(NvdecEngine(cpu_backend(make_feeder)), data_of("h264"))
    with pytest.raises(UnsupportedFormatError, match=r"clip: .*RuntimeError: no such device"):
        list(decoder.frames([START], Wish()))
    assert decoder.notes["sessions_discarded"] == 2


def test_limits(engine):
    with pytest.raises(LimitError, match=r"clip: frames of 128x64 = 8192 pixels, .* 8191 allowed"):
        open_with(engine, data_of("h264"), Limits(frame_pixels=8191))
    decoder = open_with(engine, data_of("h264"), Limits(frames=5))
    with pytest.raises(LimitError, match="clip: more than the 5 frames allowed"):
        list(decoder.frames([Target(9 / FPS, Accuracy.EXACT)], Wish()))


def test_encrypted_samples_are_an_error(engine):
    encryption = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "00" * 16,
        "encryption_kid": "11" * 16,
    }
    with pytest.raises(EncryptedError, match=r"clip: .*encrypted"):
        open_with(engine, make(Clip(container_options=encryption)))


@pytest.mark.parametrize("name", ["h264", "hevc"])
def test_random_damage_gives_pictures_or_an_error(name, engine):
    data, generator = data_of(name), np.random.default_rng(7)
    targets = [Target(time, accuracy) for time in (0.5, 1.9) for accuracy in Accuracy]
    pictures = 0
    for _ in range(60):
        damaged = bytearray(data)
        for place in generator.integers(40, len(data), generator.integers(1, 6)):
            damaged[place] = generator.integers(0, 256)
        try:
            found = answers(open_with(engine, bytes(damaged)), targets)
        except (MediaError, MemoryError):
            continue
        assert sorted(found) == [0, 1, 2, 3]
        pictures += 1
    assert pictures


def test_a_thousand_thumbnails_and_no_picture_of_another_entry(engine):
    """The worst that a farm can do, tried hard: few sessions, many threads, some broken files."""
    _try_to_mix_up(engine, _SIZES, most_left=0)


def test_no_picture_of_another_entry_by_decoders_that_mix_them_up():
    engine = NvdecEngine(cpu_backend(UnreliableFeeder))
    _try_to_mix_up(engine, _SIZES, most_left=300)


def _try_to_mix_up(
    engine: NvdecEngine, sizes: Sequence[tuple[int, int]], *, most_left: int
) -> None:
    """Works off many entries with many threads; `most_left` good ones may be left to others."""
    dealer = random.Random(5)
    clips = {
        number: _numbered(number, _CODECS[number % 2], sizes[number % 9 // 3])
        for number in range(0, 192, 3)
    }
    broken = set(dealer.sample(sorted(clips), len(clips) // 10))
    for number in broken:
        clips[number] = _break(clips[number], dealer)
    entries = sorted(clips) * 16
    dealer.shuffle(entries)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda number: _shown(engine, clips[number]), entries))
    left = Counter[bool]()
    for number, shown in zip(entries, outcomes, strict=True):
        assert shown in ([number, number + 2], None)
        left[number in broken] += shown is None
    assert left[True] >= 16
    assert left[False] <= most_left


_CODECS = ("libx265", "libx264")
_SIZES = ((WIDTH, HEIGHT), (136, 64), (128, 72))


def _numbered(first: int, codec: str, size: tuple[int, int]) -> bytes:
    """A clip of three frames that show three numbers."""
    clip, file = Clip(codec, gop=3, size=size), io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=FPS, options=codec_options(clip))
        stream.width, stream.height = size
        stream.pix_fmt = clip.pixels
        stream.codec_context.gop_size = clip.gop
        stream.codec_context.thread_count = 1
        for number in range(3):
            frame = picture(first + number, clip.pixels, size)
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _break(data: bytes, dealer: random.Random) -> bytes:
    """Zeros, another picture's bytes or none where samples are."""
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    middle = (start + end) // 2
    replaced = dealer.choice([bytes(end - start), data[middle:end] + data[start:middle]])
    return data[:start] + replaced + data[end:]


def _shown(engine: NvdecEngine, data: bytes) -> list[int] | None:
    """The numbers of a clip's first and last frame; None where it is left to another engine."""
    targets = [START, Target(2 / FPS, Accuracy.EXACT)]
    try:
        found = answers(open_with(engine, data), targets)
    except UnsupportedFormatError:
        return None
    return [number_of(found[index]) for index in (0, 1)]


def test_without_a_gpu_the_registry_says_why():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(EngineUnavailableError, match="nvdec needs a GPU of NVIDIA"):
        engines.load("nvdec")


def test_it_is_the_first_choice_of_a_gpu_lane_only():
    assert engines.candidates(MP4, device="cuda")[0] == "nvdec"
    assert "nvdec" not in engines.candidates(MP4)


_FULL_CHROMA = StreamKind("hevc", 3, 8, Size(512, 256), Size(512, 256))


def _enlarged(clip: Clip) -> Clip:
    """A clip that is not too small for any video engine."""
    width, height = clip.size
    return replace(clip, size=(4 * width, 4 * height))


@pytest.mark.needs_cuda
class TestGpu:
    """What only a GPU can tell; both codecs' decoding is exact by their standards."""

    @pytest.fixture(scope="class")
    def gpu(self) -> NvdecEngine:
        return engines.load("nvdec")

    @pytest.mark.parametrize("name", CLIPS)
    def test_the_same_as_pyav(self, name, gpu):
        if "444" in name and Capabilities().refusal(_FULL_CHROMA):
            pytest.skip("this GPU does not decode 4:4:4")
        assert_same_as_pyav(gpu, make(_enlarged(CLIPS[name])))

    def test_the_same_for_all_samples(self, samples: Path, gpu):
        assert sum(_is_taken(gpu, path) for path in sorted((samples / "videos").iterdir())) >= 8

    def test_frames_are_on_the_gpu(self, gpu):
        data = make(_enlarged(CLIPS["h264"]))
        (batch,) = open_with(gpu, data).frames([START], Wish())
        assert all(plane.is_cuda for plane in batch.planes)

    def test_no_picture_of_another_entry(self, gpu):
        sizes = [(4 * width, 4 * height) for width, height in _SIZES]
        _try_to_mix_up(gpu, sizes, most_left=0)
