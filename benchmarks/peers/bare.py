"""The limit: nothing but the decoding that a thumbnail cannot do without."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import simplejpeg

from benchmarks.peers import Done, Peer, Request, Way


def decode() -> Peer:
    """DCT-scaled decoding of a JPEG in memory, or of one keyframe's packet."""
    version = f"simplejpeg {simplejpeg.__version__}, PyAV {av.__version__}"
    return Peer(version, Way.PROCESSES, _prepare)


def _prepare(request: Request) -> Callable[[int], Done]:
    if request.work == "still":
        return partial(_decode_jpeg, Path(request.source).read_bytes(), request)
    return _KeyPacket(request)


def _decode_jpeg(data: bytes, request: Request, _: int) -> Done:
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    factor = min(request.width / width, request.height / height, 1.0)
    simplejpeg.decode_jpeg(data, min_height=round(height * factor), min_width=round(width * factor))
    return Done(1, 1)


class _KeyPacket:
    """The keyframe at or before the first moment, opened once in each process."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._container: av.container.InputContainer | None = None

    def __call__(self, _: int) -> Done:
        if self._container is None:
            self._open()
        coder = self._stream.codec_context
        frames = coder.decode(self._packet) + coder.decode(None)
        coder.flush_buffers()
        return Done(1 if frames else 0, len(frames))

    def _open(self) -> None:
        self._container = av.open(self._request.source)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type, self._stream.codec_context.thread_count = "NONE", 1
        base = self._stream.time_base
        assert base is not None
        wanted = (self._stream.start_time or 0) + round(self._request.moments[0] / base)
        self._container.seek(wanted, stream=self._stream)
        packets = self._container.demux(self._stream)
        self._packet = next(packet for packet in packets if packet.is_keyframe)
