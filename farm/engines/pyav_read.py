"""Reading one video stream with libavformat: seeks that are verified, packets within limits."""

import heapq
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Protocol, cast

import av
from av.error import FFmpegError
from av.stream import Stream
from av.video.frame import VideoFrame

from farm.engines.pyav_decode import Decoding, VideoPacket, decoded_at, ticks_of
from farm.engines.pyav_errors import cause_of
from farm.engines.pyav_group import Moment, Timing, plan_group
from farm.engines.pyav_open import Opened, pixel_aspect
from farm.engines.pyav_reader import Group, Key
from farm.errors import EncryptedError, TooManyFramesError
from farm.settings import Limits

# Demuxers that seek by an index of the whole file; the others search, and may land anywhere.
_INDEXED = frozenset(("mov", "matroska", "avi"))
# Demuxers that find their feet at any byte, the first included.
_BY_BYTE = frozenset(("mpeg", "mpegts"))
# Elementary streams: nothing in them tells a time, so frames are counted at the stream's rate.
_UNTIMED = frozenset(("h264", "hevc", "mpegvideo"))
# Demuxers of containers that hold decoding times; libavformat guesses those of the others, and
# without a look at the decoder guesses wrong.
_WITH_DECODING_TIMES = frozenset(("asf", "avi", "flv", "mov", "mpeg", "mpegts", "mxf"))
_IN_ORDER = frozenset(("av1", "vp8", "vp9"))
_DEEPEST_REORDERING = 16
_PACKETS_PER_FRAME_ALLOWED = 100
_MOST_SEEKS = 24
_MOST_GROUP_BYTES = 256 << 20
_FAR_SECONDS = 10


class Beside(Protocol):
    """Another stream of the file, whose packets lie between those of the video."""

    @property
    def stream(self) -> Stream:
        """What is read of the same file."""

    def take(self, packet: Any) -> None:
        """The next packet of the stream; PyAV's stubs make one type of it for each kind."""

    def forget(self) -> None:
        """The file is about to be read from another place on."""


