"""The `nvdec` engine: H.264 and HEVC in MP4, bare packets decoded by the GPU's video engine.

Our own index of the file finds the packets, so nothing but the wanted pictures, and those that they
refer to, is read or decoded. What is not plainly right this way is left to the next engine. On a
GPU all of this is unverified; it is tested with libav's decoders in the place of the video engine.
What a video engine conceals of a damaged picture it keeps to itself: such a picture has no warning.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from farm.engines import Source, Wish
from farm.engines.annexb import SYNTAXES, BitstreamError, byte_stream, read_config, units_of
from farm.engines.frame import FrameBatch
from farm.engines.mp4 import NotIndexedError
from farm.engines.nvdec_caps import StreamKind
from farm.engines.nvdec_header import check_header, check_start, color_of_header, header_of
from farm.engines.nvdec_session import Backend, SessionError, gpu_backend
from farm.engines.pyav_decode import VideoPacket, ticks_of
from farm.engines.pyav_group import Moment, moment_of
from farm.engines.pyav_index import IndexedReader
from farm.engines.pyav_movie import Movie, open_movie
from farm.engines.pyav_open import check_size
from farm.engines.pyav_pick import part_far
from farm.engines.pyav_reader import Group, Key
from farm.engines.sps import SequenceHeader
from farm.errors import (
    CorruptError,
    NoFrameError,
    TooManyFramesError,
    TruncatedError,
    UnsupportedFormatError,
)
from farm.media import MediaFormat, MediaKind, Transfer
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy

_FORMATS = frozenset(("mov", "mp4"))
# The other engines have the last word on what these mean.
_DOUBTS = (BitstreamError, NotIndexedError, SessionError)
_NAMED_DOUBTS = (CorruptError, NoFrameError, TruncatedError)


class NvdecEngine:
    """Decodes with NVIDIA's video engine; many threads may open and decode at once."""

    name: ClassVar[str] = "nvdec"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.VIDEO})
    device: ClassVar[str] = "cuda"

    def __init__(self, backend: Backend | None = None) -> None:
        self._backend = backend or gpu_backend()

    @property
    def version(self) -> str:
        """The version of the library that drives the video engine."""
        return self._backend.version

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> "NvdecDecoder":
        """Opens a video without decoding anything.

        Raises UnsupportedFormatError for all that another engine is to do, and says why.
        """
        if media_format.name not in _FORMATS:
            raise UnsupportedFormatError(
                f"{source.name}: expected one of {', '.join(sorted(_FORMATS))}; "
                f"received {media_format.name}"
            )
        movie = open_movie(source, media_format=media_format, limits=limits)
        if movie is None:
            raise UnsupportedFormatError(
                f"{source.name}: its index is missing, damaged or unusual, so libavformat is to see"
            )
        if movie.decoder not in SYNTAXES:
            raise UnsupportedFormatError(
                f"{source.name}: engine nvdec decodes {' and '.join(SYNTAXES)}; "
                f"received {movie.info.codec}"
            )
        with _passing_on(source.name):
            return NvdecDecoder(movie, name=source.name, limits=limits, backend=self._backend)


@dataclass(frozen=True, slots=True)
class _Run:
    """Packets of which the first is a keyframe, and the targets that each wanted time answers."""

    packets: Sequence[VideoPacket]
    wanted: Mapping[int, tuple[int, ...]]


