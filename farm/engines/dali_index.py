"""Numbers the frames of a video as DALI does, and refuses videos where that may go wrong."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.error import FFmpegError

from farm.engines import Source
from farm.engines.pyav_decode import VideoPacket
from farm.engines.pyav_errors import cause_of
from farm.engines.pyav_open import Opened, open_video
from farm.engines.still import OddError
from farm.errors import EncryptedError, NoFrameError, TooManyFramesError
from farm.media import MediaFormat
from farm.settings import Limits

# Demuxers whose packets are whole pictures with times of their own.
_DEMUXERS = frozenset(("avi", "matroska", "mov"))
_PACKETS_PER_FRAME_ALLOWED = 100


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """The times of all frames in ticks, ascending, and the numbers of the keyframes among them."""

    ticks: tuple[int, ...]
    keys: tuple[int, ...]
    time_base: Fraction

    def number_at(self, ticks: int) -> int:
        """The frame last presented at or before a time, else the first."""
        return max(0, bisect_right(self.ticks, ticks) - 1)

    def key_of(self, number: int) -> int:
        """The keyframe last presented at or before a frame."""
        return self.keys[bisect_right(self.keys, number) - 1]

    def numbered(self, number: int, *, name: str) -> int:
        """A frame counted from 0 or, below that, from the end; raises NoFrameError outside."""
        if not -len(self.ticks) <= number < len(self.ticks):
            raise NoFrameError(f"{name}: no frame {number} among {len(self.ticks)} frames")
        return number % len(self.ticks)

    def seconds(self, number: int) -> float:
        """The time of a frame."""
        return float(self.ticks[number] * self.time_base)

    def decoded_for(self, numbers: list[int]) -> int:
        """How many frames are decoded for some: all from their keyframes on."""
        last = {self.key_of(number): number for number in sorted(numbers)}
        return sum(number - key + 1 for key, number in last.items())


def read_index(source: Source, *, media_format: MediaFormat, limits: Limits) -> FrameIndex:
    """Reads the packets of a source's video stream, decoding nothing.

    DALI counts packets by their times, but frames as they come out of the decoder. Raises OddError
    where the two may differ or where DALI may take another stream, and MediaErrors as opening does.
    """
    opened = open_video(source, media_format=media_format, limits=limits)
    with opened.container:
        if opened.demuxer not in _DEMUXERS:
            raise OddError(f"is {media_format.name}, whose frames DALI may count otherwise")
        if len(opened.container.streams.video) != 1:
            raise OddError("has more than one video stream")
        times = dict(_times(opened, source.name, limits))
        ticks = tuple(sorted(times))
        keys = tuple(number for number, time in enumerate(ticks) if times[time])
        if not keys or keys[0] != 0:
            raise OddError("does not begin with a keyframe")
        return FrameIndex(ticks, keys, opened.stream.time_base or Fraction(1, av.time_base))


def _times(opened: Opened, name: str, limits: Limits) -> Iterator[tuple[int, bool]]:
    """The time of each packet, none twice, and whether it is a keyframe."""
    codec = opened.stream.codec_context.codec.canonical_name
    most = limits.frames * _PACKETS_PER_FRAME_ALLOWED
    seen = set[int]()
    for packet in _packets(opened):
        if packet.has_sidedata("encryption_info"):
            raise EncryptedError(f"{name}: the samples of its video stream are encrypted")
        if len(seen) >= most:
            raise TooManyFramesError(f"{name}: more than {most} packets had to be read")
        ticks = packet.pts
        if ticks is None or ticks < 0 or ticks in seen:
            raise OddError("has frames without times of their own")
        if packet.is_discard or packet.is_corrupt or is_hidden(codec, memoryview(packet)):
            raise OddError("has frames that are not to be shown")
        seen.add(ticks)
        yield ticks, packet.is_keyframe


def _packets(opened: Opened) -> Iterator[VideoPacket]:
    try:
        for packet in opened.container.demux(opened.stream):
            if packet.size == 0 and packet.dts is None:
                return
            yield packet
    except FFmpegError as error:
        raise OddError(f"cannot be read to its end: {cause_of(error)}") from error


def is_hidden(codec: str, packet: memoryview) -> bool:
    """Whether a packet shows nothing: it is empty, or what others refer to only.

    Sources: RFC 6386, 9.1, for VP8; sections 6.2 and annex B of VP9's specification.
    """
    if not len(packet):
        return True
    first = packet[0]
    if codec == "vp8":
        return not first >> 4 & 1
    # Of several VP9 frames in a packet, the last one is shown.
    if codec != "vp9" or packet[-1] >> 5 == 0b110:
        return False
    longer = 1 if first >> 4 & 3 == 3 else 0  # by a bit, in profile 3
    shows_existing, shows = first >> (3 - longer) & 1, first >> (1 - longer) & 1
    return not (shows_existing or shows)
