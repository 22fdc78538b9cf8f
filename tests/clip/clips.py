"""Sources to make clips of, and what a made clip shows and sounds like."""

import io
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
from PIL import Image

from farm.clip import Clip, make_clip
from farm.engines import Source
from farm.media import MediaFormat
from farm.samples import clip as sample
from farm.samples.card import read_frame_number
from farm.samples.clip import Recipe
from farm.settings import Limits
from farm.sniff import sniff
from farm.spec import ClipSpec

FAST = {"preset": "superfast", "crf": "25"}
PLAIN = Recipe("a.mp4", "libx264", "", options=FAST, b_frames=2, has_audio=True)
"""75 frames of 640x360, 25 a second, a keyframe each second, a tone."""


@cache
def plain() -> bytes:
    """The bytes of `PLAIN`."""
    return sample.make_clip(PLAIN)


def file_of(**changes: Any) -> bytes:
    """The bytes of `PLAIN`, changed."""
    return sample.make_clip(replace(PLAIN, **changes)) if changes else plain()


def make(data: bytes, *, limits: Limits | None = None, **spec: Any) -> Clip:
    """A clip of a file."""
    source = Source(io.BufferedReader(io.BytesIO(data)), len(data), "a.mp4")
    asked = ClipSpec(kind="clip", **spec)
    return make_clip(source, asked, media_format=format_of(data), limits=limits or Limits())


def format_of(data: bytes) -> MediaFormat:
    return sniff(data[:4096], name="a")


@dataclass(frozen=True)
class Seen:
    """What a player gets of a clip, by libavformat and its decoders."""

    pictures: list[Image.Image]
    seconds: list[float]
    is_key: list[bool]
    length_seconds: float
    sound: np.ndarray | None
    sound_seconds: float

    @property
    def numbers(self) -> list[int]:
        """The number that each picture carries."""
        return [read_frame_number(picture) for picture in self.pictures]


def see(data: bytes) -> Seen:
    """Decodes a clip; fails where it is damaged."""
    with av.open(io.BytesIO(data)) as container:
        video = container.streams.video[0]
        base = video.time_base
        frames = list(container.decode(video))
        length = float((video.duration or 0) * base)
    sound, sound_length = hear(data)
    return Seen(
        pictures=[frame.to_image() for frame in frames],
        seconds=[float(frame.pts * base) for frame in frames],
        is_key=[frame.key_frame for frame in frames],
        length_seconds=length,
        sound=sound,
        sound_seconds=sound_length,
    )


def hear(data: bytes) -> tuple[np.ndarray | None, float]:
    """The samples of the left channel, laid where their times say, and the stream's length."""
    with av.open(io.BytesIO(data)) as container:
        if not container.streams.audio:
            return None, 0.0
        stream = container.streams.audio[0]
        length = float((stream.duration or 0) * stream.time_base)
        made = np.zeros(round((length + 1) * stream.rate), np.float32)
        for frame in container.decode(stream):
            at = round(frame.pts * frame.time_base * stream.rate)
            samples = frame.to_ndarray()[0]
            made[at : at + len(samples)] = samples
        return made[: round(length * stream.rate)], length


def clicking(
    container: str,
    *,
    clicks: tuple[float, ...],
    codec: str = "aac",
    rate: int = 48_000,
    layout: str = "stereo",
    seconds: float = 3.0,
    sound_from: float = 0.0,
    sound_to: float = 3.0,
) -> bytes:
    """A video that flashes white for a frame at each of `clicks`, which can be heard as well."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as made:
        video = made.add_stream("libx264", rate=25, options=FAST)
        video.width, video.height, video.pix_fmt = 160, 90, "yuv420p"
        video.codec_context.gop_size = 25
        audio = made.add_stream(codec, rate=rate, layout=layout)
        for number in range(round(seconds * 25)):
            white = any(abs(number / 25 - click) < 0.02 for click in clicks)
            level = 235 if white else 16
            planes = np.full((135, 160), 128, np.uint8)
            planes[:90] = level
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            made.mux(video.encode(frame))
        made.mux(video.encode())
        moments = np.arange(round(seconds * rate)) / rate
        wave = sum(np.exp(-np.abs(moments - click) * 2000) for click in clicks)
        wave = np.asarray(0.9 * wave * np.sin(2 * np.pi * 1000 * moments), np.float32)
        first, last = round(sound_from * rate), round(sound_to * rate)
        for start in range(first, last, 1024):
            part = wave[start : min(start + 1024, last)]
            channels = av.AudioLayout(layout).nb_channels
            chunk = av.AudioFrame.from_ndarray(np.tile(part, (channels, 1)), "fltp", layout)
            chunk.sample_rate, chunk.pts, chunk.time_base = rate, start, Fraction(1, rate)
            made.mux(audio.encode(chunk))
        made.mux(audio.encode())
    return file.getvalue()
