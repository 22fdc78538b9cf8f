"""Choosing frames: the keyframe at or before a time, and no other.

A keyframe is decoded from its one packet. That is an attempt, whose result is checked. For one
before an edit's start, the first picture shown behind it is decoded instead. For H.264 that
refreshes its picture bit by bit, and for streams cut in the middle, packets are fed one by one from
there until the first good picture, and if none comes the keyframe before is tried.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from av.video.frame import VideoFrame

from farm.engines.pyav_decode import VideoPacket, ticks_of
from farm.engines.pyav_group import Moment
from farm.engines.pyav_read import DemuxingReader
from farm.engines.pyav_reader import Group, Key, Reader
from farm.errors import CorruptError, MediaError, NoFrameError, TruncatedError

MOST_KEYS_BACK = 8
_MOST_PACKETS_TO_A_PICTURE = 600
_REORDER_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Pick:
    """A decoded frame and the indices of the targets that it answers."""

    frame: VideoFrame
    targets: tuple[int, ...]
    warnings: tuple[str, ...] = ()


def part_far(reader: Reader, moments: Sequence[Moment]) -> tuple[list[Moment], list[Moment]]:
    """The moments that their keyframe serves, and those from which it lies too far."""
    near, far = list[Moment](), list[Moment]()
    for moment in moments:
        key = reader.key_at(moment.ticks) if moment.max_drift is not None else None
        drift = moment.ticks - key.ticks if key is not None else 0
        (far if drift > (moment.max_drift or 0) else near).append(moment)
    return near, far


def sure_key_frames(reader: Reader, moments: Sequence[Moment]) -> Iterator[Pick]:
    """The keyframe at or before each of ascending moments, but only where it is sure."""
    for key, targets in _by_key(reader, moments):
        for attempt in (_alone, _behind_hidden):
            frame = attempt(reader, key)
            if frame is not None and not frame.is_corrupt:
                reader.decoding.counts["keyframes"] += 1
                yield Pick(frame, targets)
                break


def key_frames(reader: DemuxingReader, moments: Sequence[Moment]) -> Iterator[Pick]:
    """The keyframe at or before each of ascending moments; those that share one share a Pick."""
    for key, targets in _by_key(reader, moments):
        yield _keyed(reader, key, targets)


def _by_key(
    reader: Reader, moments: Sequence[Moment]
) -> Iterator[tuple[Key | None, tuple[int, ...]]]:
    held: Key | None = None
    targets: list[int] = []
    for moment in moments:
        key = reader.key_at(moment.ticks)
        if targets and _differ(key, held):
            yield held, tuple(targets)
            targets.clear()
        held = key
        targets.append(moment.target)
    if targets:
        yield held, tuple(targets)


def _differ(one: Key | None, other: Key | None) -> bool:
    if one is None or other is None:
        return one is not other
    return one.ticks != other.ticks


def _keyed(reader: DemuxingReader, key: Key | None, targets: tuple[int, ...]) -> Pick:
    damaged: VideoFrame | None = None
    for _ in range(MOST_KEYS_BACK):
        for attempt in (_alone, _behind_hidden, _among):
            frame = attempt(reader, key)
            if frame is not None and not frame.is_corrupt:
                reader.decoding.counts["keyframes"] += 1
                return Pick(frame, targets)
            damaged = damaged or frame
        before = key_before(reader, key)
        if before is None:
            break
        key = before
    if damaged is None:
        raise no_frame(reader)
    return Pick(damaged, targets, ("salvaged",))


def key_before(reader: Reader, key: Key | None) -> Key | None:
    """The keyframe presented before another; None where there is none."""
    before = reader.key_at(key.ticks - 1) if key is not None else None
    return before if before is not None and key is not None and before.ticks < key.ticks else None


def _alone(reader: Reader, key: Key | None) -> VideoFrame | None:
    """The picture of a keyframe's packet, with that of its second field where it may have one."""
    if key is None or not key.is_whole:
        return None
    packet = key.packet or next(reader.packets_from(key), None)
    frames = list(reader.decoding.play(iter([packet]))) if packet is not None else []
    if frames and frames[0].interlaced_frame:
        frames = list(reader.decoding.play(islice(reader.packets_from(key), 2)))
    return next((frame for frame in frames if frame.pts in (None, key.ticks)), None)


def _behind_hidden(reader: Reader, key: Key | None) -> VideoFrame | None:
    """The first picture shown after a keyframe that is not, as where an edit begins behind it."""
    if key is None or key.is_whole:
        return None
    group = reader.group_at([Moment(key.ticks, 0)])
    picks = planned_frames(reader, group) if group is not None else iter(())
    return next((pick.frame for pick in picks), None)


def planned_frames(reader: Reader, group: Group) -> Iterator[Pick]:
    """The frames of a plan that come out whole."""
    decoding, plan, found = reader.decoding, group.plan, set[int]()
    count = plan.stop - plan.start
    last = group.packets[count - 1].pts
    packets = group.packets[: count + decoding.has_lone_fields]
    for frame in decoding.play_wanted(packets, plan.wanted.keys()):
        targets = plan.wanted.get(ticks_of(frame))
        if targets is None or frame.is_corrupt or not found.isdisjoint(targets):
            continue
        if frame.interlaced_frame and frame.pts == last and not decoding.has_lone_fields:
            # In H.264 the other field may have a packet of its own, behind the last one fed.
            decoding.has_lone_fields = decoding.codec == "h264"
            if decoding.has_lone_fields:
                continue
        found.update(targets)
        yield Pick(frame, targets)


def _among(reader: DemuxingReader, key: Key | None) -> VideoFrame | None:
    """The first good picture of a keyframe's group, or of the file's start for None."""
    floor = reader.first_ticks
    if key is not None:
        floor = key.ticks if floor is None else max(key.ticks, floor)
    damaged = None
    for frame in reader.play(_group(reader, key)):
        if floor is not None and ticks_of(frame) < floor:
            continue
        if not frame.is_corrupt:
            return frame
        damaged = damaged or frame
    return damaged


def _group(reader: DemuxingReader, key: Key | None) -> Iterator[VideoPacket]:
    """Packets from a keyframe to the next, and on as far as reordering may reach."""
    left = _MOST_PACKETS_TO_A_PICTURE
    for index, packet in enumerate(reader.packets_from(key)):
        if left <= 0:
            return
        if index and packet.is_keyframe and key is not None:
            left = min(left, _REORDER_DEPTH)
        left -= 1
        yield packet


def no_frame(reader: Reader) -> MediaError:
    """The error for a stream that gives no frame at all."""
    decoding = reader.decoding
    if decoding.damage:
        return CorruptError(f"{reader.name}: no frame could be decoded: {decoding.damage}")
    if not decoding.counts["packets_read"]:
        return TruncatedError(f"{reader.name}: the file ends before the first frame")
    return NoFrameError(f"{reader.name}: its video stream gives no frame")
