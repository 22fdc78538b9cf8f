"""Choosing frames: the very frame shown at each time, decoding as little as that takes.

The containers' times tell beforehand which packets hold the wanted pictures. A group is decoded
from its keyframe up to the last of them, without the pictures that no other refers to. That is an
attempt: what does not come out whole is played for, frame by frame.
"""

from collections.abc import Iterator, Sequence

from av.video.frame import VideoFrame

from farm.engines.pyav_decode import ticks_of
from farm.engines.pyav_group import Moment
from farm.engines.pyav_pick import MOST_KEYS_BACK, Pick, key_before, no_frame, planned_frames
from farm.engines.pyav_read import DemuxingReader
from farm.engines.pyav_reader import Key, Reader


def sure_exact_frames(reader: Reader, moments: Sequence[Moment]) -> Iterator[Pick]:
    """The frame shown at each of ascending moments, but only where a plan gives it whole."""
    rest = moments
    while rest:
        group = reader.group_at(rest)
        if group is None:
            return
        yield from planned_frames(reader, group)
        rest = rest[group.plan.moments :]


def exact_frames(reader: DemuxingReader, moments: Sequence[Moment]) -> Iterator[Pick]:
    """The frame shown at each of ascending moments; those that share one share a Pick."""
    found = set[int]()
    for pick in sure_exact_frames(reader, moments):
        found.update(pick.targets)
        yield pick
    yield from _played(reader, [moment for moment in moments if moment.target not in found])


def _played(reader: DemuxingReader, moments: Sequence[Moment]) -> Iterator[Pick]:
    """The frame shown at each moment, in one pass over all frames from a keyframe before it on."""
    playhead = _Playhead(reader)
    held: VideoFrame | None = None
    targets: list[int] = []
    for moment in moments:
        frame = playhead.frame_at(moment.ticks)
        if held is not None and frame is not held:
            yield _pick(held, tuple(targets))
            targets.clear()
        held = frame
        targets.append(moment.target)
    if held is not None:
        yield _pick(held, tuple(targets))


def _pick(frame: VideoFrame, targets: tuple[int, ...]) -> Pick:
    return Pick(frame, targets, ("salvaged",) if frame.is_corrupt else ())


class _Playhead:
    """Plays forward through ascending times, and jumps where a keyframe lies in between."""

    def __init__(self, reader: DemuxingReader) -> None:
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
        return self._reader.has_key_between(self._reader.decoding.fed_ticks, ticks)

    def _jump(self, ticks: int) -> VideoFrame:
        """Starts from the keyframe before, or the one before that where the start is no good."""
        best: VideoFrame | None = None
        key = self._reader.key_at(ticks)
        for _ in range(MOST_KEYS_BACK):
            self._start(key)
            self._advance(ticks)
            # One more try is enough for a corrupt frame: mostly the file itself is damaged.
            if self._shown is not None and (best is not None or not self._shown.is_corrupt):
                return self._shown
            best = self._shown or best or self._ahead
            before = key_before(self._reader, key)
            if before is None:
                break
            key = before
        # The search for a keyframe before has moved the file: nothing can be played on.
        self._frames = None
        if best is None:
            raise no_frame(self._reader)
        return best

    def _start(self, key: Key | None) -> None:
        self._frames = self._reader.play(self._reader.packets_from(key))
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
