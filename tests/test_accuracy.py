"""The picture that was asked, proven by other means than the engine's: lists of keyframes by
ffprobe and by plain demuxing, and pictures by decoding all of a file from its first packet on."""

import bisect
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
import torch

from farm import engines
from farm.engines import Source, Wish
from farm.pipeline import make_thumbnails
from farm.record import Status
from farm.samples.videos import RECIPES
from farm.sampling import Target
from farm.settings import Limits
from farm.single import make_one
from farm.sniff import HEAD_BYTES, sniff
from farm.spec import Accuracy, Entry, Job, ThumbnailSpec

FFPROBE = shutil.which("ffprobe")
SHARES = (0.05, 0.15, 0.5, 0.85, 0.99)
MAX_DRIFT_SECONDS = 0.5
# Keyframes that no decoder shows, and so no thumbnail: an edit list begins behind them. In their
# place stands the first picture that is shown, for which they had to be decoded.
HIDDEN = {
    "h264-edit-list.mp4": 1,
    "test__resources__discard_first_keyframe.mp4": 1,
}
# A program stream tells no length: what libavformat takes for it may fall short of the last frames,
# and a position behind it is moved to the last moment before it.
SHORT = ("test__resources__sine_stereo_mp2.mpg",)
_CORPUS = """
    av1_video.mkv bt2020_10bit.mp4 bt601_full_range.mp4 bt601_limited_range.mp4
    bt709_full_range.mp4 discard_first_keyframe.mp4 h264_10bits.mp4 h265_10bits.mp4 h265_video.mp4
    nasa_13013.mp4 nasa_13013_hdr.mp4 nasa_13013_rotated.mp4 sine_stereo_mp2.mpg
    test_non_zero_start.mp4 testsrc2.mp4 testsrc2_12bit_hdr.mp4 testsrc2_444_10bit_hevc.mp4
    testsrc2_444_12bit_hevc.mp4 testsrc2_444_8bit_hevc.mp4 testsrc2_av1_10bit.mp4
    testsrc2_h265.mp4 testsrc2_hdr.mp4 testsrc2_mpeg4.avi testsrc2_mpeg4.mp4
    testsrc2_odd_height_444.mp4 testsrc2_odd_height_and_width_444.mp4
    testsrc2_odd_height_and_width_444_10bit.mp4 testsrc2_odd_height_and_width_mpeg2.mp4
    testsrc2_odd_height_and_width_vp9.mp4 testsrc2_odd_height_and_width_vp9_10bit.mp4
    testsrc2_odd_height_vp9.mp4 testsrc2_odd_height_vp9_10bit.mp4 testsrc2_odd_width_444.mp4
    testsrc2_odd_width_mpeg2.mp4 testsrc2_odd_width_vp9.mp4 testsrc2_odd_width_vp9_10bit.mp4
    testsrc2_vp8.webm testsrc2_vp9.webm
""".split()  # noqa: SIM905 - a list of them would take a line for each
VIDEOS = [
    *(pytest.param(("samples", f"videos/{recipe.name}"), id=recipe.name) for recipe in RECIPES),
    *(
        pytest.param(
            ("corpus", f"torchcodec/test__resources__{name}"),
            id=name,
            marks=pytest.mark.needs_corpus,
        )
        for name in _CORPUS
    ),
]


