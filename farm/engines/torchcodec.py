"""The `torchcodec` engine: videos decoded by torchcodec, on a GPU by NVDEC, else by FFmpeg.

PyAV opens the file first: it has limits and white lists, and tells the facts and the keyframes'
times. torchcodec then opens it as well and decodes from there, packet by packet. It is sure or
gives up: what it cannot do surely is left to the pyav engine, which has the last word on what is
wrong with a file. Two things torchcodec does not tell: pictures that a decoder has mended, and
what light they were made for. For the latter one keyframe of more than 8 bits is decoded by PyAV.

torchcodec decodes with the FFmpeg of the system (4 to 9), and needs its shared libraries. Without a
package of them, those in PyAV's wheel serve under their plain names (`libavcodec.so.62` and so on),
in a folder that LD_LIBRARY_PATH names when the process starts.

On a GPU the frames of one stream are made on the CUDA stream that is current in the thread. What is
said here of a GPU is unverified on one.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import ClassVar, NoReturn, cast

# PyAV first, as everywhere: its FFmpeg and that of the system know nothing of each other.
import av  # noqa: F401
import torch
import torchcodec

from farm.engines import Source, Wish
from farm.engines.frame import FrameBatch
from farm.engines.pyav import PyAVEngine
from farm.engines.pyav_errors import explained
from farm.engines.pyav_group import Moment, moment_of
from farm.engines.pyav_open import media_info, open_video
from farm.engines.pyav_pick import part_far
from farm.engines.pyav_read import DemuxingReader
from farm.engines.torchcodec_file import FileView
from farm.engines.torchcodec_frames import (
    check_layout,
    color_tags_of,
    orientation_of,
    planes_of,
)
from farm.engines.torchcodec_play import Player, Taken, UnsureError, exact_frames, key_frames
from farm.engines.torchcodec_stream import check_format, follow
from farm.errors import NoFrameError, UnsupportedFormatError
from farm.geometry import Size
from farm.media import MediaFormat, MediaKind, Transfer
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy

if torchcodec.ffmpeg_major_version is None:
    raise ImportError(
        "torchcodec finds no FFmpeg to decode with: expected the shared libraries of FFmpeg 4 to 9 "
        "(libavcodec and its kin) on the library path, and a torch that this torchcodec was made "
        "for; Debian and Ubuntu have them in the package ffmpeg, conda-forge too"
    )

_BUFFER_BYTES = 64 << 10
# Codecs whose pictures may carry facts on light, and by what names PyAV has them.
_LIT = frozenset(("av1", "hevc", "vp9"))
_LIGHT_FACTS = ("CONTENT_LIGHT_LEVEL", "DOVI_METADATA", "MASTERING_DISPLAY_METADATA")


class TorchcodecEngine:
    """Decodes on the GPU in a process that has begun to use one, else on one thread of the CPU."""

    name: ClassVar[str] = "torchcodec"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.VIDEO})
    device: ClassVar[str] = "cuda"

    def __init__(self, device: str | None = None) -> None:
        self._device = device

    @property
    def version(self) -> str:
        """torchcodec's version and that of the FFmpeg that it found."""
        return f"{torchcodec.__version__} (FFmpeg {torchcodec.ffmpeg_major_version})"

    def open(
        self, source: Source, *, media_format: MediaFormat, limits: Limits
    ) -> "TorchcodecDecoder":
        """Opens a video; raises a MediaError that names the source.

        UnsupportedFormatError is for all that torchcodec cannot do surely.
        """
        device = self._device or _device()
        check_format(source, media_format.name)
        with explained(source.name):
            return TorchcodecDecoder(
                source, media_format=media_format, limits=limits, device=device
            )


def _device() -> str:
    # Only lanes of a GPU have begun to use it, and only they may.
    return "cuda" if torch.cuda.is_initialized() else "cpu"  # type: ignore[no-untyped-call]


