"""One video for the `dali` engine: our own index numbers its frames, DALI decodes them."""

import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from farm.engines import Source, Wish
from farm.engines.dali_color import check_matrix, in_own_matrix
from farm.engines.dali_index import FrameIndex, read_index
from farm.engines.dali_pipeline import DaliError, Decoders
from farm.engines.frame import FrameBatch
from farm.engines.pyav import PyAVEngine
from farm.engines.pyav_errors import explained
from farm.engines.pyav_group import moment_of
from farm.engines.still import OddError
from farm.errors import (
    CorruptError,
    NoFrameError,
    TooManyFramesError,
    TruncatedError,
    UnsupportedFormatError,
)
from farm.media import MediaFormat, MediaInfo, Transfer
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy

_MOST_ASK_BYTES = 128 << 20  # of the frames that are asked for at once
_CPU_CODECS = frozenset(("mjpeg", "vp8", "vp9"))
_GPU_CODECS = _CPU_CODECS | {"av1", "h264", "hevc", "mpeg4"}


@dataclass(frozen=True, slots=True)
class _Held:
    """A video in memory: its bytes, its frames by number, and what its first keyframe tells."""

    file: NDArray[np.uint8]
    index: FrameIndex
    first: FrameBatch


class DaliVideo:
    """One opened video.

    DALI tells nothing of a file, and ignores how it is to be shown. So its header is read by PyAV,
    and PyAV decodes one keyframe, whose tags are the truth.
    """

    def __init__(
        self,
        source: Source,
        info: MediaInfo,
        *,
        media_format: MediaFormat,
        limits: Limits,
        decoders: Decoders,
    ) -> None:
        self._source = source
        self._info = info
        self._format = media_format
        self._limits = limits
        self._decoders = decoders
        self._counts: Counter[str] = Counter()
        self._warnings: dict[str, None] = {}
        known = _GPU_CODECS if decoders.device == "cuda" else _CPU_CODECS
        if info.codec not in known:
            raise UnsupportedFormatError(
                f"{source.name}: DALI on device {decoders.device} decodes "
                f"{', '.join(sorted(known))}; this is {info.codec}"
            )

    @property
    def info(self) -> MediaInfo:
        """What the container tells."""
        return self._info

    @property
    def notes(self) -> dict[str, int | float | str]:
        """The device, and counts of frames decoded and of keyframes too far from their moments."""
        return {"device": self._decoders.device, **self._counts}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the frames given so far."""
        return tuple(self._warnings)

    def frames(self, targets: Sequence[Target], wish: Wish) -> Iterator[FrameBatch]:
        """Yields frames in order of time, one for each group of targets that it answers.

        The wish changes nothing. Raises UnsupportedFormatError where DALI fails, or where its
        frames would not be those that were asked for: another engine may know better.
        """
        if not targets:
            return
        held = self._held
        answers = self._answers(held.index, targets)
        numbers = sorted(answers)
        self._check_count(held.index.decoded_for(numbers))
        size = held.first.full_size
        step = max(1, _MOST_ASK_BYTES // (3 * size.width * size.height))
        for start in range(0, len(numbers), step):
            part = numbers[start : start + step]
            yield self._batch(held, part, [tuple(answers[number]) for number in part])

    def close(self) -> None:
        """Forgets the bytes of the video; the source's file stays open."""
        self.__dict__.pop("_held", None)

    @cached_property
    def _held(self) -> _Held:
        with explained(self._source.name):
            data = self._source.read_at(0, self._source.size_bytes)
            copy = Source(io.BytesIO(data), len(data), self._source.name)
            try:
                first = self._first_keyframe(copy)
                self._check_frame(first)
                index = read_index(copy, media_format=self._format, limits=self._limits)
            except OddError as error:
                raise self._passed_on(error) from error
            return _Held(np.frombuffer(data, np.uint8), index, first)

    def _first_keyframe(self, source: Source) -> FrameBatch:
        """What PyAV makes of the first keyframe.

        Raises OddError for a damaged one, and UnsupportedFormatError for none at all.
        """
        start = Target(self._info.start_seconds, Accuracy.KEYFRAME)
        try:
            opened = PyAVEngine().open(source, media_format=self._format, limits=self._limits)
            with closing(opened) as decoder:
                (first,) = decoder.frames([start], Wish())
                warnings = decoder.warnings
        except (CorruptError, NoFrameError, TruncatedError) as error:
            raise UnsupportedFormatError(
                f"{error}; engine dali needs the first keyframe"
            ) from error
        if warnings:
            raise OddError("has a damaged first keyframe")
        return first

    def _check_frame(self, first: FrameBatch) -> None:
        """Raises OddError for what DALI does not decode, or shows in wrong colours."""
        if not first.is_yuv:
            raise OddError("is not coded as Y, U and V")
        if first.color.bits != 8:
            raise OddError(f"has {first.color.bits} bits a sample, of which DALI leaves 8")
        if first.color.transfer is not Transfer.SDR:
            raise OddError(f"is HDR of {first.color.transfer.value}, which DALI ignores")
        check_matrix(first.color)
        luma, chroma = (plane.shape[1:] for plane in first.planes[:2])
        if [*chroma] != [*luma] and any(length % 2 for length in luma):
            raise OddError("has frames of an odd size, whose chroma DALI misplaces")
        is_halved = [*chroma] == [-(-length // 2) for length in luma]
        if self._decoders.device == "cuda" and not is_halved:
            raise OddError("has chroma that is not 4:2:0")

    def _answers(self, index: FrameIndex, targets: Sequence[Target]) -> defaultdict[int, list[int]]:
        """The targets that each wanted frame answers, by the frame's number."""
        answers: defaultdict[int, list[int]] = defaultdict(list)
        for place, target in enumerate(targets):
            answers[self._number(index, target)].append(place)
        return answers

    def _number(self, index: FrameIndex, target: Target) -> int:
        if target.frame is not None:
            return index.numbered(target.frame, name=self._source.name)
        end = self._info.start_seconds + self._info.duration_seconds
        if self._info.duration_seconds and target.seconds > end:
            self._warnings["position_past_end"] = None
        moment = moment_of(target, 0, index.time_base)
        number = index.number_at(moment.ticks)
        if target.accuracy is not Accuracy.KEYFRAME:
            return number
        key = index.key_of(number)
        if moment.max_drift is not None and moment.ticks - index.ticks[key] > moment.max_drift:
            self._counts["keyframes_too_far"] += 1
            return number
        return key

    def _check_count(self, count: int) -> None:
        self._counts["frames_decoded"] += count
        if self._counts["frames_decoded"] > self._limits.frames:
            raise TooManyFramesError(
                f"{self._source.name}: more than the {self._limits.frames} frames allowed "
                "had to be decoded"
            )

    def _batch(
        self, held: _Held, numbers: Sequence[int], answers: Sequence[tuple[int, ...]]
    ) -> FrameBatch:
        first = held.first
        try:
            pictures = self._decoders.frames(held.file, numbers, size=first.full_size)
            planes, color = in_own_matrix(pictures, first.color)
        except DaliError as error:
            raise UnsupportedFormatError(
                f"{self._source.name}: DALI cannot decode this {self._info.codec}: {error}"
            ) from error
        except OddError as error:
            raise self._passed_on(error) from error
        return FrameBatch(
            planes=planes,
            color=color,
            full_size=first.full_size,
            answers=tuple(answers),
            pts_seconds=tuple(held.index.seconds(number) for number in numbers),
            orientation=first.orientation,
            pixel_aspect=first.pixel_aspect,
        )

    def _passed_on(self, error: OddError) -> UnsupportedFormatError:
        return UnsupportedFormatError(f"{self._source.name}: {error}, which engine pyav is for")
