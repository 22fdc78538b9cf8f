"""Planning which packets of a group of pictures must be decoded for wanted moments, and no more."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from farm.sampling import Target


class Moment(NamedTuple):
    """A wanted time in ticks, the index of the target that wants it, and how old a key may be."""

    ticks: int
    target: int
    max_drift: int | None = None


def moment_of(target: Target, index: int, time_base: Fraction) -> Moment:
    """The moment of a target that tells seconds."""
    drift = target.max_drift_seconds
    return Moment(
        _ticks_at(target.seconds, time_base),
        index,
        None if drift is None else _ticks_at(drift, time_base),
    )


def _ticks_at(seconds: float, time_base: Fraction) -> int:
    """The last tick at or before a time, forgiving what a float loses."""
    return math.floor(Fraction(seconds) / time_base + Fraction(1, 100))


class Timing(NamedTuple):
    """What the container tells of one packet; times are in ticks."""

    pts: int | None
    dts: int | None
    is_key: bool
    is_discard: bool


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """The answers to `moments` of the moments asked for, out of one group.

    `wanted` tells for each wanted pts the targets that it answers. The packets to decode are those
    from number `start` up to `stop`, counted from the first that was looked at.
    """

    wanted: dict[int, tuple[int, ...]]
    start: int
    stop: int
    moments: int


def plan_group(
    timings: Iterable[Timing], moments: Sequence[Moment], *, leaps: Callable[[int, int], bool]
) -> GroupPlan | None:
    """Plans ascending moments from a keyframe on, looking at no more packets than it must.

    A moment is settled by a packet that is decoded after it, since none behind can be shown
    earlier. A moment that a later keyframe serves is left to that keyframe's group;
    `leaps(dts, ticks)` tells where such a one lies between, before it is met. None where the times
    are missing or out of order: then only decoded frames can tell.
    """
    seen: list[tuple[int, bool]] = []
    start = answered = 0
    floor: int | None = None
    last_dts: int | None = None
    for number, (pts, dts, is_key, is_discard) in enumerate(timings):
        if pts is None or dts is None or pts < dts or (last_dts is not None and dts < last_dts):
            return None
        last_dts = dts
        if is_key and seen and pts <= moments[answered].ticks:
            if answered:
                break
            start, floor = number, None
            seen.clear()
        seen.append((pts, is_discard))
        if not is_discard and pts >= seen[0][0]:
            floor = pts if floor is None else min(floor, pts)
        settled = _settled(moments, answered, floor, dts)
        answered, moved = settled, settled > answered
        if answered == len(moments) or (moved and leaps(dts, moments[answered].ticks)):
            break
    else:
        answered = len(moments)
    return _plan(seen, moments[:answered], start)


def _settled(moments: Sequence[Moment], answered: int, floor: int | None, dts: int) -> int:
    """How many moments no packet decoded after `dts` can answer any better."""
    if floor is None:
        return answered
    while answered < len(moments) and max(moments[answered].ticks, floor) < dts:
        answered += 1
    return answered


def _plan(
    seen: Sequence[tuple[int, bool]], moments: Sequence[Moment], start: int
) -> GroupPlan | None:
    shown = sorted(
        (pts, number)
        for number, (pts, is_discard) in enumerate(seen)
        if not is_discard and pts >= seen[0][0]
    )
    times = [pts for pts, _ in shown]
    # Fields in packets of their own may share a time.
    if not shown or len(set(times)) < len(times):
        return None
    wanted: dict[int, tuple[int, ...]] = {}
    last = 0
    for moment in moments:
        pts, number = shown[max(0, bisect_right(times, moment.ticks) - 1)]
        wanted[pts] = (*wanted.get(pts, ()), moment.target)
        last = max(last, number)
    return GroupPlan(wanted, start, start + last + 1, len(moments))
