"""Reading one video stream of an MP4 by our own index: no byte but the index's and the samples'."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import cast

import av
from av.video.codeccontext import VideoCodecContext

from farm.engines.mp4 import NotIndexedError, SampleEntry, Samples
from farm.engines.pyav_decode import Decoding, VideoPacket
from farm.engines.pyav_group import Moment, Timing, plan_group
from farm.engines.pyav_movie import Movie
from farm.engines.pyav_reader import Group, Key
from farm.errors import TruncatedError
from farm.settings import Limits

_TIMINGS_AT_ONCE = 256
_MOST_GROUP_BYTES = 256 << 20
# Sound between two samples of a group is read along, rather than asked for around.
_MOST_GAP_BYTES = 64 << 10
_FULL_RANGE, _LIMITED_RANGE = 2, 1


class IndexedReader:
    """Reads the samples of a track from where the index says they are."""

    def __init__(self, movie: Movie, *, name: str, limits: Limits, counts: Counter[str]) -> None:
        self.name = name
        self.time_base = movie.track.time_base
        self.is_timed = True
        self._index = movie.index
        self._track = movie.track
        self._read_at = movie.read_at
        self._context = _context_of(movie.decoder, movie.track.entries[0])
        self.decoding = Decoding(self._context, name=name, limits=limits, counts=counts)

    @property
    def pixel_aspect(self) -> float:
        """The container's, else the codec's, which decoding may bring."""
        return float(self._track.pixel_aspect or self._context.sample_aspect_ratio or 1)

    def key_at(self, ticks: int) -> Key | None:
        """The keyframe last presented at or before `ticks`, else the first; None without any."""
        samples = self._index.samples_near(self._track, ticks)
        number = samples.key_at(ticks)
        if number is None:
            return None
        return Key(int(samples.pts[number]), None, is_whole=not samples.is_discard[number])

    def packets_from(self, key: Key) -> Iterator[VideoPacket]:
        """The packets from a keyframe on, each read when it is asked for."""
        samples = self._index.samples_near(self._track, key.ticks)
        number = samples.key_at(key.ticks) or 0
        while number < len(samples):
            yield from self._packets(samples, number, number + 1)
            number += 1

    def group_at(self, moments: Sequence[Moment]) -> Group | None:
        """The packets that answer the first of ascending moments, and those that share its group.

        None where there is no keyframe, where times are out of order, and where a group would fill
        the memory.
        """
        samples = self._index.samples_near(self._track, moments[0].ticks)
        first = samples.key_at(moments[0].ticks)
        if first is None:
            return None
        if self._index.movie.is_fragmented:
            moments = _held(samples, moments)

        def leaps(dts: int, ticks: int) -> bool:
            key = samples.key_at(ticks)
            return key is not None and int(samples.dts[key]) > dts

        plan = plan_group(_timings(samples, first), moments, leaps=leaps)
        if plan is None:
            return None
        # One packet more, where there is one: it may hold the last picture's other field.
        start, stop = first + plan.start, min(first + plan.stop + 1, len(samples))
        sizes = samples.size[start:stop]
        # To a decoder an empty packet means the end.
        if int(sizes.sum()) > _MOST_GROUP_BYTES or not sizes.all():
            return None
        return Group(plan, list(self._packets(samples, start, stop)))

    def presentation_ticks(self) -> list[int]:
        """The times of all frames in order."""
        samples = self._index.samples(self._track)
        times: list[int] = samples.pts[samples.shown_order()].tolist()
        return sorted(set(times))

    def _packets(self, samples: Samples, start: int, stop: int) -> Iterator[VideoPacket]:
        """The packets of some samples, of which neighbours are read at once."""
        offsets, sizes = samples.offset[start:stop].tolist(), samples.size[start:stop].tolist()
        for begin, end in _runs(offsets, sizes):
            base = offsets[begin]
            length = offsets[end - 1] + sizes[end - 1] - base
            if length > _MOST_GROUP_BYTES:
                raise NotIndexedError(f"samples of {length} bytes")
            data = memoryview(self._read_at(base, length))
            if len(data) < length:
                raise TruncatedError(f"{self.name}: the file ends before a sample of its video")
            for number in range(begin, end):
                at = offsets[number] - base
                yield self._packet(samples, start + number, data[at : at + sizes[number]])

    def _packet(self, samples: Samples, number: int, data: memoryview) -> VideoPacket:
        self.decoding.counts["packets_read"] += 1
        packet = cast(VideoPacket, av.Packet(cast("bytes", data)))
        packet.pts, packet.dts = int(samples.pts[number]), int(samples.dts[number])
        packet.duration = int(samples.duration[number])
        packet.is_keyframe = bool(samples.is_sync[number])
        return packet


def _context_of(decoder: str, entry: SampleEntry) -> VideoCodecContext:
    """A decoder that knows of the container what libavformat would tell it."""
    context = cast(VideoCodecContext, av.CodecContext.create(decoder, "r"))
    context.extradata = entry.extradata or None
    context.width, context.height = entry.size
    if entry.color is not None:
        context.color_primaries = entry.color.primaries
        context.color_trc = entry.color.transfer
        context.colorspace = entry.color.matrix
        if entry.color.full_range is not None:
            context.color_range = _FULL_RANGE if entry.color.full_range else _LIMITED_RANGE
    return context


def _held(samples: Samples, moments: Sequence[Moment]) -> Sequence[Moment]:
    """Those of ascending moments that part of a file's samples can tell of; the first always is."""
    last = int(samples.dts[-1])
    count = sum(moment.ticks < last for moment in moments[1:])
    return moments[: 1 + count]


def _timings(samples: Samples, first: int) -> Iterator[Timing]:
    columns = (samples.pts, samples.dts, samples.is_sync, samples.is_discard)
    for at in range(first, len(samples), _TIMINGS_AT_ONCE):
        lists = (column[at : at + _TIMINGS_AT_ONCE].tolist() for column in columns)
        yield from map(Timing._make, zip(*lists, strict=True))


def _runs(offsets: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges of samples that lie behind each other with but small gaps."""
    begin = 0
    for number in range(1, len(offsets) + 1):
        if number < len(offsets):
            gap = offsets[number] - offsets[number - 1] - sizes[number - 1]
            if 0 <= gap <= _MOST_GAP_BYTES:
                continue
        if number > begin:
            yield begin, number
        begin = number
