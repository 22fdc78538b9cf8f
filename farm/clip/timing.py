"""When the pictures of a clip are shown: cut out of the source's time, and at an even rate."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

_T = TypeVar("_T")

# What containers with a coarse clock round by; a clock as coarse as its frames rounds nothing.
_MOST_ROUNDING_SECONDS = Fraction(1, 1000)
_LEAST_RATE = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class Shown(Generic[_T]):
    """A picture that is shown from the tick `begin` up to the tick `end`."""

    picture: _T
    begin: int
    end: int


def exact_rate(framerate: float) -> Fraction:
    """The pictures per second that people mean: 29.97 stands for 30000/1001.

    So do all numbers within 0.005 of a whole rate divided by 1.001 (SMPTE ST 12-1), but for whole
    ones. The others are what they say, in thousandths, and at least one thousandth.
    """
    nominal = round(framerate * 1.001)
    slowed = Fraction(nominal * 1000, 1001)
    if nominal and framerate != nominal and abs(framerate - slowed) < 0.005:
        return slowed
    return max(_LEAST_RATE, Fraction(framerate).limit_denominator(1000))


def cut(frames: Iterable[Shown[_T]], *, start: int, end: int | None) -> Iterator[Shown[_T]]:
    """The frames shown from `start` up to `end`, None for the last one's, counted from `start`.

    The first is the frame shown at `start`, or where there is none yet the first after it; each is
    shown until the next begins, so that only the `end` of the last of `frames` counts. A frame that
    begins no later than the one before it is left out. Nothing where the last ends by `start`.
    """
    held: Shown[_T] | None = None
    since = start
    for frame in frames:
        if held is None or frame.begin <= start:
            held = frame
        elif frame.begin > since:
            until = frame.begin if end is None else min(frame.begin, end)
            yield Shown(held.picture, since - start, until - start)
            held, since = frame, until
            if end == until:
                return
    if held is not None and held.end > since:
        until = held.end if end is None else min(held.end, end)
        yield Shown(held.picture, since - start, until - start)


def paced(
    frames: Iterable[Shown[_T]], *, time_base: Fraction, rate: Fraction
) -> Iterator[Shown[_T]]:
    """The pictures at an even rate, by the ticks of that rate: k is the one at k / `rate` seconds.

    `frames` follow each other without a gap from tick 0 on; those that no moment falls on are left
    out. Since containers round their times, a picture counts as shown half a tick early. At least
    one is kept, where there are any.
    """
    early = min(time_base / 2, _MOST_ROUNDING_SECONDS)
    begin = 0
    frame: Shown[_T] | None = None
    for frame in frames:
        end = math.ceil((frame.end * time_base - early) * rate)
        if end > begin:
            yield Shown(frame.picture, begin, end)
            begin = end
    if frame is not None and begin == 0:
        yield Shown(frame.picture, 0, 1)
