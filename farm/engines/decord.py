"""The `decord` engine: videos decoded to RGB by decord, whose FFmpeg of 2020 knows no AV1.

The container is opened by PyAV first: it tells the facts that decord tells only of decoded frames,
and refuses what decord, which has neither limits nor white lists, would open. decord then reads the
whole file into memory. It takes keyframes and frame numbers in order of storage, so with leading
pictures (open groups) its frames may be some frames off. A decord that was built for CUDA, which
the wheels are not, decodes on the GPU of a lane that has one; that is unverified.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

# PyAV first: decord makes its old codecs visible to every library that is loaded after it.
import av  # noqa: F401
import decord
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from farm.engines import Device, Source, Wish
from farm.engines.frame import FrameBatch
from farm.engines.pyav_errors import explained
from farm.engines.pyav_open import media_info, open_video
from farm.errors import CorruptError, LimitError, NoFrameError, UnsupportedFormatError
from farm.geometry import Size
from farm.media import ColorTags, MediaFormat, MediaInfo, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy

decord.logging.set_level(decord.logging.QUIET)

_MOST_BYTES = 2 << 30
_UNKNOWN_CODECS = frozenset(("av1", "vvc"))
_MIRRORED = frozenset((2, 4, 5, 7))
_FAILURES = (decord.DECORDError, RuntimeError, AssertionError, StopIteration, IndexError)


class DecordEngine:
    """Decodes with decord from bytes in memory, on one thread where it is not on a GPU."""

    name: ClassVar[str] = "decord"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.VIDEO})
    device: ClassVar[str] = "cpu"

    @property
    def version(self) -> str:
        """decord's version."""
        return str(decord.__version__)

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> "DecordDecoder":
        """Opens a video without decoding anything; raises a MediaError that names the source."""
        if source.size_bytes > _MOST_BYTES:
            raise LimitError(
                f"{source.name}: {source.size_bytes} bytes, and decord, which takes a whole file "
                f"into memory, is given {_MOST_BYTES} at most"
            )
        with explained(source.name):
            opened = open_video(source, media_format=media_format, limits=limits)
            with opened.container:
                info = media_info(opened, source, format_name=media_format.name, limits=limits)
        if info.codec in _UNKNOWN_CODECS:
            raise UnsupportedFormatError(f"{source.name}: decord has no decoder for {info.codec}")
        if info.orientation in _MIRRORED:
            raise UnsupportedFormatError(f"{source.name}: decord does not mirror pictures")
        # What turns pictures is a filter of FFmpeg's, on the CPU.
        device = _device() if info.orientation == 1 else "cpu"
        return DecordDecoder(source, _turned(info), device=device)


def _device() -> Device:
    # Only lanes of a GPU have begun to use it, and only they may.
    in_use: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return "cuda" if in_use and decord.gpu(0).exist else "cpu"


def _turned(info: MediaInfo) -> MediaInfo:
    """The facts of the frames as decord gives them: upright already."""
    if info.orientation < 5:
        return replace(info, orientation=1)
    size = Size(info.size.height, info.size.width)
    return replace(info, orientation=1, size=size, pixel_aspect=1 / info.pixel_aspect)


class DecordDecoder:
    """One opened video."""

    def __init__(self, source: Source, info: MediaInfo, *, device: Device = "cpu") -> None:
        self._source = source
        self._info = info
        self._device = device
        self._refusal: dict[str, str] = {}
        self._reader: Any = None
        self._frames_given = 0
        self._warnings: dict[str, None] = {}

    @property
    def info(self) -> MediaInfo:
        """What the container tells; its size is that of the upright frame."""
        return self._info

    @property
    def notes(self) -> dict[str, int | float | str]:
        """The device, and how many frames were asked of decord, which tells not what it decoded.

        `cpu_fallback` is why a GPU that could have done it did not.
        """
        given = {"frames_given": self._frames_given}
        return {"decord_device": self._device, **given, **self._refusal}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the frames given so far."""
        return tuple(self._warnings)

    def frames(self, targets: Sequence[Target], wish: Wish) -> Iterator[FrameBatch]:
        """Yields one RGB frame for each group of targets that it answers, in order of time.

        The wish changes nothing. Raises a MediaError where decord gives no frame.
        """
        if not targets:
            return
        times = self._times()
        answers: defaultdict[int, list[int]] = defaultdict(list)
        for index, target in enumerate(targets):
            answers[self._frame_number(target, times)].append(index)
        for number, answered in sorted(answers.items()):
            pixels = self._decode(number)
            yield FrameBatch(
                planes=(pixels[None],),
                color=ColorTags(),
                full_size=Size(pixels.shape[1], pixels.shape[0]),
                answers=(tuple(answered),),
                pts_seconds=(float(times[number]),),
                pixel_aspect=self._info.pixel_aspect,
            )

    def close(self) -> None:
        """Frees decord's reader; the source's file stays open."""
        self._reader = None

    def _open(self) -> Any:
        if self._reader is None:
            context = decord.gpu(0) if self._device == "cuda" else decord.cpu(0)
            self._source.file.seek(0)
            try:
                self._reader = decord.VideoReader(self._source.file, ctx=context, num_threads=1)
            except _FAILURES as error:
                self._fall_back(error)
                return self._open()
        return self._reader

    def _fall_back(self, error: Exception) -> None:
        """Goes on on the CPU; raises the error as CorruptError where it was there already."""
        if self._device == "cpu":
            raise CorruptError(f"{self._source.name}: decord: {_words(error)}") from error
        self._device, self._reader = "cpu", None
        self._refusal["cpu_fallback"] = _words(error)

    def _times(self) -> NDArray[np.float64]:
        """The time of each frame in seconds; decord counts from the stream's start, in 32 bits."""
        reader = self._open()
        from_start = reader.get_frame_timestamp(range(len(reader)))[:, 0]
        return np.asarray(from_start, np.float64) + self._info.start_seconds

    def _frame_number(self, target: Target, times: NDArray[np.float64]) -> int:
        slack = 1e-6 + abs(float(times[-1])) * 2**-22
        # Frames before the start are there for decoding only: an edit list hides them.
        first = int(np.searchsorted(times, self._info.start_seconds - slack))
        if target.frame is None:
            number = int(np.searchsorted(times, target.seconds + slack, side="right")) - 1
            if target.seconds > self._info.start_seconds + self._info.duration_seconds > 0:
                self._warnings["position_past_end"] = None
        else:
            count = len(times) - first
            if not -count <= target.frame < count:
                raise NoFrameError(
                    f"{self._source.name}: no frame {target.frame} among {count} frames"
                )
            number = first + target.frame % count
        number = max(number, first)
        if target.accuracy is Accuracy.KEYFRAME:
            keys = (key for key in self._reader.get_key_indices() if first <= key <= number)
            number = max(keys, default=first)
        return number

    def _decode(self, number: int) -> Tensor:
        """The frame as uint8 [H, W, 3], where it was decoded, in memory of its own."""
        try:
            frame = self._open()[number]
        except _FAILURES as error:
            self._fall_back(error)
            return self._decode(number)
        self._frames_given += 1
        if self._device == "cuda":
            torch.cuda.synchronize()  # decord has a stream of its own
        return from_dlpack(frame.to_dlpack()).clone()


def _words(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
