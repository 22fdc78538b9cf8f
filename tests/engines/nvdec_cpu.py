"""libav's decoders in the place of a GPU's video engine."""

import random
from collections.abc import Callable

import av
import torch
from torch import Tensor

from farm.engines.nvdec_caps import StreamKind
from farm.engines.nvdec_session import Backend, SessionPool, Surface
from farm.engines.pyav_frames import planes_of

FORGOTTEN = 85


class CpuFeeder:
    """Decodes packets with start codes, and like a video engine writes its memory again and again.

    What it lent is overwritten by the next call. Damaged pictures are an error.
    """

    def __init__(self, kind: StreamKind) -> None:
        self._kind = kind
        self._context = av.CodecContext.create(kind.codec, "r")
        self._context.thread_count = 1
        if kind.codec == "h264":
            self._context.options = {"strict": "strict"}
        self._lent: list[Tensor] = []

    def feed(self, packet: bytes, time: int, *, begins: bool) -> list[Surface]:
        if begins:
            self._context.flush_buffers()
        fed = av.Packet(packet)
        fed.pts = fed.dts = time
        return self._decode(fed)

    def end(self) -> list[Surface]:
        surfaces = self._decode(None)
        self._context.flush_buffers()
        return surfaces

    def _decode(self, packet: av.Packet | None) -> list[Surface]:
        for plane in self._lent:
            plane.view(torch.uint8).fill_(FORGOTTEN)
        frames = self._context.decode(packet)
        if any(frame.is_corrupt for frame in frames):
            raise ValueError("damaged")
        surfaces = [Surface(frame.pts, self._planes(frame)) for frame in frames]
        self._lent = [plane for surface in surfaces for plane in surface.planes]
        return surfaces

    def _planes(self, frame: av.VideoFrame) -> tuple[Tensor, ...]:
        planes, color = planes_of(frame, self._kind.codec)
        y, u, v = (_raised(plane[0], color.bits) for plane in planes)
        return (y, u, v) if self._kind.chroma == 3 else (y, torch.stack([u, v], dim=-1))


class UnreliableFeeder(CpuFeeder):
    """Now and then fails at the end of a run, or gives its last pictures to the next one.

    Sometimes it gives them to both, so that the first run is right and the second is to notice.
    """

    dealer = random.Random(3)

    def __init__(self, kind: StreamKind) -> None:
        super().__init__(kind)
        self._kept: list[Surface] = []

    def feed(self, packet: bytes, time: int, *, begins: bool) -> list[Surface]:
        kept, self._kept = self._kept, []
        return [*kept, *super().feed(packet, time, begins=begins)]

    def end(self) -> list[Surface]:
        surfaces = super().end()
        chance = self.dealer.random()
        if chance < 0.1:
            raise RuntimeError("the decoder is broken")
        if chance < 0.3:
            self._kept = [
                Surface(surface.time, tuple(plane.clone() for plane in surface.planes))
                for surface in surfaces
            ]
        return [] if 0.1 <= chance < 0.2 else surfaces


def _raised(plane: Tensor, bits: int) -> Tensor:
    """Samples of more than 8 bits in the upper ones of 16, as in P010."""
    if bits == 8:
        return plane
    return (plane.to(torch.int32) << 16 - bits).to(torch.uint16)


def cpu_backend(
    make: Callable[[StreamKind], object] = CpuFeeder,
    refusal: Callable[[StreamKind], str | None] = lambda _: None,
) -> Backend:
    return Backend("cpu", SessionPool(make), refusal)
