"""Reading one video stream: seeks that are verified, decoding that is counted and bounded."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import av
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from farm.engines.pyav_errors import cause_of
from farm.engines.pyav_open import Opened
from farm.errors import EncryptedError, LimitError
from farm.settings import Limits

# Packet is generic in PyAV's stubs only.
if TYPE_CHECKING:
    VideoPacket: TypeAlias = Packet[VideoStream]
else:
    VideoPacket = Packet

# Demuxers that seek by an index of the whole file; the others search, and may land anywhere.
_INDEXED = frozenset(("mov", "matroska", "avi"))
# Demuxers that find their feet at any byte, the first included.
_BY_BYTE = frozenset(("mpeg", "mpegts"))
# Elementary streams: nothing in them tells a time, so frames are counted at the stream's rate.
_UNTIMED = frozenset(("h264", "hevc", "mpegvideo"))
_PACKETS_PER_FRAME_ALLOWED = 100
_FIRST_STEP_SECONDS = 1
_MOST_SEEKS = 24


@dataclass(frozen=True, slots=True)
class Key:
    """A keyframe's packet, and the seek offset from which reading comes to it."""

    packet: VideoPacket
    offset: int | None

    @property
    def ticks(self) -> int:
        return ticks_of(self.packet)


def ticks_of(timed: VideoPacket | VideoFrame) -> int:
    """The presentation time in ticks; the decoding time where a container has no other."""
    if timed.pts is not None:
        return timed.pts
    return timed.dts if timed.dts is not None else 0


