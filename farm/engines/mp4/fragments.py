"""Finds the fragments of a file, by an index of them or one after the other, and their samples."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from farm.engines.mp4.box import Header, NotIndexedError
from farm.engines.mp4.file import BoxFile
from farm.engines.mp4.moof import Defaults, Run, read_moof
from farm.engines.mp4.samples import Samples, joined
from farm.engines.mp4.segment import Segments, read_segments
from farm.engines.mp4.table import MOST_SAMPLES, Ints

_MOST_FRAGMENTS = 50_000
_LONG_AGO = -(1 << 63)


class _Fragment(NamedTuple):
    """A `moof`'s runs of the track, and where the boxes after it begin."""

    end: int
    runs: list[Run]


class Fragments:
    """The samples of one track that stand in fragments; what was read once is kept.

    `start` is where the boxes after the movie header begin, `before` are the samples that the
    header itself lists, `time_offset` is taken from the times in the file.
    """

    def __init__(
        self,
        file: BoxFile,
        *,
        start: int,
        track_id: int,
        timescale: int,
        defaults: dict[int, Defaults],
        time_offset: int,
        before: Samples | None,
    ) -> None:
        self._file = file
        self._start = start
        self._track_id = track_id
        self._timescale = timescale
        self._defaults = defaults
        self._time_offset = time_offset
        self._before = before
        self._places: dict[int, tuple[int, Header] | None] = {}
        self._read: dict[int, _Fragment] = {}
        self._segments: Segments | None = None
        self._end: int | None = None

    def samples(self) -> Samples:
        """All samples."""
        found = list(self._walk(self._start))
        if not found and self._before is None:
            raise NotIndexedError("no samples")
        return self._join(found, self._before)

    def samples_near(self, ticks: int) -> Samples:
        """The samples of enough fragments to show the moment `ticks`, from a sync sample on."""
        if self._before is not None:
            return self.samples()
        segments = self._find_segments()
        at = bisect_right(segments.times, ticks + self._time_offset)
        for offset in reversed(segments.offsets[1:at]):
            near = self._from(offset, ticks)
            if bool((near.pts[near.syncs] <= ticks).any()):
                return near
        return self._from(self._start, ticks)

    def end(self) -> int | None:
        """The time at which the last sample ends, in ticks of the media, before any edit.

        None where there are no samples in fragments.
        """
        if self._end is None:
            segments = self._find_segments()
            self._end = segments.end
            if self._end is None:
                self._end = self._end_from((self._start, *segments.offsets)[-1])
        return self._end

    def counted(self) -> tuple[int, int]:
        """The number of samples read so far, those of one fragment at least, and their ticks."""
        if not self._read:
            next(self._walk(self._start), None)
        listed = () if self._before is None else (self._before.duration,)
        runs = (run for fragment in self._read.values() for run in fragment.runs)
        durations = [*listed, *(run.duration for run in runs)]
        return sum(map(len, durations)), sum(int(ticks.sum()) for ticks in durations)

    def _find_segments(self) -> Segments:
        if self._segments is None:
            self._segments = read_segments(
                self._file, start=self._start, track_id=self._track_id, timescale=self._timescale
            )
        return self._segments

    def _end_from(self, offset: int) -> int | None:
        ends = [_end_of(fragment.runs) for fragment in self._walk(offset)]
        if None not in ends:
            return max((end for end in ends if end is not None), default=None)
        # Without times of their own, fragments have to be counted from the first.
        samples = self.samples()
        return int((samples.dts + samples.duration).max()) + self._time_offset

    def _walk(self, offset: int) -> Iterator[_Fragment]:
        """The fragments from a place on in which the track has samples, read as they are needed."""
        count = samples = 0
        while (place := self._find(offset)) is not None:
            fragment = self._read_once(*place)
            count += 1
            samples += sum(len(run.offset) for run in fragment.runs)
            if count > _MOST_FRAGMENTS or samples > MOST_SAMPLES:
                raise NotIndexedError("more fragments or samples than are kept")
            if fragment.runs:
                yield fragment
            offset = fragment.end

    def _find(self, offset: int) -> tuple[int, Header] | None:
        """The first fragment's place and header from there on."""
        if offset not in self._places:
            boxes = self._file.boxes(offset)
            self._places[offset] = next((box for box in boxes if box[1].kind == b"moof"), None)
        return self._places[offset]

    def _read_once(self, at: int, header: Header) -> _Fragment:
        if at not in self._read:
            runs = read_moof(
                self._file.content(at, header),
                offset=at,
                track_id=self._track_id,
                defaults=self._defaults,
                most_bytes=self._file.size_bytes,
            )
            self._read[at] = _Fragment(at + header.size, runs)
        return self._read[at]

    def _from(self, offset: int, ticks: int) -> Samples:
        """The samples from a place on until no later one can be needed for the moment."""
        found: list[_Fragment] = []
        syncs = 0
        for fragment in self._walk(offset):
            if not found and fragment.runs[0].dts is None and offset != self._start:
                return self._from(self._start, ticks)
            found.append(fragment)
            # What is presented by then was decoded before; and its group has to end.
            syncs += sum(int(run.is_sync.sum()) for run in fragment.runs)
            if syncs > 1 and _last_sync(fragment.runs) > ticks + self._time_offset:
                break
        if not found:
            raise NotIndexedError("no samples")
        near = self._join(found, None)
        # What depends on samples before these cannot be decoded.
        is_cut = offset != self._start and len(near.syncs) > 0
        return near.after(int(near.syncs[0])) if is_cut else near

    def _join(self, fragments: Sequence[_Fragment], before: Samples | None) -> Samples:
        runs = [run for fragment in fragments for run in fragment.runs]
        shift = self._shift(runs, has_before=before is not None)
        parts = [] if before is None else [before]
        last = None if before is None else int(before.dts[-1])
        clock = 0
        if before is not None:
            clock = int(before.dts[-1] + before.duration[-1]) + self._time_offset
        for run in runs:
            clock = clock if run.dts is None else run.dts
            part = _part(run, clock - self._time_offset, shift, last)
            clock += int(run.duration.sum())
            last = int(part.dts[-1])
            parts.append(part)
        return joined(parts)

    def _shift(self, runs: Sequence[Run], *, has_before: bool) -> int:
        """What libavformat adds to all presentation times for the most negative offset.

        It reads all fragments; their first has to do for them here.
        """
        lowest = _lowest_offset(runs)
        if lowest < 0:
            if has_before:
                raise NotIndexedError("negative offsets beside samples in the movie header")
            first = next(self._walk(self._start), None)
            lowest = min(lowest, _lowest_offset(first.runs if first else ()))
        return -lowest


def _lowest_offset(runs: Sequence[Run]) -> int:
    return min((int(run.cts_offset.min(initial=0)) for run in runs), default=0)


def _last_sync(runs: Sequence[Run]) -> int:
    """The decoding time of the last sync sample; long ago where there is none, or no time."""
    last = runs[-1]
    syncs = np.flatnonzero(last.is_sync)
    if last.dts is None or not len(syncs):
        return _LONG_AGO
    return last.dts + int(last.duration[: syncs[-1]].sum())


def _end_of(runs: Sequence[Run]) -> int | None:
    last = runs[-1]
    return None if last.dts is None else last.dts + int(last.duration.sum())


def _part(run: Run, start: int, shift: int, last: int | None) -> Samples:
    """A run's samples from the time `start` on; what overlaps those before is not shown."""
    elapsed: Ints = np.cumsum(run.duration)
    dts = start + elapsed - run.duration
    count = len(dts)
    return Samples(
        offset=run.offset,
        size=run.size,
        dts=dts,
        pts=dts + run.cts_offset + shift,
        duration=run.duration,
        is_sync=run.is_sync,
        is_discard=np.zeros(count, np.bool_) if last is None else dts <= last,
        entry=np.full(count, run.entry, np.int32),
    )
