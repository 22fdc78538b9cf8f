"""Encodes one video of the archive: a moving card, tagged and timed as its recipe says."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from farm.geometry import Size
from farm.samples.card import Card, timecode
from farm.samples.sample import Patches, Sample
from farm.samples.scheduling import scheduling_kept
from farm.samples.yuv import Coding, tag, to_frame

_AUDIO_RATE = 48_000
_AUDIO_CHUNK = 1024
# The matrix lies 40 bytes behind the name of an mp4 `tkhd` box (ISO/IEC 14496-12, 8.3.2).
_TKHD_MATRIX_OFFSET = 4 + 40
_ORIENTATIONS = {0: 1, 90: 6, 180: 3, 270: 8}
_ROTATIONS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}

_DECODED_NAMES = {
    "libx264": "h264",
    "libx265": "hevc",
    "libvpx": "vp8",
    "libvpx-vp9": "vp9",
    "libsvtav1": "av1",
    "prores_ks": "prores",
    "flv": "flv1",
}

_CONTAINERS = {"mkv": "matroska", "ts": "mpegts", "mpg": "mpeg"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one video is made.

    `size` is the coded size; `rotation` the clockwise degrees that a player turns it by (mp4 only).
    `start_seconds` is the time of the first frame; below 0 the mp4 muxer hides what lies before 0
    by an edit list. `cadence` are frame durations in milliseconds, used in turn.
    """

    name: str
    codec: str
    note: str
    size: Size = Size(640, 360)
    frames: int = 75
    fps: int = 25
    gop: int = 25
    b_frames: int = 0
    coding: Coding = Coding()
    options: dict[str, str] = field(default_factory=dict)
    muxing: dict[str, str] = field(default_factory=dict)
    bit_rate: int | None = None
    codec_tag: str | None = None
    pixel_aspect: Fraction = Fraction(1)
    rotation: int = 0
    start_seconds: int = 0
    cadence: tuple[int, ...] = ()
    has_audio: bool = False
    tolerance: int = 5
    seed: int = 0


@scheduling_kept()
def make_clip(recipe: Recipe) -> bytes:
    """The bytes of the video."""
    file = io.BytesIO()
    # Without bitexact, Matroska would carry random ids.
    options = {"fflags": "+bitexact", **recipe.muxing}
    with av.open(file, "w", format=_container(recipe.name), container_options=options) as container:
        video = _add_video(container, recipe)
        audio = container.add_stream("aac", rate=_AUDIO_RATE) if recipe.has_audio else None
        for frame in _draw_frames(recipe):
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio:
            for chunk in make_tone(recipe.frames / recipe.fps):
                container.mux(audio.encode(chunk))
            container.mux(audio.encode())
    return _turn(file.getvalue(), recipe.rotation)


def describe(recipe: Recipe, folder: str) -> Sample:
    """What a reader must find in the video."""
    times = _pts_milliseconds(recipe)
    shown_width = round(recipe.size.width * recipe.pixel_aspect)
    shown = (shown_width, recipe.size.height)
    hidden = max(0, -recipe.start_seconds * recipe.fps)
    last_milliseconds = recipe.cadence[-1] if recipe.cadence else 1000 // recipe.fps
    return Sample(
        path=f"{folder}/{recipe.name}",
        kind="video",
        codec=_DECODED_NAMES.get(recipe.codec, recipe.codec),
        width=recipe.size.width,
        height=recipe.size.height,
        shown_width=shown[recipe.rotation % 180 == 90],
        shown_height=shown[recipe.rotation % 180 != 90],
        orientation=_ORIENTATIONS[recipe.rotation],
        pixel_aspect=round(float(recipe.pixel_aspect), 6),
        first_number=hidden,
        patches=Patches.COLOR,
        patch_tolerance=recipe.tolerance,
        start_seconds=None
        if recipe.name.endswith((".ts", ".mpg"))
        else float(max(0, recipe.start_seconds)),
        duration_seconds=(times[-1] + last_milliseconds - times[0]) / 1000
        + min(0, recipe.start_seconds),
        fps=0.0 if recipe.cadence else float(recipe.fps),
        frame_count=recipe.frames - hidden,
        frame_seconds=tuple(time / 1000 for time in times) if recipe.cadence else (),
        note=recipe.note,
    )


def make_tone(seconds: float) -> Iterator[av.AudioFrame]:
    """A quiet tone of 440 Hz, mono, as frames to encode."""
    for start in range(0, round(seconds * _AUDIO_RATE), _AUDIO_CHUNK):
        moments = np.arange(start, start + _AUDIO_CHUNK) / _AUDIO_RATE
        wave = (0.1 * np.sin(2 * np.pi * 440 * moments)).astype(np.float32)
        chunk = av.AudioFrame.from_ndarray(wave[None], "fltp", "mono")
        chunk.sample_rate, chunk.pts, chunk.time_base = _AUDIO_RATE, start, Fraction(1, _AUDIO_RATE)
        yield chunk


def _container(name: str) -> str:
    suffix = name.rpartition(".")[2]
    return _CONTAINERS.get(suffix, suffix)


def _add_video(container: OutputContainer, recipe: Recipe) -> VideoStream:
    stream = cast(VideoStream, container.add_stream(recipe.codec, rate=recipe.fps))
    stream.width, stream.height = recipe.size
    stream.pix_fmt = recipe.coding.pixel_format
    coder = stream.codec_context
    # One thread keeps the bytes the same on every machine.
    coder.thread_count = 1
    coder.options = recipe.options
    coder.gop_size = recipe.gop
    coder.max_b_frames = recipe.b_frames
    coder.time_base = _time_base(recipe)
    coder.sample_aspect_ratio = recipe.pixel_aspect
    if recipe.bit_rate:
        coder.bit_rate = recipe.bit_rate
    if recipe.codec_tag:
        coder.codec_tag = recipe.codec_tag
    tag(coder, recipe.coding)
    return stream


def _time_base(recipe: Recipe) -> Fraction:
    return Fraction(1, 1000 if recipe.cadence else recipe.fps)


def _pts_milliseconds(recipe: Recipe) -> list[int]:
    cadence = recipe.cadence or (1000 // recipe.fps,)
    times = [recipe.start_seconds * 1000]
    for number in range(recipe.frames - 1):
        times.append(times[-1] + cadence[number % len(cadence)])
    return times


def _draw_frames(recipe: Recipe) -> Iterator[av.VideoFrame]:
    quarter_turns = recipe.rotation // 90
    size, aspect = recipe.size, float(recipe.pixel_aspect)
    if quarter_turns % 2:
        size = Size(size.height, size.width)
    card = Card(size, pixel_aspect=aspect, seed=recipe.seed)
    time_base = _time_base(recipe)
    for number, milliseconds in enumerate(_pts_milliseconds(recipe)):
        picture = card.draw(number, timecode(max(0, milliseconds) / 1000, number))
        # numpy turns counter-clockwise: what the player's clockwise turn undoes.
        frame = to_frame(np.rot90(picture, quarter_turns, axes=(1, 2)), recipe.coding)
        frame.pts = round(Fraction(milliseconds, 1000) / time_base)
        frame.time_base = time_base
        yield frame


def _turn(data: bytes, rotation: int) -> bytes:
    """The mp4 with its track's display matrix set to a clockwise rotation."""
    if not rotation:
        return data
    start = data.index(b"tkhd") + _TKHD_MATRIX_OFFSET
    a, b, c, d = (entry << 16 for entry in _ROTATIONS[rotation])
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    packed = b"".join(entry.to_bytes(4, "big", signed=True) for entry in matrix)
    return data[:start] + packed + data[start + len(packed) :]