class NvdecDecoder:
    """One opened video."""

    def __init__(self, movie: Movie, *, name: str, limits: Limits, backend: Backend) -> None:
        self.info = movie.info
        self._name = name
        self._limits = limits
        self._backend = backend
        self._track = movie.track
        self._counts: Counter[str] = Counter()
        self._warnings: dict[str, None] = {}
        self._notes: dict[str, str] = {"open": "index"}
        self._reader = IndexedReader(movie, name=name, limits=limits, counts=self._counts)
        syntax = SYNTAXES[movie.decoder]
        self._config = read_config(syntax, movie.track.entries[0].extradata)
        if any(syntax.kind_of(unit) == syntax.sequence for unit in self._config.units):
            self._kind_of(header_of(self._config))

    @property
    def notes(self) -> dict[str, int | float | str]:
        """Counts of what was read and decoded, and of sessions that had to be thrown away."""
        return {**self._notes, **self._counts}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the frames given so far."""
        return tuple(self._warnings)

    def frames(self, targets: Sequence[Target], wish: Wish) -> Iterator[FrameBatch]:
        """Yields one frame on the GPU for each group of targets that it answers, keyframes first.

        The frames are those of the `pyav` engine where that decodes by the index. The wish
        changes nothing. Raises UnsupportedFormatError where a frame does not surely come out right.
        """
        with _passing_on(self._name):
            keyed, exact = self._moments(targets)
            for runs in (self._key_runs(keyed), self._exact_runs(exact)):
                for run in runs:
                    yield from self._decode(run)

    def close(self) -> None:
        """Does nothing: sessions belong to the engine, the file to the caller."""

    def _moments(self, targets: Sequence[Target]) -> tuple[list[Moment], list[Moment]]:
        """The targets' times in ticks, ascending: those of keyframes, and those of exact frames."""
        end = self.info.start_seconds + self.info.duration_seconds
        numbered = any(target.frame is not None for target in targets)
        times = self._reader.presentation_ticks() if numbered else []
        keyed, exact = list[Moment](), list[Moment]()
        for index, target in enumerate(targets):
            if target.frame is None:
                if self.info.duration_seconds and target.seconds > end:
                    self._warnings["position_past_end"] = None
                is_key = target.accuracy is Accuracy.KEYFRAME
                (keyed if is_key else exact).append(
                    moment_of(target, index, self._reader.time_base)
                )
            elif -len(times) <= target.frame < len(times):
                exact.append(Moment(times[target.frame], index))
            else:
                raise NoFrameError(
                    f"{self._name}: no frame {target.frame} among {len(times)} frames"
                )
        near, far = part_far(self._reader, sorted(keyed))
        if far:
            self._counts["keyframes_too_far"] = len(far)
        return near, sorted(exact + far)

    def _key_runs(self, moments: Sequence[Moment]) -> Iterator[_Run]:
        """The keyframe at or before each of ascending moments."""
        found: dict[int, tuple[Key, list[int]]] = {}
        for moment in moments:
            key = self._reader.key_at(moment.ticks)
            if key is None:
                raise NotIndexedError("no keyframe")
            found.setdefault(key.ticks, (key, []))[1].append(moment.target)
        for key, indices in found.values():
            yield self._key_run(key, tuple(indices))
            self._counts["keyframes"] += 1

    def _key_run(self, key: Key, targets: tuple[int, ...]) -> _Run:
        if key.is_whole:
            return _Run([next(self._reader.packets_from(key))], {key.ticks: targets})
        # An edit begins behind the keyframe: the first picture that is shown stands for it.
        group = self._group_at([Moment(key.ticks, 0)])
        return _Run(_planned(group), dict.fromkeys(group.plan.wanted, targets))

    def _exact_runs(self, moments: Sequence[Moment]) -> Iterator[_Run]:
        """The frame shown at each of ascending moments."""
        while moments:
            group = self._group_at(moments)
            yield _Run(_planned(group), group.plan.wanted)
            moments = moments[group.plan.moments :]

    def _group_at(self, moments: Sequence[Moment]) -> Group:
        group = self._reader.group_at(moments)
        if group is None:
            raise NotIndexedError("times that are missing or out of order, or a group too large")
        return group

    def _decode(self, run: _Run) -> Iterator[FrameBatch]:
        # Pictures shown before the keyframe may refer to what lies before it; none refers to them.
        first = ticks_of(run.packets[0])
        packets = [packet for packet in run.packets if ticks_of(packet) >= first]
        samples = [units_of(bytes(packet), self._config) for packet in packets]
        check_start(samples[0], self._config)
        header = header_of(self._config, *samples)
        kind = self._kind_of(header)
        self._count(len(packets))
        wanted = {
            number: ticks_of(packet)
            for number, packet in enumerate(packets)
            if ticks_of(packet) in run.wanted
        }
        streams = [
            byte_stream(units, self._config, begins=number == 0)
            for number, units in enumerate(samples)
        ]
        found = self._backend.pool.pictures(kind, streams, wanted.keys(), counts=self._counts)
        for number, planes in found.items():
            yield self._batch(planes, header, wanted[number], run.wanted[wanted[number]])

    def _count(self, packets: int) -> None:
        for name in ("packets_fed", "frames_decoded"):
            self._counts[name] += packets
        if self._counts["frames_decoded"] > self._limits.frames:
            raise TooManyFramesError(
                f"{self._name}: more than the {self._limits.frames} frames allowed "
                "had to be decoded"
            )

    def _kind_of(self, header: SequenceHeader) -> StreamKind:
        """What a session must be made for; raises where this video is not to be decoded here."""
        check_size(header.shown, name=self._name, limits=self._limits)
        codec = self._config.syntax.codec
        check_header(header, codec=codec, told=self._track.entries[0].color)
        kind = StreamKind(codec, header.chroma, header.bits, header.coded, header.shown)
        refusal = self._backend.refusal(kind)
        if refusal is not None:
            raise UnsupportedFormatError(f"{self._name}: {refusal}")
        return kind

    def _batch(
        self,
        planes: tuple[Tensor, ...],
        header: SequenceHeader,
        ticks: int,
        targets: tuple[int, ...],
    ) -> FrameBatch:
        color = color_of_header(
            header, codec=self._config.syntax.codec, told=self._track.entries[0].color
        )
        if color.transfer is not Transfer.SDR:
            self._notes["tone_mapped"] = color.transfer.value
        return FrameBatch(
            planes=planes,
            color=color,
            full_size=header.shown,
            answers=(targets,),
            pts_seconds=(float(ticks * self._reader.time_base),),
            orientation=self.info.orientation,
            pixel_aspect=float(self._track.pixel_aspect or header.signal.aspect or 1),
            shift=16 - header.bits if header.bits > 8 else 0,
        )


def _planned(group: Group) -> Sequence[VideoPacket]:
    """The packets of a plan, without the one more that a group holds."""
    return group.packets[: group.plan.stop - group.plan.start]


@contextmanager
def _passing_on(name: str) -> Iterator[None]:
    """Turns what another engine may do better into UnsupportedFormatError."""
    try:
        yield
    except _DOUBTS as error:
        raise UnsupportedFormatError(f"{name}: left to another engine: {error}") from error
    except _NAMED_DOUBTS as error:
        raise UnsupportedFormatError(f"{error}; left to another engine") from error
