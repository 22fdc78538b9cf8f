"""The `pyav` engine: videos decoded on the CPU by FFmpeg's libraries, a keyframe in one packet."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar

import av
from av.video.frame import VideoFrame

from farm.engines import Source
from farm.engines.frame import FrameBatch
from farm.engines.pyav_decode import ticks_of
from farm.engines.pyav_errors import explained
from farm.engines.pyav_exact import exact_frames
from farm.engines.pyav_frames import orientation_from, planes_of
from farm.engines.pyav_group import Moment, moment_of
from farm.engines.pyav_light import check_colors
from farm.engines.pyav_open import Opened, media_info, open_video, pixel_aspect
from farm.engines.pyav_pick import Pick, key_frames
from farm.engines.pyav_read import DemuxingReader
from farm.errors import NoFrameError
from farm.geometry import Size
from farm.media import MediaFormat, MediaInfo, MediaKind, Transfer
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy, Fidelity


class PyAVEngine:
    """Decodes with libavformat and libavcodec on one thread, reading only the bytes it is given."""

    name: ClassVar[str] = "pyav"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.VIDEO})
    device: ClassVar[str] = "cpu"

    @property
    def version(self) -> str:
        """PyAV's version and that of the FFmpeg inside it."""
        return f"{av.__version__} (FFmpeg {av.ffmpeg_version_info})"

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> "PyAVDecoder":
        """Opens a video without decoding anything; raises a MediaError that names the source."""
        with explained(source.name):
            opened = open_video(source, media_format=media_format, limits=limits)
            info = media_info(opened, source, format_name=media_format.name, limits=limits)
            return PyAVDecoder(opened, info=info, name=source.name, limits=limits)


class PyAVDecoder:
    """One opened video."""

    def __init__(self, opened: Opened, *, info: MediaInfo, name: str, limits: Limits) -> None:
        self._opened = opened
        self._name = name
        self._codec = opened.stream.codec_context.codec.canonical_name
        self._counts: Counter[str] = Counter()
        self._reader = DemuxingReader(opened, name=name, limits=limits, counts=self._counts)
        self._warnings: dict[str, None] = {}
        self._notes = {"open": "fast" if opened.fast else "plain"}
        self._info = info

    @property
    def info(self) -> MediaInfo:
        """What the container tells; decodes nothing."""
        return self._info

    @property
    def notes(self) -> dict[str, int | float | str]:
        """How the file was opened, what HDR was tone-mapped, and counts of what was done."""
        return {**self._notes, **self._counts}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the frames given so far."""
        return tuple(self._warnings)

    def frames(
        self,
        targets: Sequence[Target],
        *,
        at_least: Size | None,
        fidelity: Fidelity = Fidelity.BALANCED,
        previews: bool = False,
    ) -> Iterator[FrameBatch]:
        """Yields one frame for each group of targets that it answers, keyframes first.

        `at_least` changes nothing: these decoders have no smaller size. A target past the end gets
        the last frame, one before the start the first; in an elementary stream, which has no times
        to seek, every target gets its exact frame. Raises a MediaError where nothing decodes.
        """
        with explained(self._name):
            yield from self._frames(targets)

    def close(self) -> None:
        """Closes the container; the source's file stays open."""
        self._opened.container.close()

    def _frames(self, targets: Sequence[Target]) -> Iterator[FrameBatch]:
        if not targets:
            return
        moments = self._moments(targets)
        keyed = [
            moment
            for moment in moments
            if self._reader.is_timed and targets[moment.target].accuracy is Accuracy.KEYFRAME
        ]
        exact = [moment for moment in moments if moment not in keyed]
        far: list[Moment] = []
        yield from self._batches(key_frames(self._reader, keyed, far))
        if far:
            self._counts["keyframes_too_far"] += len(far)
        yield from self._batches(exact_frames(self._reader, sorted(exact + far)))
        if self._reader.decoding.damage:
            self._warnings["damaged"] = None

    def _batches(self, picks: Iterator[Pick]) -> Iterator[FrameBatch]:
        for pick in picks:
            self._warnings |= dict.fromkeys(pick.warnings)
            yield self._batch(pick.frame, pick.targets)

    def _moments(self, targets: Sequence[Target]) -> list[Moment]:
        """The targets' times in ticks, ascending."""
        reader, info = self._reader, self._info
        end = info.start_seconds + info.duration_seconds
        times = reader.presentation_ticks() if any(t.frame is not None for t in targets) else []
        moments = []
        for index, target in enumerate(targets):
            if target.frame is None:
                if info.duration_seconds and target.seconds > end:
                    self._warnings["position_past_end"] = None
                moments.append(moment_of(target, index, reader.time_base))
            elif -len(times) <= target.frame < len(times):
                moments.append(Moment(times[target.frame], index))
            else:
                raise NoFrameError(
                    f"{self._name}: no frame {target.frame} among {len(times)} frames"
                )
        return sorted(moments)

    def _batch(self, frame: VideoFrame, targets: tuple[int, ...]) -> FrameBatch:
        check_colors(frame, name=self._name)
        planes, color = planes_of(frame, self._codec)
        if color.transfer is not Transfer.SDR:
            self._notes["tone_mapped"] = color.transfer.value
        orientation = orientation_from(frame)
        return FrameBatch(
            planes=planes,
            color=color,
            full_size=Size(frame.width, frame.height),
            answers=(targets,),
            pts_seconds=(float(ticks_of(frame) * self._reader.time_base),),
            orientation=self._info.orientation if orientation is None else orientation,
            pixel_aspect=pixel_aspect(self._opened),
        )


ENGINE = PyAVEngine()
