"""Sessions of the GPU's video engine: lent to one run of packets at a time, and never trusted.

The worst that a farm can do is to give one entry the picture of another, so every packet is fed
with a time of its own that no other in this process ever had, and a picture must come back with it.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from farm.engines.nvdec_caps import Capabilities, StreamKind
from farm.errors import EngineUnavailableError

# CUvideopacketflags of NVIDIA's nvcuvid.h.
_END_OF_STREAM, _DISCONTINUITY, _END_OF_PICTURE = 1, 4, 8

# From 1 on: 0 is what a decoder says that knows of no time.
_TIMES = itertools.count(1)

Pictures = dict[int, tuple[Tensor, ...]]
"""The planes [1, ...] of pictures by the numbers of their packets."""


class SessionError(Exception):
    """A session failed, or gave other pictures than those that were fed."""


@dataclass(frozen=True, slots=True)
class Surface:
    """A picture in its decoder's memory, good until the decoder is fed again.

    `time` is that of its packet. `planes` are Y [H, W] and UV [H/2, W/2, 2], or Y, U and V.
    """

    time: int
    planes: tuple[Tensor, ...]


class Feeder(Protocol):
    """One decoder that is fed packet by packet.

    Pictures may come later than their packets, all of them by the end of a run.
    """

    def feed(self, packet: bytes, time: int, *, begins: bool) -> Sequence[Surface]:
        """The pictures that a packet brings forth; `begins` with the first of a run."""

    def end(self) -> Sequence[Surface]:
        """The pictures that are left at the end of a run; the next feed begins another."""


class Session:
    """A decoder for streams of one kind."""

    def __init__(self, kind: StreamKind, feeder: Feeder) -> None:
        self.kind = kind
        self._feeder = feeder

    def pictures(self, packets: Sequence[bytes], wanted: Set[int]) -> Pictures:
        """Decodes a run of packets to its end, and copies the pictures of those numbered `wanted`.

        Raises SessionError unless each packet gave one picture, with its own time and of the kind's
        size, and else whatever the decoder raises. After any error the session is not to be used.
        """
        left: dict[int, int] = {}
        found: Pictures = {}
        for number, packet in enumerate(packets):
            time = next(_TIMES)
            left[time] = number
            self._take(self._feeder.feed(packet, time, begins=number == 0), left, wanted, found)
        self._take(self._feeder.end(), left, wanted, found)
        if left:
            raise SessionError(f"{len(left)} of {len(packets)} packets gave no picture")
        return found

    def _take(
        self, surfaces: Sequence[Surface], left: dict[int, int], wanted: Set[int], found: Pictures
    ) -> None:
        for surface in surfaces:
            number = left.pop(surface.time, None)
            if number is None:
                raise SessionError("a picture came that is of no packet, or a second one of it")
            height, width = surface.planes[0].shape
            if (width, height) != self.kind.shown:
                raise SessionError(
                    f"expected pictures of {self.kind.shown.width}x{self.kind.shown.height}; "
                    f"received {width}x{height}"
                )
            if number in wanted:
                found[number] = tuple(plane.clone()[None] for plane in surface.planes)
        if any(surface.planes[0].is_cuda for surface in surfaces):
            # The decoder writes to this memory again, on a stream that may know nothing of ours.
            torch.cuda.current_stream().synchronize()


class SessionPool:
    """Sessions to be used again by videos of the same kind; any thread may ask.

    `make` creates a decoder. At most `most_idle` sessions are kept, those that were used last.
    """

    def __init__(self, make: Callable[[StreamKind], Feeder], *, most_idle: int = 16) -> None:
        self._make = make
        self._most_idle = most_idle
        self._idle: list[Session] = []
        self._lock = threading.Lock()

    def pictures(
        self,
        kind: StreamKind,
        packets: Sequence[bytes],
        wanted: Set[int],
        *,
        counts: Counter[str],
    ) -> Pictures:
        """What `Session.pictures` says, of an idle session or else of a new one.

        A session that fails is thrown away, and the packets are tried once more on a new one.
        Raises SessionError where that fails too, and MemoryError where the host has no memory left.
        """
        reason = ""
        for is_retry in (False, True):
            try:
                session = None if is_retry else self._borrow(kind)
                return self._once(session, kind, packets, wanted)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever the library throws, it ends here
                # The words only: the exception keeps the session and its memory.
                reason, is_full = f"{type(error).__name__}: {error}", _is_memory(error)
                session = None
            counts["sessions_discarded"] += 1
            if is_full:
                self.clear()
        raise SessionError(reason)

    def _once(
        self, session: Session | None, kind: StreamKind, packets: Sequence[bytes], wanted: Set[int]
    ) -> Pictures:
        session = session or Session(kind, self._make(kind))
        found = session.pictures(packets, wanted)
        self._give_back(session)
        return found

    def clear(self) -> None:
        """Throws away all idle sessions, whose memory others may have then."""
        with self._lock:
            self._idle.clear()
        torch.cuda.empty_cache()

    def _borrow(self, kind: StreamKind) -> Session | None:
        with self._lock:
            for number in reversed(range(len(self._idle))):
                if self._idle[number].kind == kind:
                    return self._idle.pop(number)
        return None

    def _give_back(self, session: Session) -> None:
        with self._lock:
            self._idle.append(session)
            excess = max(0, len(self._idle) - self._most_idle)
            forgotten, self._idle = self._idle[:excess], self._idle[excess:]
        # Closing a decoder takes time, for which other threads need not wait.
        del forgotten


def _is_memory(error: Exception) -> bool:
    """Whether the GPU had no memory left, as torch says it or as the driver does."""
    words = str(error).lower().replace("_", " ")
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in words


class NvdecFeeder:
    """PyNvVideoCodec's decoder, fed with bare packets. Unverified on a GPU.

    What is said here was found with version 2.2.4 and a driver of the tests' own. A decoder is for
    one size only: fed another, it silently scales to the first. The latency ZERO gives pictures
    without their times, so it is LOW, which holds none back but those that are shown later; the end
    of a run brings the rest. A picture's memory is written again by the next call.
    """

    def __init__(self, kind: StreamKind) -> None:
        self._library: Any = import_module("PyNvVideoCodec")
        self._kind = kind
        codecs = self._library.cudaVideoCodec
        self._decoder = self._library.CreateDecoder(
            gpuid=torch.cuda.current_device(),
            codec={"h264": codecs.H264, "hevc": codecs.HEVC}[kind.codec],
            usedevicememory=True,
            outputColorType=self._library.OutputColorType.NATIVE,
            latency=self._library.DisplayDecodeLatencyType.LOW,
        )

    def feed(self, packet: bytes, time: int, *, begins: bool) -> Sequence[Surface]:
        """The pictures that a packet brings forth."""
        data = np.frombuffer(packet, np.uint8)
        ask = self._library.PacketData()
        ask.bsl, ask.bsl_data, ask.pts = len(packet), data.ctypes.data, time
        ask.decode_flag = _END_OF_PICTURE | (_DISCONTINUITY if begins else 0)
        return self._decode(ask)

    def end(self) -> Sequence[Surface]:
        """The pictures that are left."""
        ask = self._library.PacketData()
        ask.bsl, ask.bsl_data, ask.decode_flag = 0, 0, _END_OF_STREAM
        return self._decode(ask)

    def _decode(self, ask: Any) -> list[Surface]:
        return [
            Surface(frame.timestamp, surface_planes(from_dlpack(frame), self._kind))
            for frame in self._decoder.Decode(ask)
        ]


def surface_planes(samples: Tensor, kind: StreamKind) -> tuple[Tensor, ...]:
    """Views of the planes in what PyNvVideoCodec hands over: them all, line below line.

    The lines are dense, whatever is told of strides: of 16 bits, version 2.1 tells wrong ones.
    Raises SessionError where shape or type are not those of the kind.
    """
    width, height = kind.shown
    lines = 3 * height if kind.chroma == 3 else height + height // 2
    expected = torch.uint16 if kind.bits > 8 else torch.uint8
    if tuple(samples.shape) != (lines, width) or samples.dtype != expected:
        raise SessionError(
            f"expected {lines} lines of {width} samples as {expected}; "
            f"received {tuple(samples.shape)} as {samples.dtype}"
        )
    dense = samples.as_strided((lines, width), (width, 1))
    if kind.chroma == 3:
        return dense[:height], dense[height : 2 * height], dense[2 * height :]
    return dense[:height], dense[height:].view(height // 2, width // 2, 2)


@dataclass(frozen=True, slots=True)
class Backend:
    """What decodes: sessions, and why a kind of stream is refused (None where it is taken)."""

    version: str
    pool: SessionPool
    refusal: Callable[[StreamKind], str | None]


def gpu_backend() -> Backend:
    """The video engine of the first GPU.

    Raises EngineUnavailableError without a GPU or without the parts of its driver that are for
    video, and ImportError without PyNvVideoCodec.
    """
    if not torch.cuda.is_available():
        raise EngineUnavailableError("engine nvdec needs a GPU of NVIDIA, and torch finds none")
    try:
        import_module("PyNvVideoCodec")
    except RuntimeError as error:
        reason, _, _ = str(error).partition("\n")
        raise EngineUnavailableError(
            f"engine nvdec cannot be loaded: {reason}; "
            "in a container, NVIDIA_DRIVER_CAPABILITIES must include video"
        ) from error
    return Backend(version("pynvvideocodec"), SessionPool(NvdecFeeder), Capabilities().refusal)
