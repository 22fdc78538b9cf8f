"""Reads the part of a video that a clip shows, with its sound, in one pass."""

import gc
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame

from farm.clip.sound import Sound
from farm.clip.timing import Shown
from farm.engines import Source
from farm.engines.frame import FrameBatch
from farm.engines.pyav_decode import VideoPacket, decoded_at, ticks_of
from farm.engines.pyav_errors import explained
from farm.engines.pyav_frames import batch_from
from farm.engines.pyav_group import moment_of
from farm.engines.pyav_open import media_info, open_video
from farm.engines.pyav_pick import no_frame
from farm.engines.pyav_read import DemuxingReader
from farm.errors import MediaError, NoFrameError
from farm.media import MediaFormat, Transfer
from farm.sampling import POSITION_PAST_END, make_targets
from farm.settings import Limits
from farm.spec import Accuracy, ClipSpec, ThumbnailSpec

MOST_FRAMES_PER_SECOND = 240
# How much later than the pictures their sound may be in a file.
_MOST_LAG_SECONDS = 10
_USUAL_RATE = Fraction(25)
_MOST_UNSWEPT_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class Span:
    """The ticks of the source at which a clip starts and, where it does not go on, ends."""

    start: int
    end: int | None


class Footage:
    """An opened video, of which one clip is made; its methods raise a MediaError."""

    def __init__(
        self, source: Source, *, media_format: MediaFormat, limits: Limits, with_sound: bool
    ) -> None:
        self.name = source.name
        self.counts: Counter[str] = Counter()
        self.notes: dict[str, str] = {}
        self._warnings: dict[str, None] = {}
        # A clip has as many frames as its seconds have: those are what is bounded.
        most = math.ceil(limits.duration_seconds * MOST_FRAMES_PER_SECOND)
        with explained(source.name):
            opened = open_video(source, media_format=media_format, limits=limits)
            self._container = opened.container
            self.info = media_info(opened, source, format_name=media_format.name, limits=limits)
            self._warnings |= dict.fromkeys(self.info.warnings)
            self.sound = self._find_sound() if with_sound else None
            self._reader = DemuxingReader(
                opened,
                name=source.name,
                limits=limits.model_copy(update={"frames": most}),
                counts=self.counts,
                beside=self.sound,
            )
        self._packets: Iterator[VideoPacket] = iter(())
        self._unswept_bytes = 0
        self.time_base = self._reader.time_base
        rate = opened.stream.average_rate or opened.stream.base_rate
        self.rate = rate if rate and rate <= MOST_FRAMES_PER_SECOND else _USUAL_RATE

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the clip, up to now."""
        if self._reader.decoding.damage:
            self._warnings["damaged"] = None
        if self.sound is not None and self.sound.is_damaged:
            self._warnings["audio_damaged"] = None
        return tuple(self._warnings)

    def close(self) -> None:
        """Closes the container; the source's file stays open."""
        self._container.close()

    def span(self, spec: ClipSpec) -> Span:
        """What the clip shows; raises NoFrameError where it would start past the end."""
        start = self._first_ticks() if spec.start is None else self._start_of(spec)
        if spec.duration is None:
            return Span(start, None)
        return Span(start, start + max(1, round(Fraction(spec.duration) / self.time_base)))

    def _first_ticks(self) -> int:
        return (self._reader.first_ticks or 0) if self._reader.is_timed else 0

    def _start_of(self, spec: ClipSpec) -> int:
        asked = ThumbnailSpec(position=spec.start, accuracy=Accuracy.EXACT)
        (target,), warnings = make_targets(asked, self.info)
        if POSITION_PAST_END in warnings:
            raise self._past_end(spec)
        self._warnings |= dict.fromkeys(warnings)
        if target.frame is None:
            return moment_of(target, 0, self.time_base).ticks
        with explained(self.name):
            times = self._reader.presentation_ticks()
        if not -len(times) <= target.frame < len(times):
            raise self._past_end(spec)
        return times[target.frame]

    def no_frame(self, spec: ClipSpec) -> MediaError:
        """The error for a clip that would show nothing, where `frames` have ended."""
        is_past_end = spec.start is not None and self.counts["frames_decoded"] > 0
        return self._past_end(spec) if is_past_end else no_frame(self._reader)

    def _past_end(self, spec: ClipSpec) -> NoFrameError:
        start = None if spec.start is None else spec.start.model_dump()
        length = self.info.duration_seconds
        known = f", which is {length:.3f} s long" if length else ""
        return NoFrameError(
            f"{self.name}: the clip would start at {start}, past the end of the video{known}"
        )

    def frames(self, span: Span) -> Iterator[Shown[VideoFrame]]:
        """The frames from the keyframe before the span on, in order, with their own ticks."""
        if self.sound is not None:
            self.sound.origin_seconds = span.start * self.time_base
            self.sound.end_seconds = self._end_seconds(span)
        with explained(self.name):
            self._packets = self._reader.packets_from(self._reader.key_at(span.start))
            for frame in self._reader.play(self._packets):
                ticks = ticks_of(frame)
                yield Shown(frame, ticks, ticks + (frame.duration or self._frame_ticks()))

    def sound_up_to(self, seconds: Fraction) -> Iterator[AudioFrame]:
        """The sound of the clip up to there that was read by now and not yet given."""
        return iter(()) if self.sound is None else self.sound.up_to(seconds)

    def last_sound(self, seconds: Fraction) -> Iterator[AudioFrame]:
        """All sound of the clip up to there that was not yet given.

        No frame is decoded any more, but the file read on: sound may come later than its pictures.
        """
        if self.sound is None:
            return
        latest = self.sound.origin_seconds + seconds + _MOST_LAG_SECONDS
        with explained(self.name):
            for packet in self._packets:
                yield from self.sound.up_to(seconds)
                if self.sound.has(seconds) or decoded_at(packet) * self.time_base > latest:
                    break
            yield from self.sound.rest(seconds)

    def batch_of(self, frame: VideoFrame) -> FrameBatch:
        """A frame as pictures are made of it; raises UnsupportedColorError where none can be."""
        with explained(self.name):
            batch = batch_from(frame, self._reader, targets=(0,), orientation=self.info.orientation)
        if batch.color.transfer is not Transfer.SDR:
            self.notes["tone_mapped"] = batch.color.transfer.value
        if frame.is_corrupt:
            self._warnings["salvaged"] = None
        self._sweep(frame)
        return batch

    def _sweep(self, frame: VideoFrame) -> None:
        """Frees earlier frames: those whose side data was looked at are parts of cycles.

        The collector, which counts objects and not bytes, would let gigabytes of them gather.
        """
        self._unswept_bytes += sum(plane.buffer_size for plane in frame.planes)
        if self._unswept_bytes > _MOST_UNSWEPT_BYTES:
            gc.collect()
            self._unswept_bytes = 0

    def _frame_ticks(self) -> int:
        return max(1, round(1 / self.rate / self.time_base))

    def _end_seconds(self, span: Span) -> Fraction | None:
        if span.end is not None:
            return span.end * self.time_base
        if not self.info.duration_seconds:
            return None
        return Fraction(self.info.start_seconds + self.info.duration_seconds) + _MOST_LAG_SECONDS

    def _find_sound(self) -> Sound | None:
        """The sound that players choose, if a decoder for it is here."""
        streams = self._container.streams.audio
        if not streams:
            return None
        stream = max(streams, key=_worth)
        # Where there is no decoder there is no context, whatever PyAV's stubs say.
        if stream.codec_context is None:
            self._warnings["audio_ignored"] = None
            return None
        stream.discard = Discard.default
        return Sound(stream)


def _worth(stream: AudioStream) -> tuple[bool, bool, int]:
    is_default = bool(stream.disposition & Disposition.default)
    return stream.codec_context is not None, is_default, -stream.index