class TorchcodecDecoder:
    """One opened video."""

    def __init__(
        self, source: Source, *, media_format: MediaFormat, limits: Limits, device: str
    ) -> None:
        self._source = source
        self._format = media_format
        self._limits = limits
        self._counts: Counter[str] = Counter()
        self._notes: dict[str, str] = {}
        self._warnings: dict[str, None] = {}
        self._side_data: Mapping[str, object] | None = None
        # PyAV and torchcodec take turns in reading the file.
        view = io.BufferedReader(FileView(source.file), _BUFFER_BYTES)
        opened = open_video(replace(source, file=view), media_format=media_format, limits=limits)
        self._container = opened.container
        try:
            self.info = media_info(
                opened,
                replace(source, file=view),
                format_name=media_format.name,
                limits=limits,
            )
            self._followed = follow(
                source,
                format_name=media_format.name,
                index=opened.stream.index,
                codec=self.info.codec,
                size=self.info.size,
                device=device,
            )
        except BaseException:
            self._container.close()
            raise
        if self._followed.refusal:
            self._notes["cpu_fallback"] = self._followed.refusal
        self._reader = DemuxingReader(opened, name=source.name, limits=limits, counts=Counter())
        self._player = Player(self._followed, self._reader, limits=limits, counts=self._counts)

    @property
    def notes(self) -> dict[str, int | float | str]:
        """Counts of what was done, what HDR was tone-mapped, and why not NVDEC but the CPU did it.

        The last is `cpu_fallback`: a decoder of the GPU that could not take the stream.
        """
        return {**self._notes, **self._counts}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the frames given so far."""
        return tuple(self._warnings)

    def frames(self, targets: Sequence[Target], wish: Wish) -> Iterator[FrameBatch]:
        """Yields one frame for each group of targets that it answers, keyframes first.

        The wish changes nothing. A target past the end gets the last frame, one before the start
        the first. Raises UnsupportedFormatError where a frame is not surely right, and what the
        pyav engine says of the file where that one cannot do it either.
        """
        keyed, exact = list[Moment](), list[Moment]()
        left = dict(enumerate(targets))
        try:
            with explained(self._source.name):
                keyed, exact = self._moments(targets)
                for choose, moments in ((key_frames, keyed), (exact_frames, exact)):
                    for taken in choose(self._player, moments):
                        yield self._batch(taken)
                        for index in taken.targets:
                            del left[index]
        except UnsureError as error:
            unsure = next(moment.target for moment in (*keyed, *exact) if moment.target in left)
            self._give_up(targets[unsure], error)

    def close(self) -> None:
        """Closes the container that PyAV opened; the source's file stays open."""
        self._container.close()

    def _moments(self, targets: Sequence[Target]) -> tuple[list[Moment], list[Moment]]:
        """The targets' times in ticks, ascending: those of keyframes, and those of exact frames."""
        info, reader = self.info, self._reader
        end = info.start_seconds + info.duration_seconds
        numbered = any(target.frame is not None for target in targets)
        times = reader.presentation_ticks() if numbered else []
        keyed, exact = list[Moment](), list[Moment]()
        for index, target in enumerate(targets):
            if target.frame is None:
                if info.duration_seconds and target.seconds > end:
                    self._warnings["position_past_end"] = None
                is_key = target.accuracy is Accuracy.KEYFRAME
                (keyed if is_key else exact).append(moment_of(target, index, reader.time_base))
            elif -len(times) <= target.frame < len(times):
                exact.append(Moment(times[target.frame], index))
            else:
                raise NoFrameError(
                    f"{self._source.name}: no frame {target.frame} among {len(times)} frames"
                )
        near, far = part_far(reader, sorted(keyed))
        if far:
            self._counts["keyframes_too_far"] = len(far)
        return near, sorted(exact + far)

    def _batch(self, taken: Taken) -> FrameBatch:
        frame, header, info = taken.frame, self._followed.header, self.info
        check_layout(frame.pixel_format, name=self._source.name)
        lit = frame.bit_depth > 8 and info.codec in _LIT
        color = color_tags_of(
            frame,
            header,
            codec=info.codec,
            side_data=self._light() if lit else {},
            name=self._source.name,
        )
        if color.transfer is not Transfer.SDR:
            self._notes["tone_mapped"] = color.transfer.value
        planes, shift = planes_of(frame)
        # Only the container's matrix tells of mirrors, and only the stream's header of the codec's
        # own pixel aspect.
        turned = orientation_of(frame.rotation) if info.orientation == 1 else info.orientation
        aspect = info.pixel_aspect if info.pixel_aspect != 1 else header.pixel_aspect_ratio or 1
        return FrameBatch(
            planes=planes,
            color=color,
            full_size=Size(frame.width, frame.height),
            answers=(taken.targets,),
            pts_seconds=(float(self._player.ticks_of(frame) * self._reader.time_base),),
            orientation=turned,
            pixel_aspect=float(aspect),
            shift=shift,
        )

    def _light(self) -> Mapping[str, object]:
        """What PyAV tells of the first keyframe's light; it is taken to hold for all frames."""
        if self._side_data is None:
            key = self._reader.key_at(self._reader.first_ticks or 0)
            packets = islice(self._reader.packets_from(key), 1)
            frames = list(self._reader.decoding.play(packets))
            found = cast("Mapping[str, object]", frames[0].side_data if frames else {})
            self._side_data = {kind: found[kind] for kind in _LIGHT_FACTS if kind in found}
        return self._side_data

    def _give_up(self, target: Target, cause: UnsureError) -> NoReturn:
        """Raises what the pyav engine says of the target, else that it is for that engine."""
        decoder = PyAVEngine().open(self._source, media_format=self._format, limits=self._limits)
        with closing(decoder):
            for _ in decoder.frames([target], Wish()):
                pass
        raise UnsupportedFormatError(
            f"{self._source.name}: torchcodec is not sure of it: {cause}; engine pyav is"
        ) from cause
