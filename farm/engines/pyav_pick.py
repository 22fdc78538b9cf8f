"""Choosing frames: the keyframe at or before a time, or the very frame shown at it, and no other.

A keyframe is decoded from its one packet. That is an attempt, whose result is checked. It fails for
a keyframe before an edit's start, for H.264 that refreshes its picture bit by bit, and for streams
cut in the middle. Then packets are fed one by one from there until the first good picture, and if
none comes the keyframe before is tried.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from av.video.frame import VideoFrame

from farm.engines.pyav_read import Key, Reader, VideoPacket, ticks_of
from farm.errors import CorruptError, MediaError, NoFrameError, TruncatedError

_MOST_KEYS_BACK = 8
_MOST_PACKETS_TO_A_PICTURE = 600
_REORDER_DEPTH = 16


class Moment(NamedTuple):
    """A wanted time in ticks, and the index of the target that wants it."""

    ticks: int
    target: int


@dataclass(frozen=True, slots=True)
class Pick:
    """A decoded frame and the indices of the targets that it answers."""

    frame: VideoFrame
    targets: tuple[int, ...]
    warnings: tuple[str, ...] = ()


def key_frames(reader: Reader, moments: Sequence[Moment]) -> Iterator[Pick]:
    """The keyframe at or before each of ascending moments; those that share one share a Pick."""
    held: Key | None = None
    targets: list[int] = []
    for moment in moments:
        key = reader.key_at(moment.ticks)
        if targets and _differ(key, held):
            yield _keyed(reader, held, tuple(targets))
            targets.clear()
        held = key
        targets.append(moment.target)
    if targets:
        yield _keyed(reader, held, tuple(targets))


def _differ(one: Key | None, other: Key | None) -> bool:
    if one is None or other is None:
        return one is not other
    return one.ticks != other.ticks


def _keyed(reader: Reader, key: Key | None, targets: tuple[int, ...]) -> Pick:
    damaged: VideoFrame | None = None
    for _ in range(_MOST_KEYS_BACK):
        for attempt in (_alone, _among):
            frame = attempt(reader, key)
            if frame is not None and not frame.is_corrupt:
                reader.counts["keyframes"] += 1
                return Pick(frame, targets)
            damaged = damaged or frame
        before = reader.key_at(key.ticks - 1) if key is not None else None
        if before is None or key is None or before.ticks >= key.ticks:
            break
        key = before
    if damaged is None:
        raise _no_frame(reader)
    return Pick(damaged, targets, ("corrupt_frame",))


def _alone(reader: Reader, key: Key | None) -> VideoFrame | None:
    """The picture of a keyframe's packet, with that of its second field where it may have one."""
    if key is None or key.packet.is_discard or key.packet.is_corrupt:
        return None
    frames = _drained(reader, [key.packet])
    if frames and frames[0].interlaced_frame:
        frames = _drained(reader, list(islice(reader.packets_from(key), 2)))
    return next((frame for frame in frames if _is_at(frame, key)), None)


def _is_at(frame: VideoFrame, key: Key) -> bool:
    return frame.pts is None or frame.pts == key.ticks


def _drained(reader: Reader, packets: Sequence[VideoPacket]) -> list[VideoFrame]:
    reader.flush()
    frames = [frame for packet in packets for frame in reader.decode(packet)]
    frames += reader.decode(None)
    reader.flush()
    return frames


def _among(reader: Reader, key: Key | None) -> VideoFrame | None:
    """The first good picture of a keyframe's group, or of the file's start for None."""
    floor = reader.first_ticks
    if key is not None:
        floor = key.ticks if floor is None else max(key.ticks, floor)
    damaged = None
    for frame in reader.play_packets(_group(reader, key)):
        if floor is not None and ticks_of(frame) < floor:
            continue
        if not frame.is_corrupt:
            return frame
        damaged = damaged or frame
    return damaged


def _group(reader: Reader, key: Key | None) -> Iterator[VideoPacket]:
    """Packets from a keyframe to the next, and on as far as reordering may reach."""
    left = _MOST_PACKETS_TO_A_PICTURE
    for index, packet in enumerate(reader.packets_from(key)):
        if left <= 0:
            return
        if index and packet.is_keyframe and key is not None:
            left = min(left, _REORDER_DEPTH)
        left -= 1
        yield packet


def exact_frames(reader: Reader, moments: Sequence[Moment]) -> Iterator[Pick]:
    """The frame shown at each moment, in one pass over ascending moments."""
    playhead = _Playhead(reader)
    held: VideoFrame | None = None
    targets: list[int] = []
    for moment in moments:
        frame = playhead.frame_at(moment.ticks)
        if held is not None and frame is not held:
            yield _exact(held, tuple(targets))
            targets.clear()
        held = frame
        targets.append(moment.target)
    if held is not None:
        yield _exact(held, tuple(targets))


def _exact(frame: VideoFrame, targets: tuple[int, ...]) -> Pick:
    return Pick(frame, targets, ("corrupt_frame",) if frame.is_corrupt else ())


class _Playhead:
    """Plays forward through ascending times, and jumps where a keyframe lies in between."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._frames: Iterator[VideoFrame] | None = None
        self._shown: VideoFrame | None = None
        self._ahead: VideoFrame | None = None

    def frame_at(self, ticks: int) -> VideoFrame:
        """The frame last presented at or before `ticks`, else the first of all."""
        if self._frames is None or self._should_jump(ticks):
            return self._jump(ticks)
        self._advance(ticks)
        if self._shown is None:
            return self._jump(ticks)
        return self._shown

    def _should_jump(self, ticks: int) -> bool:
        if self._ahead is None or ticks < ticks_of(self._ahead):
            return False
        return self._reader.has_key_between(self._reader.fed_ticks, ticks)

    def _jump(self, ticks: int) -> VideoFrame:
        """Starts from the keyframe before, or the one before that where the start is no good."""
        best: VideoFrame | None = None
        key = self._reader.key_at(ticks)
        for _ in range(_MOST_KEYS_BACK):
            self._start(key)
            self._advance(ticks)
            # One more try is enough for a corrupt frame: mostly the file itself is damaged.
            if self._shown is not None and (best is not None or not self._shown.is_corrupt):
                return self._shown
            best = self._shown or best or self._ahead
            before = self._reader.key_at(key.ticks - 1) if key is not None else None
            if before is None or key is None or before.ticks >= key.ticks:
                break
            key = before
        # The search for a keyframe before has moved the file: nothing can be played on.
        self._frames = None
        if best is None:
            raise _no_frame(self._reader)
        return best

    def _start(self, key: Key | None) -> None:
        self._frames = self._reader.play(key)
        self._shown = self._ahead = None

    def _advance(self, ticks: int) -> None:
        while self._frames is not None:
            if self._ahead is not None:
                if ticks_of(self._ahead) > ticks:
                    return
                self._shown = self._ahead
            self._ahead = next(self._frames, None)
            if self._ahead is None:
                return


def _no_frame(reader: Reader) -> MediaError:
    if reader.damage:
        return CorruptError(f"{reader.name}: no frame could be decoded: {reader.damage}")
    if not reader.counts["packets_read"]:
        return TruncatedError(f"{reader.name}: the file ends before the first frame")
    return NoFrameError(f"{reader.name}: its video stream gives no frame")
