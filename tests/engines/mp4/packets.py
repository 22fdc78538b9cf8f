"""What PyAV says of a file, in the shape of ours."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from farm.engines.mp4 import Index, Samples, Track, open_index

HEAD_BYTES = 4096
COLUMNS = ("pts", "dts", "duration", "size", "offset", "is_sync", "is_discard")
_FAST = {"container_options": {"probesize": "32", "analyzeduration": "0"}}
_NO_PROBE = {"stream_options": [{"skip_frame": "all"}] * 8}


class Demuxed(NamedTuple):
    """A video stream, and its packets with a column for each of `COLUMNS`."""

    stream: Any
    packets: NDArray[np.int64]


def demux(source: Path | bytes) -> list[Demuxed]:
    """The video streams of a file as libavformat reads it, decoding nothing."""
    data = source.read_bytes() if isinstance(source, Path) else source
    with av.open(io.BytesIO(data), format="mov", **_FAST, **_NO_PROBE) as container:
        count = len(container.streams.video)
    found = []
    for number in range(count):
        container = av.open(io.BytesIO(data), format="mov", **_FAST, **_NO_PROBE)
        stream = container.streams.video[number]
        rows = [
            (p.pts, p.dts, p.duration, p.size, p.pos, p.is_keyframe, p.is_discard)
            for p in container.demux(stream)
            if p.dts is not None
        ]
        found.append(Demuxed(stream, np.array(rows, np.int64).reshape(-1, len(COLUMNS))))
    return found


class Reads(list[tuple[int, int]]):
    """Serves bytes, and keeps the offset and length of each read."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __call__(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert length > 0
        self.append((offset, length))
        return self.data[offset : offset + length]


def index_of(source: Path | bytes, *, reads: Reads | None = None) -> Index:
    """Our index of a file whose head was read before."""
    data = source.read_bytes() if isinstance(source, Path) else source
    reads = Reads(data) if reads is None else reads
    return open_index(reads, len(data), name="test.mp4", head=data[:HEAD_BYTES])


def video_of(index: Index) -> Track:
    """The first video track."""
    return next(track for track in index.movie.tracks if track.is_video)


def columns_of(samples: Samples) -> NDArray[np.int64]:
    """Samples with a column for each of `COLUMNS`."""
    return np.stack([getattr(samples, name).astype(np.int64) for name in COLUMNS], axis=1)
