"""Choosing frames with torchcodec: seeks are checked by the times of the frames they lead to.

The times of keyframes are libavformat's as PyAV reads them. torchcodec's packets tell nothing of
themselves: whether a seek led to the wanted keyframe shows only in a decoded frame's time. What
does not surely come out right is given up, by an UnsureError.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from typing import NamedTuple

from torchcodec.decoders import Packet, RawFrame

from farm.engines.pyav_group import Moment
from farm.engines.pyav_open import check_size
from farm.engines.pyav_read import DemuxingReader
from farm.engines.pyav_reader import Key
from farm.engines.torchcodec_stream import Followed, raise_foreign, words_of
from farm.errors import TooManyFramesError
from farm.geometry import Size
from farm.settings import Limits

# How long before a keyframe a seek is tried where one to its very time did not lead to it.
_BACK_SECONDS = (0.0, 1.0, 10.0)
# In a transport stream each field may have a packet of its own, in the others a frame has one.
_LONE_FIELDS = frozenset(("mpegts",))


class UnsureError(Exception):
    """torchcodec gives no frame that surely is the wanted one."""


class Taken(NamedTuple):
    """A decoded frame and the indices of the targets that it answers."""

    frame: RawFrame
    targets: tuple[int, ...]


class Player:
    """A stream that torchcodec plays from the keyframes which `reader` finds."""

    def __init__(
        self, followed: Followed, reader: DemuxingReader, *, limits: Limits, counts: Counter[str]
    ) -> None:
        self.reader = reader
        self._followed = followed
        self._limits = limits
        self._counts = counts
        self._fault = ""
        self._packets_of_a_picture = 2 if reader.opened.demuxer in _LONE_FIELDS else 1

    def ticks_of(self, frame: RawFrame) -> int:
        """The presentation time in ticks of the reader's time base."""
        return round(frame.pts_seconds / self.reader.time_base)

    def key_frame(self, key: Key) -> RawFrame:
        """The keyframe's picture, or the first one shown behind a keyframe that is not."""
        frame = self._alone(key) or next(self.play(key))
        self._check()
        self._counts["keyframes"] += 1
        return frame

    def play(self, key: Key) -> Iterator[RawFrame]:
        """Frames in order of presentation from a keyframe on, at least one."""
        for place in self._places(key):
            if not self._seek(place):
                continue
            frames = self._decoded(self._packets())
            first = next((frame for frame in frames if self.ticks_of(frame) >= key.ticks), None)
            if first is None or (key.is_whole and self.ticks_of(first) != key.ticks):
                continue
            # Behind a seek to the middle of a group, the first packets are no more than noise.
            self._fault = ""
            yield first
            for frame in frames:
                self._check()
                yield frame
            self._check()
            return
        raise UnsureError(self._fault or f"no frame at {float(self._seconds(key.ticks)):.3f} s")

    def _alone(self, key: Key) -> RawFrame | None:
        """The picture of a keyframe's packet; None where that is not the packet met."""
        if not key.is_whole or not self._seek(next(self._places(key))):
            return None
        packets = islice(self._packets(), self._packets_of_a_picture)
        frames = list(self._decoded(packets))
        return next((frame for frame in frames if self.ticks_of(frame) == key.ticks), None)

    def _places(self, key: Key) -> Iterator[float]:
        """Seconds from where the keyframe may be met, at last those before the start."""
        ticks = key.ticks
        # A transport stream is searched by decoding times.
        if self.reader.opened.demuxer in _LONE_FIELDS and key.packet and key.packet.dts is not None:
            ticks = key.packet.dts
        at = self._seconds(ticks)
        yield from (at - back for back in _BACK_SECONDS)
        yield self._seconds(self.reader.first_ticks or 0) - _BACK_SECONDS[-1]

    def _seconds(self, ticks: int) -> float:
        return float(ticks * self.reader.time_base)

    def _seek(self, seconds: float) -> bool:
        self._counts["seeks"] += 1
        self._fault = ""
        with self._heeded():
            self._followed.demuxer.seek(seconds)
            self._followed.decoder.reset()
        return not self._fault

    def _packets(self) -> Iterator[Packet]:
        """The packets from here on, up to the end of what can be read."""
        while True:
            packet = None
            with self._heeded():
                packet = next(self._followed.demuxer, None)
            if packet is None:
                return
            yield packet

    def _decoded(self, packets: Iterable[Packet]) -> Iterator[RawFrame]:
        """The frames of packets and of the end behind them."""
        decoder = self._followed.decoder
        for packet in packets:
            self._counts["packets_fed"] += 1
            frames: Sequence[RawFrame] = ()
            with self._heeded():
                frames = decoder.decode(packet)
            yield from map(self._counted, frames)
        frames = ()
        with self._heeded():
            frames = decoder.drain()
        yield from map(self._counted, frames)

    def _counted(self, frame: RawFrame) -> RawFrame:
        """The frame, if it is within limits."""
        name, limits = self.reader.name, self._limits
        check_size(Size(frame.width, frame.height), name=name, limits=limits)
        self._counts["frames_decoded"] += 1
        if self._counts["frames_decoded"] > limits.frames:
            raise TooManyFramesError(
                f"{name}: more than the {limits.frames} frames allowed were decoded"
            )
        return frame

    @contextmanager
    def _heeded(self) -> Iterator[None]:
        """Notes what torchcodec says of the data; raises what they are not to blame for."""
        try:
            yield
        except RuntimeError as error:
            self._followed.check()
            raise_foreign(error, name=self.reader.name)
            self._fault = words_of(error)
        else:
            self._followed.check()

    def _check(self) -> None:
        if self._fault:
            raise UnsureError(self._fault)


