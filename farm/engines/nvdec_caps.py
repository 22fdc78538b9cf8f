"""What the video engine of this GPU decodes, asked of the driver (`cuvidGetDecoderCaps`).

The layout is that of NVIDIA's `cuviddec.h`. Tests run it against a library of their own; against a
driver it is unverified.
"""

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch

from farm.errors import EngineUnavailableError
from farm.geometry import Size

LIBRARY = "libnvcuvid.so.1"

# cudaVideoCodec and cudaVideoChromaFormat, which counts as chroma_format_idc does.
_CODECS = {"h264": 4, "hevc": 8}
_CHROMA_NAMES = ("gray", "4:2:0", "4:2:2", "4:4:4")
# The bits of nOutputFormatMask by chroma: for 8 bits, and for more.
_SURFACES = {1: (0, 1), 3: (2, 3)}
_MACROBLOCK = 16


@dataclass(frozen=True, slots=True)
class StreamKind:
    """What a video asks of a decoder; two of the same kind may share one, one after the other.

    `chroma` is chroma_format_idc. Of the `coded` picture the upper left part of size `shown` is
    shown.
    """

    codec: str
    chroma: int
    bits: int
    coded: Size
    shown: Size

    def __str__(self) -> str:
        return f"{self.codec} {_CHROMA_NAMES[self.chroma]} of {self.bits} bits"


class _Caps(ctypes.Structure):
    """CUVIDDECODECAPS."""

    _fields_ = (
        ("codec", ctypes.c_int),
        ("chroma", ctypes.c_int),
        ("bits_minus_8", ctypes.c_uint),
        ("_reserved_1", ctypes.c_uint * 3),
        ("is_supported", ctypes.c_ubyte),
        ("engines", ctypes.c_ubyte),
        ("surface_mask", ctypes.c_ushort),
        ("most_width", ctypes.c_uint),
        ("most_height", ctypes.c_uint),
        ("most_macroblocks", ctypes.c_uint),
        ("least_width", ctypes.c_ushort),
        ("least_height", ctypes.c_ushort),
        ("_is_histogram_supported", ctypes.c_ubyte),
        ("_counter_bits", ctypes.c_ubyte),
        ("_most_histogram_bins", ctypes.c_ushort),
        ("_reserved_3", ctypes.c_uint * 10),
    )


@dataclass(frozen=True, slots=True)
class Capability:
    """The driver's answer for one codec, chroma and depth; sizes and macroblocks are inclusive."""

    is_supported: bool
    has_surfaces: bool
    least: Size
    most: Size
    most_macroblocks: int

    def refusal(self, kind: StreamKind) -> str | None:
        """Why this GPU does not decode such a stream; None where it does."""
        if not self.is_supported:
            return f"this GPU does not decode {kind}"
        if not self.has_surfaces:
            return f"this GPU does not give the samples of {kind} as they are"
        width, height = kind.coded
        size = f"{kind} in {width}x{height}"
        if width < self.least.width or height < self.least.height:
            return f"{size} is below the {self.least.width}x{self.least.height} that this GPU needs"
        if width > self.most.width or height > self.most.height:
            return f"{size} exceeds the {self.most.width}x{self.most.height} that this GPU decodes"
        count = (width // _MACROBLOCK) * (height // _MACROBLOCK)
        if count > self.most_macroblocks:
            return f"{size} has more than the {self.most_macroblocks} macroblocks that are decoded"
        return None


def enter_context() -> None:
    """Makes torch's CUDA context that of this thread, which the driver's functions need."""
    torch.cuda.synchronize()


class Capabilities:
    """Asks the driver once for each codec, chroma and depth; any thread may ask.

    Raises EngineUnavailableError where there is no driver, or one without this function.
    """

    def __init__(
        self, library: str = LIBRARY, *, enter: Callable[[], None] = enter_context
    ) -> None:
        try:
            self._ask = ctypes.CDLL(library).cuvidGetDecoderCaps
        except (OSError, AttributeError) as error:
            raise EngineUnavailableError(
                f"NVIDIA's video driver cannot be used: {error}; "
                "in a container, NVIDIA_DRIVER_CAPABILITIES must include video"
            ) from error
        self._ask.argtypes = [ctypes.POINTER(_Caps)]
        self._ask.restype = ctypes.c_int
        self._enter = enter
        self._known: dict[tuple[str, int, int], Capability] = {}
        self._lock = threading.Lock()

    def refusal(self, kind: StreamKind) -> str | None:
        """Why this GPU does not decode such a stream; None where it does."""
        return self.of(kind).refusal(kind)

    def of(self, kind: StreamKind) -> Capability:
        """The driver's answer; raises EngineUnavailableError where it has none."""
        key = (kind.codec, kind.chroma, kind.bits)
        with self._lock:
            if key not in self._known:
                self._known[key] = self._query(kind)
            return self._known[key]

    def _query(self, kind: StreamKind) -> Capability:
        caps = _Caps(codec=_CODECS[kind.codec], chroma=kind.chroma, bits_minus_8=kind.bits - 8)
        self._enter()
        status = self._ask(ctypes.byref(caps))
        if status:
            raise EngineUnavailableError(
                f"NVIDIA's video driver cannot tell what it decodes: it answers {status}"
            )
        surfaces = _SURFACES.get(kind.chroma)
        wanted = surfaces[kind.bits > 8] if surfaces else None
        return Capability(
            is_supported=bool(caps.is_supported),
            has_surfaces=wanted is not None and bool(caps.surface_mask >> wanted & 1),
            least=Size(caps.least_width, caps.least_height),
            most=Size(caps.most_width, caps.most_height),
            most_macroblocks=caps.most_macroblocks,
        )
