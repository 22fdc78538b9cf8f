"""Writes a clip: H.264 and AAC in an MP4 that begins with its index, in memory."""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from types import TracebackType
from typing import Any, Self, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.codec import UnknownCodecError
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from farm.engines.pyav_errors import cause_of
from farm.errors import EncodeError, EngineUnavailableError, OutputTooLargeError
from farm.geometry import Size

SOUND_RATE = 48_000
"""Samples per second of a clip's sound, which is stereo."""

_ENCODER = "libx264"
# `veryfast` takes 2.7 ms for a picture of 640x360; `superfast` 1.6 with 1.7 times the bytes, `fast`
# 6.4 without saving any. The macroblock tree would save 6 %, but with it x264 165 gives other bytes
# each time, unless rows have a multiple of 8 macroblocks.
_ENCODER_OPTIONS = {"preset": "veryfast", "mbtree": "0"}
_SOUND_BITS_PER_SECOND = 128_000
_BUFFER_BYTES = 1 << 20
_BT709, _LIMITED_RANGE = 1, 1  # of ITU-T H.273 and of libav


def crf_of(quality: int) -> float:
    """The constant rate factor of a quality from 1 to 100: 51 - 0.35 * quality.

    That makes 23, x264's default, of 80, the outputs' default, and 16, hardly to be told from the
    source, of 100.
    """
    return 51 - 0.35 * quality


class Movie:
    """An MP4 on its way, written by one thread; closed on leaving its `with` block."""

    def __init__(
        self,
        size: Size,
        *,
        time_base: Fraction,
        rate: Fraction,
        quality: int,
        keyframe_interval: int | None,
        has_sound: bool,
        most_bytes: int,
    ) -> None:
        """`size` is even, times of pictures are in ticks of `time_base`, `rate` is their mean."""
        self.pictures = 0
        self._file = _MemoryFile(most_bytes)
        with _encoding():
            self._container = av.open(
                self._file,
                "w",
                format="mp4",
                options={"movflags": "+faststart"},
                buffer_size=_BUFFER_BYTES,
                # To put the index first, the muxer reads what it has written.
                io_open=self._file.reader,
            )
            options = _ENCODER_OPTIONS | {"crf": f"{crf_of(quality):.2f}"}
            if keyframe_interval is not None:
                options["sc_threshold"] = "0"  # none where a scene changes
            self._video = self._add_video(size, time_base, rate, options, keyframe_interval)
            self._sound = self._add_sound() if has_sound else None
        self._time_base = time_base

    def _add_video(
        self,
        size: Size,
        time_base: Fraction,
        rate: Fraction,
        options: dict[str, str],
        keyframe_interval: int | None,
    ) -> VideoStream:
        stream = cast(VideoStream, self._container.add_stream(_ENCODER, rate=rate, options=options))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        coder = stream.codec_context
        coder.thread_count = 1
        coder.time_base = time_base
        coder.flags |= Flags.frame_duration
        coder.color_primaries = coder.color_trc = coder.colorspace = _BT709
        coder.color_range = _LIMITED_RANGE
        if keyframe_interval is not None:
            coder.gop_size = keyframe_interval
        return stream

    def _add_sound(self) -> AudioStream:
        sound = self._container.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        sound.bit_rate = _SOUND_BITS_PER_SECOND
        return sound

    def add_picture(self, frame: VideoFrame, *, begin: int, end: int) -> None:
        """Encodes the next picture, yuv420p of BT.709 and limited range, shown for these ticks."""
        frame.pts, frame.duration, frame.time_base = begin, end - begin, self._time_base
        with _encoding():
            self._container.mux(self._video.encode(frame))
        self.pictures += 1

    def add_sound(self, frames: Iterable[AudioFrame]) -> None:
        """Encodes the next samples, float stereo at `SOUND_RATE`; their pts counts samples."""
        for frame in frames:
            if self._sound is not None:
                with _encoding():
                    self._container.mux(self._sound.encode(frame))

    def finish(self) -> bytes:
        """Ends the file, gives its bytes; raises EncodeError or OutputTooLargeError, as all do."""
        with _encoding():
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._container.mux(self._sound.encode(None))
            self._container.close()
        return bytes(self._file.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Of a file that was given up, closing tries to write the rest.
        with suppress(FFmpegError, OutputTooLargeError):
            self._container.close()


def check_encoder() -> None:
    """Raises EngineUnavailableError where this build of PyAV encodes no H.264."""
    try:
        av.Codec(_ENCODER, "w")
    except UnknownCodecError:
        raise EngineUnavailableError(
            f"clips need the H.264 encoder {_ENCODER}, which this build of PyAV lacks; "
            "to install one that has it: pip install 'av>=16'"
        ) from None


@contextmanager
def _encoding() -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except (FFmpegError, ValueError) as error:
        raise EncodeError(f"the clip cannot be encoded: {cause_of(error)}") from error


class _MemoryFile(io.RawIOBase):
    """A file of at most so many bytes in memory: a lane may open none on disk."""

    def __init__(self, most_bytes: int, *, data: bytearray | None = None) -> None:
        self.data = bytearray() if data is None else data
        self._most_bytes = most_bytes
        self._offset = 0

    def reader(self, url: str, flags: int, options: dict[str, str]) -> "_MemoryFile":
        """The same bytes with a place of their own; has the arguments of an `io_open` of PyAV."""
        return _MemoryFile(self._most_bytes, data=self.data)

    def readable(self) -> bool:
        """Always."""
        return True

    def writable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next byte is or goes."""
        return self._offset

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to an offset from the start, the present place or the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: len(self.data)}[whence]
        self._offset = base + offset
        return self._offset

    def read(self, size: int = -1) -> bytes:
        """The next bytes, fewer at the end."""
        end = len(self.data) if size < 0 else self._offset + size
        found = bytes(memoryview(self.data)[self._offset : end])
        self._offset += len(found)
        return found

    def write(self, data: Any) -> int:
        """Writes all of it; raises OutputTooLargeError where the file would become too large."""
        view = memoryview(data).cast("B")
        end = self._offset + len(view)
        if end > self._most_bytes:
            raise OutputTooLargeError(
                f"the clip would have more than the {self._most_bytes} bytes allowed; "
                "ask for a shorter or smaller one, or for a lower quality"
            )
        self.data.extend(bytes(max(0, self._offset - len(self.data))))
        self.data[self._offset : end] = view
        self._offset = end
        return len(view)
