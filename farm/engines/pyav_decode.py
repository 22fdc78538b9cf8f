"""Decoding one video stream: on one thread, counted, within limits, and less where it may be."""

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from typing import TYPE_CHECKING, TypeAlias

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from farm.engines.pyav_errors import cause_of
from farm.engines.pyav_nal import temporal_layer
from farm.errors import TooManyFramesError
from farm.settings import Limits

# Packet is generic in PyAV's stubs only.
if TYPE_CHECKING:
    VideoPacket: TypeAlias = Packet[VideoStream]
else:
    VideoPacket = Packet

# Codecs whose pictures say that no other refers to them, and whose decoders then can leave them
# out; in all of these the pictures decoded after them come out the same.
_TELL_REFERENCES = frozenset(("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"))


def ticks_of(timed: VideoPacket | VideoFrame) -> int:
    """The presentation time in ticks; the decoding time where a container has no other."""
    if timed.pts is not None:
        return timed.pts
    return timed.dts if timed.dts is not None else 0


def decoded_at(packet: VideoPacket) -> int:
    """The decoding time in ticks; the presentation time where a container has no other."""
    return packet.dts if packet.dts is not None else ticks_of(packet)


class Decoding:
    """A codec at work for the source `name`; `counts` goes on where another reader began it."""

    def __init__(
        self, context: VideoCodecContext, *, name: str, limits: Limits, counts: Counter[str]
    ) -> None:
        self.codec = context.codec.canonical_name
        self.counts = counts
        self.damage = ""
        self.has_lone_fields = False
        self.fed_ticks = 0
        self._context = context
        self._name = name
        self._limits = limits
        context.thread_count = 1
        context.options = {"max_pixels": str(limits.frame_pixels)}
        if self.codec == "h264":
            # A stream that doesn't tell its reordering depth gets the greatest its level allows;
            # a guessed, growing depth drops the first frames that come out of order.
            context.options |= {"strict": "strict"}

    def decode(self, packet: VideoPacket | None) -> list[VideoFrame]:
        """The frames that a packet, or for None the end of input, brings forth."""
        if packet is not None:
            self.counts["packets_fed"] += 1
            self.fed_ticks = decoded_at(packet)
        try:
            frames = self._context.decode(packet)
        except MemoryError:
            raise
        except av.error.EOFError:
            return []
        except av.error.InvalidDataError as error:
            self.damage = cause_of(error)
            return []
        self.counts["frames_decoded"] += len(frames)
        if self.counts["frames_decoded"] > self._limits.frames:
            raise TooManyFramesError(
                f"{self._name}: more than the {self._limits.frames} frames allowed "
                "had to be decoded"
            )
        return frames

    def flush(self) -> None:
        """Forgets what the decoder holds."""
        self._context.flush_buffers()

    def play(self, packets: Iterator[VideoPacket]) -> Iterator[VideoFrame]:
        """All frames in order of presentation, of packets whose first needs none before it."""
        self.flush()
        for packet in packets:
            yield from self.decode(packet)
        yield from self.decode(None)

    def play_wanted(self, packets: Sequence[VideoPacket], wanted: Set[int]) -> Iterator[VideoFrame]:
        """Frames of a group, all that are shown at `wanted` ticks among them.

        Other pictures are left out where nothing refers to them.
        """
        droppable = self._droppable(packets)
        self.flush()
        try:
            for packet, may_drop in zip(packets, droppable, strict=True):
                drops = may_drop and packet.pts not in wanted
                self._context.skip_frame = "NONREF" if drops else "DEFAULT"
                yield from self.decode(packet)
            yield from self.decode(None)
        finally:
            self._context.skip_frame = "DEFAULT"
            self.flush()

    def _droppable(self, packets: Sequence[VideoPacket]) -> list[bool]:
        """Which pictures may be left out if their own headers agree.

        In HEVC a picture that no other of its temporal layer refers to may still serve the layers
        above (ITU-T H.265, 3.156), so that only the highest layer is sure.
        """
        if self.codec != "hevc":
            return [self.codec in _TELL_REFERENCES] * len(packets)
        extradata = self._context.extradata
        layers = [temporal_layer(memoryview(packet), extradata) for packet in packets]
        known = [layer for layer in layers if layer is not None]
        sure = len(known) == len(layers)
        return [sure and layer == max(known) for layer in layers]
