"""Clips: a part of a video as a small video of its own, made by PyAV alone."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from av.video.frame import VideoFrame

from farm.clip.canvas import Canvas
from farm.clip.footage import Footage, Span
from farm.clip.movie import Movie, check_encoder, crf_of
from farm.clip.timing import Shown, cut, exact_rate, paced
from farm.engines import Source
from farm.engines.pyav_open import check_duration
from farm.errors import UnsupportedFormatError
from farm.media import MediaFormat, MediaInfo, MediaKind
from farm.settings import Limits
from farm.spec import ClipSpec

__all__ = ["Clip", "crf_of", "exact_rate", "make_clip"]


@dataclass(frozen=True, slots=True)
class Clip:
    """One finished clip: the bytes of an MP4 and what is known of it.

    `pts_seconds` is the source's own time at the clip's start.
    """

    data: bytes
    width: int
    height: int
    duration_seconds: float
    pts_seconds: float
    info: MediaInfo
    warnings: tuple[str, ...]
    notes: dict[str, int | float | str]


def make_clip(source: Source, spec: ClipSpec, *, media_format: MediaFormat, limits: Limits) -> Clip:
    """Makes one clip: H.264 of 4:2:0 and BT.709 with AAC, in an MP4 whose index comes first.

    Its first picture is the one shown at `start`, at time 0; sound and pictures stay as far apart
    as they were. Without a `framerate` each picture keeps its time and its length. Raises
    UnsupportedFormatError for a still, NoVideoStreamError, NoFrameError where `start` lies past the
    end, LimitError past `limits.duration_seconds` or `limits.clip_bytes`, EngineUnavailableError
    where PyAV encodes no H.264, EncodeError, and the MediaErrors of the `pyav` engine.
    """
    if media_format.kind is not MediaKind.VIDEO:
        raise UnsupportedFormatError(
            f"{source.name}: clips are made of videos; this is {media_format.name}, "
            f"{media_format.kind.value}"
        )
    check_encoder()
    opened = Footage(source, media_format=media_format, limits=limits, with_sound=spec.audio)
    with closing(opened) as footage:
        return _record(footage, spec, limits)


def _record(footage: Footage, spec: ClipSpec, limits: Limits) -> Clip:
    span = footage.span(spec)
    rate = None if spec.framerate is None else exact_rate(spec.framerate)
    time_base = footage.time_base if rate is None else 1 / rate
    pictures = _pictures(footage, span, rate)
    first = next(pictures, None)
    if first is None:
        raise footage.no_frame(spec)
    canvas = Canvas(spec, footage.batch_of(first.picture), limits=limits)
    seconds = Fraction(0)
    with Movie(
        canvas.size,
        time_base=time_base,
        rate=rate or footage.rate,
        quality=spec.quality,
        keyframe_interval=spec.keyframe_interval,
        has_sound=footage.sound is not None,
        most_bytes=limits.clip_bytes,
    ) as movie:
        for shown in chain((first,), pictures):
            seconds = shown.end * time_base
            check_duration(float(seconds), name=footage.name, limits=limits)
            frame = canvas.paint(footage.batch_of(shown.picture))
            step = shown.end - shown.begin if rate is None else 1
            for begin in range(shown.begin, shown.end, step):
                movie.add_picture(frame, begin=begin, end=begin + step)
            movie.add_sound(footage.sound_up_to(seconds))
        movie.add_sound(footage.last_sound(seconds))
        data = movie.finish()
    return Clip(
        data=data,
        width=canvas.size.width,
        height=canvas.size.height,
        duration_seconds=float(seconds),
        pts_seconds=float(span.start * footage.time_base),
        info=footage.info,
        warnings=footage.warnings,
        notes={
            **footage.notes,
            **footage.counts,
            "clip_frames": movie.pictures,
            "clip_seconds": round(float(seconds), 3),
        },
    )


def _pictures(footage: Footage, span: Span, rate: Fraction | None) -> Iterator[Shown[VideoFrame]]:
    """The frames of a clip by the ticks at which they are shown, those of `rate` where it has one.

    Without one that is the source's clock; with one a frame's ticks are its pictures in the clip.
    """
    frames = cut(footage.frames(span), start=span.start, end=span.end)
    if rate is None:
        return frames
    return paced(frames, time_base=footage.time_base, rate=rate)