def key_frames(player: Player, moments: Sequence[Moment]) -> Iterator[Taken]:
    """The keyframe at or before each of ascending moments; those that share one share it."""
    for key, group in _by_key(player.reader, moments):
        yield Taken(player.key_frame(key), tuple(moment.target for moment in group))


def exact_frames(player: Player, moments: Sequence[Moment]) -> Iterator[Taken]:
    """The frame shown at each of ascending moments, in one pass for each group of pictures.

    A decoder drops what it cannot decode without a word: no frame is taken in the place of another
    that the container tells of.
    """
    planned = _planned(player.reader, moments)
    for taken in _shown(player, moments):
        ticks = player.ticks_of(taken.frame)
        for target in taken.targets:
            if planned.get(target, ticks) != ticks:
                raise UnsureError("a frame that its container tells of is missing")
        yield taken


def _planned(reader: DemuxingReader, moments: Sequence[Moment]) -> dict[int, int]:
    """The times of the frames that the container tells for targets, as far as it does."""
    found: dict[int, int] = {}
    rest = moments
    while rest and (group := reader.group_at(rest)) is not None:
        wanted = group.plan.wanted.items()
        found |= {target: ticks for ticks, targets in wanted for target in targets}
        rest = rest[group.plan.moments :]
    return found


def _shown(player: Player, moments: Sequence[Moment]) -> Iterator[Taken]:
    for key, group in _by_key(player.reader, moments):
        frames = player.play(key)
        shown, ahead = next(frames), next(frames, None)
        targets: list[int] = []
        for moment in group:
            while ahead is not None and player.ticks_of(ahead) <= moment.ticks:
                if targets:
                    yield Taken(shown, tuple(targets))
                    targets.clear()
                shown, ahead = ahead, next(frames, None)
            targets.append(moment.target)
        yield Taken(shown, tuple(targets))


def _by_key(
    reader: DemuxingReader, moments: Sequence[Moment]
) -> Iterator[tuple[Key, list[Moment]]]:
    """Ascending moments by the keyframe that serves them."""
    keyed = ((reader.key_at(moment.ticks), moment) for moment in moments)
    for _, pairs in groupby(keyed, lambda pair: pair[0] and pair[0].ticks):
        (key, first), *others = pairs
        if key is None:
            raise UnsureError("its container tells of no keyframe")
        if key.packet is not None and key.packet.pts is None:
            raise UnsureError("its container tells no times of presentation")
        yield key, [first, *(moment for _, moment in others)]
