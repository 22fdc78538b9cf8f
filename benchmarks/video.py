"""Makes the videos of the corpus: pans over a scene with jitter and noise.

Only a few seconds of each are encoded; their packets are repeated until the file is long enough.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from benchmarks.scene import Pixels, make_scene
from farm.samples.scheduling import scheduling_kept

_FPS = 25
_MARGIN = 1.2
_NOISE_VALUES = 5
_QUICK_SECONDS = 20
_QUICK_LONG_SECONDS = 300
_DETAIL = 6.0
_LIBRARIES = {"fflags": "+bitexact"}
_FAST_START = {"movflags": "+faststart"}
_X264 = {"preset": "veryfast", "sc_threshold": "0"}
_X265 = "log-level=none:scenecut=0:keyint=50:min-keyint=50:ipratio=2"


@dataclass(frozen=True, slots=True)
class Video:
    """One video: `loop_seconds` of it are encoded, and repeated to `seconds`."""

    name: str
    codec: str
    width: int
    height: int
    gop: int
    bit_rate: int
    seconds: int = 60
    loop_seconds: int = 20
    options: dict[str, str] = field(default_factory=dict)
    muxing: dict[str, str] = field(default_factory=dict)
    codec_tag: str | None = None

    @property
    def kind(self) -> str:
        """What tables call it."""
        return self.name.rpartition(".")[0]


LONG = Video("h264-720p-20min.mp4", "libx264", 1280, 720, 125, 1_300_000, 1200, 30, _X264,
             _FAST_START)  # fmt: skip
VIDEOS = (
    Video("h264-1080p-2s.mp4", "libx264", 1920, 1080, 50, 7_700_000, options=_X264,
          muxing=_FAST_START),
    Video("h264-1080p-10s.mp4", "libx264", 1920, 1080, 250, 7_700_000, options=_X264),
    Video("h264-1080p.ts", "libx264", 1920, 1080, 50, 6_800_000, options=_X264),
    Video("h264-4k.mp4", "libx264", 3840, 2160, 50, 18_000_000, 30, 10,
          _X264 | {"preset": "superfast"}, _FAST_START),
    LONG,
    Video("hevc-1080p.mp4", "libx265", 1920, 1080, 50, 3_500_000, 30, 10,
          {"preset": "superfast", "x265-params": _X265},           _FAST_START, "hvc1"),
    Video("vp9-720p.webm", "libvpx-vp9", 1280, 720, 125, 1_500_000, 60, 15,
          {"deadline": "realtime", "cpu-used": "7", "row-mt": "1", "lag-in-frames": "0"}),
    Video("av1-720p.mp4", "libsvtav1", 1280, 720, 125, 1_200_000, 60, 15, {"preset": "10"},
          _FAST_START),
    Video("mpeg4-720p.mp4", "mpeg4", 1280, 720, 50, 4_000_000, muxing=_FAST_START),
)  # fmt: skip


def all_videos(*, is_quick: bool) -> tuple[Video, ...]:
    """All videos; for a quick look at a fraction of their length."""
    if not is_quick:
        return VIDEOS
    return tuple(
        replace(
            video,
            seconds=_QUICK_LONG_SECONDS if video is LONG else _QUICK_SECONDS,
            loop_seconds=min(video.loop_seconds, 10),
        )
        for video in VIDEOS
    )


def make_videos(folder: Path, videos: tuple[Video, ...]) -> Iterator[str]:
    """Makes the videos that are missing, and tells of each."""
    scenes: dict[tuple[int, int], list[Pixels]] = {}
    for video in videos:
        if (folder / video.name).exists():
            continue
        size = (video.width, video.height)
        if size not in scenes:
            scenes = {size: _planes(*size)}
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            loop, whole = Path(scratch) / "loop.mp4", Path(scratch) / video.name
            _encode(video, scenes[size], loop)
            _repeat(video, loop, whole)
            whole.rename(folder / video.name)
        yield f"{video.name}: {(folder / video.name).stat().st_size / 1e6:.1f} MB"


def _planes(width: int, height: int) -> list[Pixels]:
    """Y, U and V of a scene somewhat larger than the picture, away from black and white."""
    larger = (round(width * _MARGIN) // 2 * 2, round(height * _MARGIN) // 2 * 2)
    picture = np.asarray(make_scene(*larger, seed=7).render(_DETAIL))
    frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
    y, u, v = (_plane(plane) for plane in frame.planes)
    return [y.clip(16, 235 - _NOISE_VALUES), u, v]


def _plane(plane: av.video.plane.VideoPlane) -> Pixels:
    lines: Pixels = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)
    return lines[:, : plane.width].copy()


def _frames(video: Video, planes: list[Pixels]) -> Iterator[av.VideoFrame]:
    """A slow pan to and fro that ends where it began, shaken, with fresh noise in every frame."""
    rng = np.random.default_rng(video.width + video.gop)
    count = video.loop_seconds * _FPS
    room = [planes[0].shape[1] - video.width - 8, planes[0].shape[0] - video.height - 8]
    noise = rng.normal(_NOISE_VALUES / 2, 1.2, (video.height + 64, video.width + 64))
    tile = noise.round().clip(0, _NOISE_VALUES).astype(np.uint8)
    for number in range(count):
        turn = 0.5 - 0.5 * np.cos(2 * np.pi * number / count)
        shake = rng.integers(0, 4, 2)
        left, top = (int(r * turn) // 2 * 2 + 2 * int(s) for r, s in zip(room, shake, strict=True))
        frame = av.VideoFrame(video.width, video.height, "yuv420p")
        for index, plane in enumerate(planes):
            scale = 1 if index == 0 else 2
            rows = slice(top // scale, (top + video.height) // scale)
            columns = slice(left // scale, (left + video.width) // scale)
            cut = plane[rows, columns]
            if index == 0:
                down, right = rng.integers(0, 64, 2)
                cut = cut + tile[down : down + video.height, right : right + video.width]
            _fill(frame.planes[index], cut)
        frame.pts, frame.time_base = number, Fraction(1, _FPS)
        yield frame


def _fill(plane: av.video.plane.VideoPlane, pixels: NDArray[np.uint8]) -> None:
    height, width = pixels.shape
    padded = np.zeros((height, plane.line_size), np.uint8)
    padded[:, :width] = pixels
    plane.update(padded.tobytes())


@scheduling_kept()
def _encode(video: Video, planes: list[Pixels], path: Path) -> None:
    with av.open(path, "w", container_options=_LIBRARIES) as container:
        stream = cast(VideoStream, container.add_stream(video.codec, rate=_FPS))
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        coder = stream.codec_context
        coder.options = video.options
        coder.gop_size = video.gop
        coder.bit_rate = video.bit_rate
        coder.time_base = Fraction(1, _FPS)
        coder.colorspace = 1
        if video.codec_tag:
            coder.codec_tag = video.codec_tag
        for frame in _frames(video, planes):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _repeat(video: Video, loop: Path, path: Path) -> None:
    """The packets of the loop, over and over, in the container that the name asks for."""
    options = _LIBRARIES | video.muxing
    with av.open(path, "w", container_options=options) as container:
        stream: VideoStream | None = None
        for number in range(video.seconds // video.loop_seconds):
            with av.open(loop) as source:
                video_in = source.streams.video[0]
                stream = stream or container.add_stream_from_template(video_in, opaque=True)
                assert video_in.time_base is not None
                shift = round(number * video.loop_seconds / video_in.time_base)
                for packet in source.demux(video_in):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    container.mux(packet)