class Keyframe(NamedTuple):
    """A packet's presentation time in ticks, and whether a player is not to show it."""

    ticks: int
    is_hidden: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """What a whole file holds: its keyframes, and a digest of each picture by its ticks."""

    stream: int
    time_base: Fraction
    length: int
    keyframes: tuple[Keyframe, ...]
    pictures: dict[int, bytes]

    @property
    def first(self) -> int:
        return min(self.pictures)

    def seconds(self, ticks: int) -> float:
        return float(ticks * self.time_base)

    def ticks(self, seconds: float) -> int:
        return round(Fraction(seconds) / self.time_base)

    def exact(self, ticks: int) -> int:
        """The ticks of the picture that is shown at a moment."""
        shown = sorted(self.pictures)
        return shown[max(0, bisect.bisect_right(shown, ticks) - 1)]

    def keyframe(self, ticks: int) -> Keyframe:
        """The last keyframe at or before a moment, else the first of all."""
        earlier = [key for key in self.keyframes if key.ticks <= ticks]
        return max(earlier, default=self.keyframes[0])

    def keyed(self, ticks: int) -> int:
        """The ticks of the picture of the keyframe at or before a moment."""
        key = self.keyframe(ticks)
        if key.is_hidden:
            return min(shown for shown in self.pictures if shown > key.ticks)
        return key.ticks

    def near(self, ticks: int) -> int:
        """The ticks of the keyframe's picture, or of the exact one where that lies too far."""
        drift = (ticks - self.keyframe(ticks).ticks) * self.time_base
        return self.exact(ticks) if drift > MAX_DRIFT_SECONDS else self.keyed(ticks)

    def shares(self) -> list[int]:
        """Moments at shares of the length."""
        return [self.first + round(share * self.length) for share in SHARES]

    def moments(self) -> list[int]:
        """Shares of the length, keyframes, half a second behind them, and a tick beside these."""
        asked = set(self.shares())
        drift = int(Fraction(MAX_DRIFT_SECONDS) / self.time_base)
        for key in (*self.keyframes[:: 1 + len(self.keyframes) // 4], self.keyframes[-1]):
            asked |= {key.ticks - 1, key.ticks, key.ticks + drift, key.ticks + drift + 1}
        return sorted(moment for moment in asked if 0 <= moment - self.first <= self.length)


@pytest.fixture(autouse=True)
def as_in_a_lane() -> Iterator[None]:
    """One thread: many waiting for each other take several times as long on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def video(request: pytest.FixtureRequest) -> Path:
    folder, name = request.param
    return request.getfixturevalue(folder) / name


@cache
def truth_of(path: Path) -> Truth:
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        packets = [packet for packet in container.demux(stream) if packet.is_keyframe]
        keyframes = sorted(Keyframe(packet.pts, packet.is_discard) for packet in packets)
        index, time_base, told = stream.index, stream.time_base, stream.duration
    with av.open(str(path)) as container:
        frames = container.decode(container.streams[index])
        pictures = {frame.pts: digest(samples_of(frame)) for frame in frames}
    length = max(pictures) - min(pictures)
    if path.name in SHORT:
        assert told < length
        length = told - 1
    return Truth(index, time_base, length, tuple(keyframes), pictures)


def samples_of(frame: av.VideoFrame) -> list[np.ndarray]:
    """The samples of each plane, without what pads its lines."""
    kind = np.dtype("<u2" if frame.format.components[0].bits > 8 else "u1")
    lines = [np.frombuffer(plane, kind).reshape(plane.height, -1) for plane in frame.planes]
    return [rows[:, : plane.width] for rows, plane in zip(lines, frame.planes, strict=True)]


def digest(planes: Iterable[np.ndarray]) -> bytes:
    found = hashlib.blake2b()
    for plane in planes:
        found.update(np.ascontiguousarray(plane))
    return found.digest()


def spec(truth: Truth, ticks: int, fields: dict[str, Any], name: str) -> ThumbnailSpec:
    position = truth.seconds(ticks - truth.first)
    return ThumbnailSpec(width=32, format="png", position=position, filename=name, **fields)


def thumbnailed(path: Path, truth: Truth, asked: list[int], **fields: Any) -> list[int]:
    """The ticks that the pipeline reports for moments that are asked in one entry."""
    outputs = [spec(truth, ticks, fields, f"{n}.png") for n, ticks in enumerate(asked)]
    entry = Entry(source=str(path), id="video", outputs=outputs, destination="/nowhere")
    with path.open("rb") as file:
        source = Source(file, path.stat().st_size, path.name)
        made = make_thumbnails(entry, 1, source, limits=Limits())
    assert made.info.start_seconds == pytest.approx(truth.seconds(truth.first), abs=1e-9)
    assert made.fallback is None
    return [truth.ticks(one.pts_seconds) for one in made.files]


def decoded(path: Path, truth: Truth, asked: list[int], **fields: Any) -> list[tuple[int, bytes]]:
    """Ticks and digest of the picture that the engine gives for each moment."""
    targets = [Target(truth.seconds(ticks), **fields) for ticks in asked]
    found: dict[int, tuple[int, bytes]] = {}
    with path.open("rb") as file:
        source = Source(file, path.stat().st_size, path.name)
        media_format = sniff(source.read_at(0, HEAD_BYTES), name=path.name)
        decoder = engines.load("pyav").open(source, media_format=media_format, limits=Limits())
        for batch in decoder.frames(targets, Wish()):
            ticks = truth.ticks(batch.pts_seconds[0])
            picture = digest(plane[0].numpy() for plane in batch.planes)
            found |= dict.fromkeys(batch.answers[0], (ticks, picture))
        decoder.close()
    return [found[index] for index in range(len(asked))]


@pytest.mark.parametrize("video", VIDEOS, indirect=True)
def test_keyframe_is_the_last_at_or_before_the_moment(video: Path) -> None:
    truth = truth_of(video)
    assert sum(key.is_hidden for key in truth.keyframes) == HIDDEN.get(video.name, 0)
    shown = {ticks: truth.keyed(ticks) for ticks in truth.moments()}
    pictures = [(ticks, truth.pictures[ticks]) for ticks in shown.values()]
    assert decoded(video, truth, list(shown), accuracy=Accuracy.KEYFRAME) == pictures
    assert thumbnailed(video, truth, list(shown)) == list(shown.values())
    for ticks in shown:
        assert thumbnailed(video, truth, [ticks]) == [shown[ticks]]


@pytest.mark.parametrize("video", VIDEOS, indirect=True)
def test_exact_frame_is_that_of_a_whole_decode(video: Path) -> None:
    truth = truth_of(video)
    shown = {ticks: truth.exact(ticks) for ticks in truth.moments()}
    pictures = [(ticks, truth.pictures[ticks]) for ticks in shown.values()]
    assert decoded(video, truth, list(shown), accuracy=Accuracy.EXACT) == pictures
    for ticks in truth.shares():
        assert thumbnailed(video, truth, [ticks], accuracy="exact") == [shown[ticks]]


@pytest.mark.parametrize("video", VIDEOS, indirect=True)
def test_a_keyframe_too_far_gives_way_to_the_exact_frame(video: Path) -> None:
    truth = truth_of(video)
    shown = {ticks: truth.near(ticks) for ticks in truth.moments()}
    made = thumbnailed(video, truth, list(shown), max_drift=MAX_DRIFT_SECONDS)
    assert made == list(shown.values())


def test_a_lane_gives_the_same(samples: Path, tmp_path: Path) -> None:
    path = samples / "videos" / "h264-720p.mp4"
    truth = truth_of(path)
    shown, outputs = [], []
    modes = (
        ({}, truth.keyed),
        ({"accuracy": "exact"}, truth.exact),
        ({"max_drift": MAX_DRIFT_SECONDS}, truth.near),
    )
    for number, (fields, rule) in enumerate(modes):
        for ticks in truth.moments():
            shown.append(rule(ticks))
            outputs.append(spec(truth, ticks, fields, f"{number}-{ticks}.png"))
    job = Job(manifest="none", destination=str(tmp_path), outputs=outputs)
    record = make_one(job, {"source": str(path)})
    assert record.status is Status.OK
    assert [truth.ticks(made.pts_seconds) for made in record.artifacts] == shown


@pytest.mark.skipif(FFPROBE is None, reason="needs ffprobe")
@pytest.mark.parametrize("video", VIDEOS, indirect=True)
def test_ffprobe_lists_the_same_keyframes(video: Path) -> None:
    truth = truth_of(video)
    asked = ["-select_streams", str(truth.stream), "-show_entries", "packet=pts,flags"]
    told = subprocess.run(
        [FFPROBE, "-v", "error", *asked, "-of", "json", video],
        capture_output=True,
        check=True,
    )
    packets = json.loads(told.stdout)["packets"]
    listed = [Keyframe(one["pts"], "D" in one["flags"]) for one in packets if "K" in one["flags"]]
    assert sorted(listed) == list(truth.keyframes)


@pytest.mark.needs_corpus
def test_no_video_of_the_corpus_is_left_out(corpus: Path) -> None:
    kinds = {".avi", ".mkv", ".mp4", ".mpg", ".webm"}
    found = {path.name for path in (corpus / "torchcodec").iterdir() if path.suffix in kinds}
    assert found == {f"test__resources__{name}" for name in _CORPUS}
