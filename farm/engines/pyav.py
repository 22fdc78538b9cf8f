"""The `pyav` engine: videos decoded on the CPU by FFmpeg's libraries, a keyframe in one packet."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import av
from av.error import FFmpegError

from farm.engines import Source, Wish
from farm.engines.frame import FrameBatch
from farm.engines.mp4 import NotIndexedError
from farm.engines.pyav_errors import explained
from farm.engines.pyav_exact import exact_frames, sure_exact_frames
from farm.engines.pyav_frames import batch_from
from farm.engines.pyav_group import Moment, moment_of
from farm.engines.pyav_index import IndexedReader
from farm.engines.pyav_movie import open_movie
from farm.engines.pyav_open import media_info, open_video
from farm.engines.pyav_pick import Pick, key_frames, part_far, sure_key_frames
from farm.engines.pyav_read import DemuxingReader
from farm.engines.pyav_reader import Reader
from farm.errors import CorruptError, NoFrameError, TruncatedError
from farm.media import MediaFormat, MediaKind, Transfer
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy

# What an attempt with the index may meet, and libavformat has the last word on.
_DOUBTS = (NotIndexedError, FFmpegError, CorruptError, TruncatedError, NoFrameError)


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
            return PyAVDecoder(source, media_format=media_format, limits=limits)


class PyAVDecoder:
    """One opened video.

    An MP4 whose index says all is read by that index. Whatever does not surely come out right that
    way is left to libavformat, which then opens the file as well.
    """

    def __init__(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> None:
        self._source = source
        self._format = media_format
        self._limits = limits
        self._counts: Counter[str] = Counter()
        self._warnings: dict[str, None] = {}
        self._notes: dict[str, str] = {}
        self._may_salvage = True
        self._indexed: IndexedReader | None = None
        self._demuxing: DemuxingReader | None = None
        movie = open_movie(source, media_format=media_format, limits=limits)
        if movie is not None:
            self._notes["open"] = "index"
            self._indexed = IndexedReader(
                movie, name=source.name, limits=limits, counts=self._counts
            )
        self.info = (
            media_info(self._demux().opened, source, format_name=media_format.name, limits=limits)
            if movie is None
            else movie.info
        )

    @property
    def notes(self) -> dict[str, int | float | str]:
        """How the file was opened, what HDR was tone-mapped, and counts of what was done."""
        return {**self._notes, **self._counts}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the frames given so far."""
        return tuple(self._warnings)

    def frames(self, targets: Sequence[Target], wish: Wish) -> Iterator[FrameBatch]:
        """Yields one frame for each group of targets that it answers, keyframes first.

        Of the wish only `salvage` counts: these decoders have no smaller size. A target past the
        end gets the last frame, one before the start the first; in an elementary stream, which has
        no times to seek, every target gets its exact frame. Raises a MediaError where nothing
        decodes.
        """
        self._may_salvage = wish.salvage
        with explained(self._source.name):
            left = dict(enumerate(targets))
            # Not after libavformat: it counts on the file to stand where it left it.
            if self._indexed is not None and self._demuxing is None:
                yield from self._attempt(self._indexed, left)
            if left:
                yield from self._insist(self._demuxing or self._demux(), left)

    def close(self) -> None:
        """Closes the container; the source's file stays open."""
        if self._demuxing is not None:
            self._demuxing.opened.container.close()

    def _demux(self) -> DemuxingReader:
        """Has libavformat open the file."""
        opened = open_video(self._source, media_format=self._format, limits=self._limits)
        self._notes["open"] = "fast" if opened.fast else "plain"
        self._demuxing = DemuxingReader(
            opened, name=self._source.name, limits=self._limits, counts=self._counts
        )
        return self._demuxing

    def _attempt(self, reader: Reader, left: dict[int, Target]) -> Iterator[FrameBatch]:
        """The frames that surely are right; takes their targets out of `left`."""
        try:
            keyed, exact = self._moments(reader, left)
            for picks in (sure_key_frames(reader, keyed), sure_exact_frames(reader, exact)):
                for pick in picks:
                    yield self._batch(reader, pick)
                    for index in pick.targets:
                        del left[index]
        except MemoryError:
            raise
        except _DOUBTS:
            return

    def _insist(self, reader: DemuxingReader, left: dict[int, Target]) -> Iterator[FrameBatch]:
        """The best frames that can be had."""
        keyed, exact = self._moments(reader, left)
        for picks in (key_frames(reader, keyed), exact_frames(reader, exact)):
            for pick in picks:
                yield self._batch(reader, pick)
        if reader.decoding.damage:
            self._warnings["damaged"] = None
            self._refuse_damage(reader.decoding.damage)

    def _refuse_damage(self, cause: str) -> None:
        """Raises CorruptError where nothing is to be shown of what is damaged."""
        if not self._may_salvage:
            raise CorruptError(f"{self._source.name}: is damaged: {cause}")

    def _moments(
        self, reader: Reader, targets: Mapping[int, Target]
    ) -> tuple[list[Moment], list[Moment]]:
        """The targets' times in ticks, ascending: those of keyframes, and those of exact frames."""
        end = self.info.start_seconds + self.info.duration_seconds
        numbered = any(target.frame is not None for target in targets.values())
        times = reader.presentation_ticks() if numbered else []
        keyed, exact = list[Moment](), list[Moment]()
        for index, target in targets.items():
            if target.frame is None:
                if self.info.duration_seconds and target.seconds > end:
                    self._warnings["position_past_end"] = None
                is_key = reader.is_timed and target.accuracy is Accuracy.KEYFRAME
                (keyed if is_key else exact).append(moment_of(target, index, reader.time_base))
            elif -len(times) <= target.frame < len(times):
                exact.append(Moment(times[target.frame], index))
            else:
                raise NoFrameError(
                    f"{reader.name}: no frame {target.frame} among {len(times)} frames"
                )
        near, far = part_far(reader, sorted(keyed))
        if far:
            self._counts["keyframes_too_far"] = len(far)
        return near, sorted(exact + far)

    def _batch(self, reader: Reader, pick: Pick) -> FrameBatch:
        self._warnings |= dict.fromkeys(pick.warnings)
        if pick.warnings:
            self._refuse_damage("nothing but a damaged frame can be had")
        batch = batch_from(
            pick.frame, reader, targets=pick.targets, orientation=self.info.orientation
        )
        if batch.color.transfer is not Transfer.SDR:
            self._notes["tone_mapped"] = batch.color.transfer.value
        return batch