class DemuxingReader:
    """Reads what libavformat opened; what is met of the stream `beside` goes to it."""

    def __init__(
        self,
        opened: Opened,
        *,
        name: str,
        limits: Limits,
        counts: Counter[str],
        beside: Beside | None = None,
    ) -> None:
        self.opened = opened
        self._beside = beside
        self._streams = (opened.stream,) if beside is None else (opened.stream, beside.stream)
        self._container = opened.container
        self._stream = opened.stream
        self.name = name
        self._limits = limits
        self._trusts_index = opened.demuxer in _INDEXED
        self._starts_by_byte = opened.demuxer in _BY_BYTE | _UNTIMED
        self.is_timed = opened.demuxer not in _UNTIMED
        self.time_base = opened.stream.time_base or Fraction(1, av.time_base)
        self.first_ticks = opened.stream.start_time
        self._second = math.ceil(1 / self.time_base)
        # How far before a moment its keyframe is looked for, where there is no index.
        self._usual_back = self._second
        self._last: VideoPacket | None = None
        self.decoding = Decoding(
            opened.stream.codec_context, name=name, limits=limits, counts=counts
        )
        self._tells_decoding_times = (
            opened.demuxer in _WITH_DECODING_TIMES or self.decoding.codec in _IN_ORDER
        )

    @property
    def pixel_aspect(self) -> float:
        """The container's, else the codec's, which decoding may bring."""
        return pixel_aspect(self.opened)

    def key_at(self, ticks: int) -> Key | None:
        """The keyframe last presented at or before `ticks`, else the first; None without any.

        Every seek is checked by what it lands on. Where that is too late, or nothing, the next one
        goes back further, at last to the start of the file.
        """
        if not self.is_timed:
            return None
        trusted = self._trusts_index
        floor = self.first_ticks if self.first_ticks is not None else 0
        back = 0 if trusted else self._usual_back
        offset = max(ticks - back, floor)
        for attempt in range(_MOST_SEEKS):
            if offset <= floor and not trusted:
                break
            landed = self._land(offset, ticks, trusted=trusted)
            if landed is not None and ticks_of(landed) <= ticks:
                if not trusted:
                    self._usual_back = ticks - offset
                return _key(landed, offset)
            if offset <= floor:
                break
            if landed is not None and trusted:
                # An index of decoding times takes too late a keyframe, but only by its delay.
                offset -= (landed.duration or 1) << attempt
            else:
                # Nothing could be read there: what the index says is not in the file.
                back, trusted = max(2 * back, self._second), False
                offset = max(offset - back, floor)
        first = self._land(None, ticks, trusted=False)
        return _key(first, None) if first is not None else None

    def _land(self, offset: int | None, ticks: int, *, trusted: bool) -> VideoPacket | None:
        """The best keyframe for `ticks` of those read after a seek, or the first of them.

        With a trusted index that is the first one met, unless the index itself knows a later one:
        with edit lists, libavformat goes back too far. Otherwise reading goes on until no later
        packet can be presented in time.
        """
        if not self._seek(offset):
            return None
        best: VideoPacket | None = None
        for packet in self._packets():
            late = ticks_of(packet) > ticks
            if packet.is_keyframe and (best is None or not late):
                best = packet
                if trusted and not self.has_key_between(ticks_of(packet), ticks):
                    break
            elif decoded_at(packet) > ticks and (best is not None or offset is not None):
                break
        return best

    def _seek(self, offset: int | None) -> bool:
        """Goes to `offset`, or to the start of the file for None."""
        self.decoding.counts["seeks"] += 1
        self._last = None
        if self._beside is not None:
            self._beside.forget()
        tries = [(self.first_ticks or 0 if offset is None else offset, False)]
        if offset is None:
            tries.insert(0 if self._starts_by_byte else 1, (0, True))
        for position, is_byte in tries:
            try:
                self._container.seek(position, stream=self._stream, unsupported_byte_offset=is_byte)
            except FFmpegError:
                continue
            return True
        return False

    def _packets(self) -> Iterator[VideoPacket]:
        """The packets from here on, up to the end of what can be read."""
        # PyAV's stubs know a type of packets for one stream at a time.
        demuxed = cast("Iterator[VideoPacket]", self._container.demux(*self._streams))
        counts = self.decoding.counts
        while True:
            try:
                packet = next(demuxed, None)
            except MemoryError:
                raise
            except FFmpegError as error:
                self.decoding.damage = cause_of(error)
                return
            if packet is None or (packet.size == 0 and packet.dts is None):
                return
            counts["packets_read"] += 1
            most = self._limits.frames * _PACKETS_PER_FRAME_ALLOWED
            if counts["packets_read"] > most:
                raise TooManyFramesError(f"{self.name}: more than {most} packets had to be read")
            if self._beside is not None and packet.stream_index == self._beside.stream.index:
                self._beside.take(packet)
                continue
            if packet.has_sidedata("encryption_info"):
                raise EncryptedError(f"{self.name}: the samples of its video stream are encrypted")
            self._last = packet
            # An empty packet stands for a repeated picture; to a decoder it would mean the end.
            if packet.size:
                yield packet

    def packets_from(self, key: Key | None) -> Iterator[VideoPacket]:
        """The packets from a keyframe on, or from the start of the file."""
        start = key.packet if key is not None else None
        if start is not None and start is self._last:
            # The search for the keyframe has just read it.
            yield start
            yield from self._packets()
            return
        if not self._seek(key.place if key is not None else None):
            return
        found = start is None
        for packet in self._packets():
            found = found or (start is not None and _same(packet, start))
            if found:
                yield packet

    def group_at(self, moments: Sequence[Moment]) -> Group | None:
        """The packets that answer the first of ascending moments, and those that share its group.

        None where there is no keyframe, where times are missing or out of order, and where a group
        would fill the memory.
        """
        key = self.key_at(moments[0].ticks)
        if key is None:
            return None
        packets: list[VideoPacket] = []
        timings = self._timings(key, packets)
        plan = plan_group(timings, moments, leaps=self.has_key_between)
        return Group(plan, packets[plan.start :]) if plan is not None else None

    def _timings(self, key: Key, packets: list[VideoPacket]) -> Iterator[Timing]:
        """The times of the packets from a keyframe on, which are put into `packets` meanwhile."""
        size = 0
        bound = None if self._tells_decoding_times else _Bound()
        for packet in self.packets_from(key):
            packets.append(packet)
            size += packet.size
            pts = packet.pts if size <= _MOST_GROUP_BYTES else None
            dts = packet.dts if bound is None else bound.after(ticks_of(packet))
            yield Timing(pts, dts, packet.is_keyframe, packet.is_discard)

    def play(self, packets: Iterator[VideoPacket]) -> Iterator[VideoFrame]:
        """Frames in order of presentation from packets of which the first needs none before it."""
        frames = self.decoding.play(packets)
        return frames if self.is_timed else self._count(frames)

    def _count(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        for number, frame in enumerate(frames):
            frame.pts = number * self._frame_ticks()
            yield frame

    def _frame_ticks(self) -> int:
        rate = self._stream.average_rate or self._stream.base_rate or 25
        return max(1, round(1 / rate / self.time_base))

    def has_key_between(self, after: int, ticks: int) -> bool:
        """Whether a seek to `ticks` is sure, or likely, to land after the decoding time `after`."""
        if not self._trusts_index:
            return self.is_timed and ticks - after > _FAR_SECONDS / self.time_base
        index = self._stream.index_entries
        found = index.search_timestamp(ticks)
        return found >= 0 and index[found].timestamp > after

    def presentation_ticks(self) -> list[int]:
        """The times of all frames in order, found by reading packets only."""
        self._seek(None)
        if not self.is_timed:
            return [number * self._frame_ticks() for number, _ in enumerate(self._packets())]
        return sorted({ticks_of(packet) for packet in self._packets() if not packet.is_discard})


class _Bound:
    """A decoding time where a container has none: nothing after it can be shown before it."""

    def __init__(self) -> None:
        self._latest: list[int] = []

    def after(self, pts: int) -> int:
        """The bound behind one more packet: no picture comes later than the deepest reordering."""
        heapq.heappush(self._latest, pts)
        if len(self._latest) <= _DEEPEST_REORDERING:
            return -sys.maxsize
        if len(self._latest) > _DEEPEST_REORDERING + 1:
            heapq.heappop(self._latest)
        return self._latest[0]


def _key(packet: VideoPacket, offset: int | None) -> Key:
    is_whole = not packet.is_discard and not packet.is_corrupt
    return Key(ticks_of(packet), offset, is_whole, packet)


def _same(packet: VideoPacket, other: VideoPacket) -> bool:
    return packet.is_keyframe and (packet.pts, packet.dts, packet.size) == (
        other.pts,
        other.dts,
        other.size,
    )
