"""Which moments of a source are wanted: positions and counts become targets, without any pixel."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from farm.media import MediaInfo, MediaKind
from farm.position import Position, PositionUnit, parse_position
from farm.spec import DEFAULT_POSITION, Accuracy, PictureSpec, StoryboardSpec, ThumbnailSpec

DURATION_UNKNOWN = "duration_unknown"
POSITION_PAST_END = "position_past_end"
POSITION_BEFORE_START = "position_before_start"

ALWAYS_SECONDS = 86_400.0
"""The end of a cue that holds at all times: no video that players show is longer."""

# WebVTT counts in milliseconds: what is nearer to the end than half of one has no cue.
_INSTANT_SECONDS = 0.0005
_DEFAULT_POSITION = Position(**parse_position(DEFAULT_POSITION))


@dataclass(frozen=True, slots=True)
class Target:
    """One wanted moment: a pts in seconds, or a frame number where `frame` is not None.

    `frame` counts from 0 in order of presentation; -1 is the last one. Beside a frame number,
    `seconds` is only an estimate. A keyframe that lies more than `max_drift_seconds` before the
    moment does not serve: then it is the exact frame that is wanted.
    """

    seconds: float
    accuracy: Accuracy
    frame: int | None = None
    max_drift_seconds: float | None = None


class Span(NamedTuple):
    """A half-open stretch of a video, in seconds after its first frame is shown."""

    start_seconds: float
    end_seconds: float


def make_targets(
    spec: ThumbnailSpec, info: MediaInfo
) -> tuple[tuple[Target, ...], tuple[str, ...]]:
    """The moments that an output asks of a source, ascending, and warnings about them.

    A still has one moment, whatever is asked. A position outside the video is moved to its first
    or last moment, with a warning. Where the length is unknown, what depends on it becomes the
    first moment, with a warning; a count then becomes that one moment, because the same picture N
    times over serves nobody.
    """
    if info.kind is MediaKind.IMAGE:
        return (Target(0.0, spec.accuracy),), ()
    duration = _duration(info)
    if spec.count is None:
        position = spec.position or _DEFAULT_POSITION
        if position.unit is PositionUnit.FRAME:
            target, warning = _frame_target(position, info)
        else:
            offset, warning = _offset(position, duration, info.average_fps)
            target = _target(spec, info.start_seconds + offset)
        return (target,), (warning,) if warning else ()
    if not duration:
        return (_target(spec, info.start_seconds),), (DURATION_UNKNOWN,)
    offsets = ((i + 0.5) / spec.count * duration for i in range(spec.count))
    return tuple(_target(spec, info.start_seconds + offset) for offset in offsets), ()


def count_moments(spec: ThumbnailSpec | StoryboardSpec, info: MediaInfo) -> int:
    """How many pictures an output has of a source, at least one."""
    duration = 0.0 if info.kind is MediaKind.IMAGE else _duration(info)
    if not duration:
        return 1
    if isinstance(spec, ThumbnailSpec) or spec.interval is None:
        return spec.count or 1
    return max(1, math.ceil((duration - _INSTANT_SECONDS) / spec.interval))


def make_spans(
    spec: StoryboardSpec, info: MediaInfo
) -> tuple[tuple[Target, ...], tuple[Span, ...], tuple[str, ...]]:
    """The moments of a storyboard, the stretch that each stands for, and warnings.

    Stretches begin at 0, follow each other without gaps and end with the video. An `interval` gives
    the first moment of each stretch, a `count` the middle one. A still, and a video of unknown
    length, which warns, has one picture that stands for all times.
    """
    if info.kind is MediaKind.IMAGE:
        return (Target(0.0, spec.accuracy),), (Span(0.0, ALWAYS_SECONDS),), ()
    duration, count = _duration(info), count_moments(spec, info)
    if not duration:
        target = _target(spec, info.start_seconds)
        return (target,), (Span(0.0, ALWAYS_SECONDS),), (DURATION_UNKNOWN,)
    if spec.interval is None:
        edges = [i * duration / count for i in range(count)]
        offsets = [(i + 0.5) / count * duration for i in range(count)]
    else:
        edges = offsets = [i * spec.interval for i in range(count)]
    targets = tuple(_target(spec, info.start_seconds + offset) for offset in offsets)
    spans = tuple(Span(*ends) for ends in zip(edges, [*edges[1:], duration], strict=True))
    return targets, spans, ()


def _target(spec: PictureSpec, seconds: float) -> Target:
    return Target(seconds, spec.accuracy, max_drift_seconds=spec.max_drift)


def _duration(info: MediaInfo) -> float:
    """The length in seconds, from the frame count where the stream does not tell; 0: unknown."""
    if info.duration_seconds > 0:
        return info.duration_seconds
    if info.average_fps > 0 and info.frame_count > 1:
        return info.frame_count / info.average_fps
    return 0.0


def _last_offset(duration: float, fps: float) -> float:
    """A moment at which the last frame is shown: half an average frame before the end."""
    half_frame = 0.5 / fps if fps > 0 else 0.0
    return duration - half_frame if 0 < half_frame < duration else duration * (1 - 1e-6)


def _offset(position: Position, duration: float, fps: float) -> tuple[float, str | None]:
    """Seconds after the first frame, and a warning where it is not the asked moment.

    The end itself, such as `100%`, stands for the last moment and is no cause for a warning.
    """
    fraction = position.unit is PositionUnit.FRACTION
    if not duration:
        unknown = fraction or position.from_end
        return (0.0, DURATION_UNKNOWN) if unknown else (position.value, None)
    offset = position.value * duration if fraction else position.value
    if position.from_end:
        offset = duration - offset
    if offset < 0:
        return 0.0, POSITION_BEFORE_START
    if offset >= duration:
        return _last_offset(duration, fps), POSITION_PAST_END if offset > duration else None
    return offset, None


def _frame_target(position: Position, info: MediaInfo) -> tuple[Target, str | None]:
    """The target of a frame number, always exact: who counts frames means that very one.

    The decoder counts them: no header is trusted here.
    """
    number, warning = int(position.value), None
    if position.from_end:
        # Frame 1 from the end is the last one, so frame 0 lies behind it.
        warning = POSITION_PAST_END if number == 0 else None
        number = -max(1, number)
    estimate, duration = 0.0, _duration(info)
    if info.average_fps > 0:
        estimate = number / info.average_fps + (duration if number < 0 else 0.0)
        last = _last_offset(duration, info.average_fps) if duration else estimate
        estimate = min(max(0.0, estimate), last)
    return Target(info.start_seconds + max(0.0, estimate), Accuracy.EXACT, number), warning
