"""The sound of a clip: decoded, resampled, and laid where the pictures are."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.packet import Packet
from numpy.typing import NDArray

from farm.clip.movie import SOUND_RATE

# Packet is generic in PyAV's stubs only.
if TYPE_CHECKING:
    SoundPacket: TypeAlias = Packet[AudioStream]
else:
    SoundPacket = Packet

_CHANNELS = 2
# Where a stream's times are off by less, such as those that containers round, samples just follow
# each other. It can be heard where sound and picture are 45 ms apart (ITU-R BT.1359).
_JITTER_SAMPLES = SOUND_RATE // 50


@dataclass(frozen=True, slots=True)
class _Block:
    """Samples [channels, n] and where the first of them belongs, in samples of the clip."""

    at: int
    samples: NDArray[np.float32]


class Sound:
    """The stream beside the pictures, without a gap from `origin_seconds` on.

    It is taken packet by packet, up to `end_seconds` of the source where that is known, and decoded
    when it is asked for. Where it is silent, begins late,
    ends early or cannot be decoded, there is silence. `is_damaged` tells of the latter.
    """

    def __init__(self, stream: AudioStream) -> None:
        self.stream = stream
        self.origin_seconds = Fraction(0)
        self.end_seconds: Fraction | None = None
        self.is_damaged = False
        self._packets: deque[SoundPacket | None] = deque()
        self._blocks: deque[_Block] = deque()
        self._given = 0
        self._resampler = AudioResampler("fltp", "stereo", SOUND_RATE)
        self._taken: tuple[str, str, int] | None = None
        stream.codec_context.thread_count = 1

    def take(self, packet: SoundPacket) -> None:
        """The next packet; an empty one, which to a decoder means the end, is none."""
        if packet.size and not self._is_late(packet):
            self._packets.append(packet)

    def _is_late(self, packet: SoundPacket) -> bool:
        if self.end_seconds is None or packet.pts is None or packet.time_base is None:
            return False
        return packet.pts * packet.time_base > self.end_seconds

    def forget(self) -> None:
        """Packets taken so far count no more."""
        self._packets.clear()

    def has(self, seconds: Fraction) -> bool:
        """Whether it was given up to so many seconds of the clip."""
        return self._given >= round(seconds * SOUND_RATE)

    def up_to(self, seconds: Fraction) -> Iterator[AudioFrame]:
        """What is known of the samples up to so many seconds of the clip, and not yet given."""
        end = round(seconds * SOUND_RATE)
        while self._given < end and (block := self._next_block()) is not None:
            yield from self._place(block, end)

    def rest(self, seconds: Fraction) -> Iterator[AudioFrame]:
        """All samples up to so many seconds of the clip; no packet comes any more."""
        self._packets.append(None)
        yield from self.up_to(seconds)
        yield from self._silence(round(seconds * SOUND_RATE))

    def _next_block(self) -> _Block | None:
        while not self._blocks:
            if not self._packets:
                return None
            self._blocks.extend(self._decode(self._packets.popleft()))
        return self._blocks.popleft()

    def _place(self, block: _Block, end: int) -> Iterator[AudioFrame]:
        gap = block.at - self._given
        if self._given and abs(gap) <= _JITTER_SAMPLES:
            gap = 0
        yield from self._silence(min(self._given + gap, end))
        if self._given == end:
            self._blocks.appendleft(block)
            return
        samples = block.samples[:, max(0, -gap) :]
        room = end - self._given
        if samples.shape[1]:
            yield self._frame(samples[:, :room])
        if samples.shape[1] > room:
            self._blocks.appendleft(_Block(end, samples[:, room:]))

    def _silence(self, end: int) -> Iterator[AudioFrame]:
        """Silence up to a sample, a second at a time."""
        while self._given < end:
            length = min(SOUND_RATE, end - self._given)
            yield self._frame(np.zeros((_CHANNELS, length), np.float32))

    def _frame(self, samples: NDArray[np.float32]) -> AudioFrame:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", "stereo")
        frame.sample_rate, frame.pts = SOUND_RATE, self._given
        frame.time_base = Fraction(1, SOUND_RATE)
        self._given += frame.samples
        return frame

    def _decode(self, packet: SoundPacket | None) -> Iterator[_Block]:
        """The blocks that a packet, or for None the end of input, brings forth."""
        if packet is not None and packet.has_sidedata("encryption_info"):
            self.is_damaged = True
            return
        try:
            frames = self.stream.codec_context.decode(packet)
        except MemoryError:
            raise
        except av.error.EOFError:
            frames = []
        except FFmpegError:
            self.is_damaged = True
            return
        for frame in frames:
            yield from self._resampled(frame)
        if packet is None:
            yield from self._blocks_of(self._resampler.resample(None))

    def _resampled(self, frame: AudioFrame) -> Iterator[_Block]:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._taken not in (None, kind):
            # A resampler takes one kind of samples; streams that were cut together have several.
            yield from self._blocks_of(self._resampler.resample(None))
            self._resampler = AudioResampler("fltp", "stereo", SOUND_RATE)
        self._taken = kind
        yield from self._blocks_of(self._resampler.resample(frame))

    def _blocks_of(self, frames: list[AudioFrame]) -> Iterator[_Block]:
        for frame in frames:
            samples = cast("NDArray[np.float32]", frame.to_ndarray())
            yield _Block(self._place_of(frame), samples)

    def _place_of(self, frame: AudioFrame) -> int:
        """Where a frame belongs; behind all that came before where it has no time."""
        if frame.pts is None or frame.time_base is None:
            last = self._blocks[-1] if self._blocks else None
            return self._given if last is None else last.at + last.samples.shape[1]
        return round((frame.pts * frame.time_base - self.origin_seconds) * SOUND_RATE)