class Reader:
    """Packets and frames of the chosen stream; times are in ticks of its time base."""

    def __init__(self, opened: Opened, *, name: str, limits: Limits) -> None:
        self._container = opened.container
        self._stream = opened.stream
        self._codec = opened.stream.codec_context
        self.name = name
        self._limits = limits
        self._trusts_index = opened.demuxer in _INDEXED
        self._starts_by_byte = opened.demuxer in _BY_BYTE | _UNTIMED
        self.is_timed = opened.demuxer not in _UNTIMED
        self.time_base = opened.stream.time_base or Fraction(1, av.time_base)
        self.first_ticks = opened.stream.start_time
        self.counts: Counter[str] = Counter()
        self.damage = ""
        self.fed_ticks = 0
        self._codec.thread_count = 1
        self._codec.options = {"max_pixels": str(limits.frame_pixels)}
        if self._codec.name == "h264":
            # A stream that doesn't tell its reordering depth gets the greatest its level allows;
            # a guessed, growing depth drops the first frames that come out of order.
            self._codec.options |= {"strict": "strict"}

    def ticks_at(self, seconds: float) -> int:
        """The last tick at or before a time, forgiving what a float loses."""
        return math.floor(Fraction(seconds) / self.time_base + Fraction(1, 100))

    def seconds_at(self, ticks: int) -> float:
        """The time of a tick."""
        return float(ticks * self.time_base)

    def key_at(self, ticks: int) -> Key | None:
        """The keyframe last presented at or before `ticks`, else the first; None without any.

        Every seek is checked by what it lands on. Where that is too late, or nothing, the next one
        goes back further, at last to the start of the file.
        """
        if not self.is_timed:
            return None
        offset, trusted = ticks, self._trusts_index
        step = math.ceil(_FIRST_STEP_SECONDS / self.time_base)
        floor = self.first_ticks if self.first_ticks is not None else 0
        for attempt in range(_MOST_SEEKS):
            landed = self._land(offset, ticks, trusted=trusted)
            if landed is not None and landed.ticks <= ticks:
                return landed
            if offset <= floor:
                break
            if landed is not None and trusted:
                # An index of decoding times takes too late a keyframe, but only by its delay.
                offset -= (landed.packet.duration or 1) << attempt
            else:
                # Nothing could be read there: what the index says is not in the file.
                offset, step, trusted = max(offset - step, floor), 2 * step, False
        return self._land(None, ticks, trusted=False)

    def _land(self, offset: int | None, ticks: int, *, trusted: bool) -> Key | None:
        """The best keyframe for `ticks` of those read after a seek, or the first of them.

        With a trusted index that is the first one met. Otherwise reading goes on until no later
        packet can be presented in time.
        """
        if not self._seek(offset):
            return None
        best: VideoPacket | None = None
        for packet in self.packets():
            late = ticks_of(packet) > ticks
            if packet.is_keyframe and (best is None or not late):
                best = packet
                if trusted:
                    break
            elif _decoded_at(packet) > ticks and (best is not None or offset is not None):
                break
        return Key(best, offset) if best is not None else None

    def _seek(self, offset: int | None) -> bool:
        """Goes to `offset`, or to the start of the file for None."""
        self.counts["seeks"] += 1
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

    def packets(self) -> Iterator[VideoPacket]:
        """The packets from here on, up to the end of what can be read."""
        demuxed = self._container.demux(self._stream)
        while True:
            try:
                packet = next(demuxed, None)
            except MemoryError:
                raise
            except FFmpegError as error:
                self.damage = cause_of(error)
                return
            if packet is None or (packet.size == 0 and packet.dts is None):
                return
            self.counts["packets_read"] += 1
            most = self._limits.frames * _PACKETS_PER_FRAME_ALLOWED
            if self.counts["packets_read"] > most:
                raise LimitError(f"{self.name}: more than {most} packets had to be read")
            if packet.has_sidedata("encryption_info"):
                raise EncryptedError(f"{self.name}: the samples of its video stream are encrypted")
            # An empty packet stands for a repeated picture; to a decoder it would mean the end.
            if packet.size:
                yield packet

    def packets_from(self, key: Key | None) -> Iterator[VideoPacket]:
        """The packets from a keyframe on, or from the start of the file."""
        if not self._seek(key.offset if key is not None else None):
            return
        found = key is None
        for packet in self.packets():
            found = found or (key is not None and _same(packet, key.packet))
            if found:
                yield packet

    def decode(self, packet: VideoPacket | None) -> list[VideoFrame]:
        """The frames that a packet, or for None the end of input, brings forth."""
        if packet is not None:
            self.counts["packets_fed"] += 1
        try:
            frames = self._codec.decode(packet)
        except MemoryError:
            raise
        except av.error.EOFError:
            return []
        except av.error.InvalidDataError as error:
            self.damage = cause_of(error)
            return []
        self.counts["frames_decoded"] += len(frames)
        if self.counts["frames_decoded"] > self._limits.frames:
            raise LimitError(
                f"{self.name}: more than the {self._limits.frames} frames allowed had to be decoded"
            )
        return frames

    def play(self, key: Key | None) -> Iterator[VideoFrame]:
        """Frames in order of presentation from a keyframe, or from the start of the file."""
        return self.play_packets(self.packets_from(key))

    def play_packets(self, packets: Iterator[VideoPacket]) -> Iterator[VideoFrame]:
        """Frames in order of presentation from packets of which the first needs none before it."""
        self.flush()
        frames = self._decode_all(packets)
        return frames if self.is_timed else self._count(frames)

    def _decode_all(self, packets: Iterator[VideoPacket]) -> Iterator[VideoFrame]:
        for packet in packets:
            self.fed_ticks = _decoded_at(packet)
            yield from self.decode(packet)
        yield from self.decode(None)

    def _count(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        for number, frame in enumerate(frames):
            frame.pts = number * self._frame_ticks()
            yield frame

    def _frame_ticks(self) -> int:
        rate = self._stream.average_rate or self._stream.base_rate or 25
        return max(1, round(1 / rate / self.time_base))

    def flush(self) -> None:
        """Forgets what the decoder holds."""
        self._codec.flush_buffers()

    def has_key_between(self, after: int, ticks: int) -> bool:
        """Whether a seek to `ticks` is sure, or likely, to land after the decoding time `after`."""
        if not self._trusts_index:
            return self.is_timed and ticks - after > 10 / self.time_base
        index = self._stream.index_entries
        found = index.search_timestamp(ticks)
        return found >= 0 and index[found].timestamp > after

    def presentation_ticks(self) -> list[int]:
        """The times of all frames in order, found by reading packets only."""
        self._seek(None)
        if not self.is_timed:
            return [number * self._frame_ticks() for number, _ in enumerate(self.packets())]
        return sorted({ticks_of(packet) for packet in self.packets() if not packet.is_discard})


def _decoded_at(packet: VideoPacket) -> int:
    return packet.dts if packet.dts is not None else ticks_of(packet)


def _same(packet: VideoPacket, other: VideoPacket) -> bool:
    return packet.is_keyframe and (packet.pts, packet.dts, packet.size) == (
        other.pts,
        other.dts,
        other.size,
    )
