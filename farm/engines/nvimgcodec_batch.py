"""Decodes with nvImageCodec what many threads ask for at the same moment, as one batch.

On a GPU it is unverified: it has run with the library's CPU decoders only.
"""

import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from farm.batch import Batcher, CountError
from farm.errors import EngineUnavailableError
from farm.geometry import Box, Size

# It is read at import: without it the library writes to stderr what it also tells by its answers.
os.environ.setdefault("PYNVIMGCODEC_VERBOSITY", "0")

import nvidia.nvimgcodec as nvimgcodec

VERSION = str(nvimgcodec.__version__)

_MOST_PICTURES = 64
_MOST_BYTES = 2 << 30  # of decoded pictures in one batch

_MOST_CPU_THREADS = 8

_CUDA_MEMORY = "'#2'"  # cudaErrorMemoryAllocation, as the library puts it

_Params: TypeAlias = Any  # the library has no types
_Decode: TypeAlias = Callable[[Sequence[Any], _Params], Sequence[Any]]


class NoPictureError(Exception):
    """The library makes no picture of a file, or not the one that its header promises."""


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """One whole file, and what its header says: opaque ones become RGB, others keep their alpha.

    Of a `region`, in whole pixels, only that is decoded.
    """

    data: memoryview
    size: Size
    has_alpha: bool = False
    region: Box | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what is decoded."""
        region = self.region or Box(0, 0, *self.size)
        return int(region.height), int(region.width), 4 if self.has_alpha else 3


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    """What the library is to decode of a file that it has parsed, whose bytes live as long."""

    stream: Any
    coded: Coded


class StillBatch:
    """Decodes stills of many threads together.

    `decode` makes pictures of the library's code streams by its parameters: None where it cannot.
    """

    def __init__(self, decode: _Decode) -> None:
        self._decode_streams = decode
        self._batcher = Batcher[_Ask, Tensor](
            self._decode_all,
            most=_MOST_PICTURES,
            most_bytes=_MOST_BYTES,
            size_of=lambda ask: math.prod(ask.coded.shape),
            is_memory=is_memory,
        )

    def decode(self, coded: Coded) -> Tensor:
        """The picture, uint8 [H, W, 3 or 4], on the GPU if there is one; any thread may call it.

        Its Exif orientation and its profile are not applied. Raises NoPictureError for the file's
        faults, and what the library does for its own.
        """
        return self._batcher.ask(_Ask(_parse(coded), coded))

    def _decode_all(self, asks: Sequence[_Ask]) -> list[Tensor | Exception]:
        answers: dict[int, Tensor | Exception] = {}
        for has_alpha in {ask.coded.has_alpha for ask in asks}:
            alike = [n for n, ask in enumerate(asks) if ask.coded.has_alpha is has_alpha]
            images = self._decode_streams([asks[n].stream for n in alike], _params(has_alpha))
            if len(images) != len(alike):
                raise CountError(f"expected {len(alike)} pictures, received {len(images)}")
            for n, image in zip(alike, images, strict=True):
                answers[n] = _answer(asks[n].coded, image)
        return [answers[n] for n in range(len(asks))]


def is_memory(error: Exception) -> bool:
    """Whether an error says that memory, of the host or of the GPU, did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return _CUDA_MEMORY in str(error) or "out of memory" in str(error).lower()


def batch() -> StillBatch:
    """The one of this process, made on first use.

    Raises EngineUnavailableError where the library refuses the GPU.
    """
    with _MAKING:
        return _batch_of(os.getpid())


_MAKING = threading.Lock()


@cache
def _batch_of(process: int) -> StillBatch:
    # By process: after a fork, the parent's decoder would wait for threads that are not there. It
    # is kept, as it would do so in its destructor too.
    try:
        return StillBatch(_on_gpu() if torch.cuda.is_available() else _on_cpu())
    except RuntimeError as error:
        raise EngineUnavailableError(
            f"engine nvimgcodec cannot use this machine's GPU: {error}"
        ) from error


def _on_cpu() -> _Decode:
    decoder = nvimgcodec.Decoder(
        device_id=nvimgcodec.NVIMGCODEC_DEVICE_CPU_ONLY,
        max_num_cpu_threads=1,
        backends=[nvimgcodec.Backend(nvimgcodec.CPU_ONLY)],
    )
    return lambda streams, params: decoder.decode(list(streams), params=params)


def _on_gpu() -> _Decode:
    """Decodes on the first GPU. Unverified.

    The JPEG engines of a GPU heed no stream: they write where memory was freed by work that is
    still queued (pytorch/vision pull request 9606). So all queued work is waited for before, and
    the pictures afterwards, because they go to threads with streams of their own.
    """
    kinds = (
        nvimgcodec.HW_GPU_ONLY,
        nvimgcodec.GPU_ONLY,
        nvimgcodec.HYBRID_CPU_GPU,
        nvimgcodec.CPU_ONLY,
    )
    # What one way can do is not shared out with the next: they round differently, and the same file
    # would give other bytes with other neighbours in its batch.
    policy = nvimgcodec.LoadHintPolicy.IGNORE
    decoder = nvimgcodec.Decoder(
        device_id=0,
        max_num_cpu_threads=min(_MOST_CPU_THREADS, len(os.sched_getaffinity(0))),
        backends=[nvimgcodec.Backend(kind, load_hint_policy=policy) for kind in kinds],
    )

    def decode(streams: Sequence[Any], params: _Params) -> Sequence[Any]:
        torch.cuda.synchronize()
        stream = torch.cuda.current_stream()
        images: Sequence[Any] = decoder.decode(
            list(streams), params=params, cuda_stream=stream.cuda_stream
        )
        stream.synchronize()
        return images

    return decode


def _params(has_alpha: bool) -> _Params:
    color = nvimgcodec.UNCHANGED if has_alpha else nvimgcodec.SRGB
    layout = nvimgcodec.I_UNCHANGED if has_alpha else nvimgcodec.I_RGB
    return nvimgcodec.DecodeParams(
        apply_exif_orientation=False, color_spec=color, sample_format=layout
    )


def _parse(coded: Coded) -> Any:
    """The library's code stream; raises NoPictureError where it finds another size or nothing."""
    try:
        stream = nvimgcodec.CodeStream(np.frombuffer(coded.data, np.uint8))
    # A file without bytes is a ValueError to NumPy.
    except (RuntimeError, ValueError) as error:
        raise NoPictureError(f"nvImageCodec cannot parse it: {error}") from error
    found = Size(stream.width, stream.height)
    if found != coded.size:
        raise NoPictureError(
            f"{found.width} x {found.height} pixels to nvImageCodec, "
            f"{coded.size.width} x {coded.size.height} by its header"
        )
    if coded.region is None:
        return stream
    left, top, right, bottom = map(int, coded.region)
    return stream.get_sub_code_stream(region=nvimgcodec.Region(top, left, bottom, right))


def _answer(coded: Coded, image: Any) -> Tensor | NoPictureError:
    if image is None:
        return NoPictureError("nvImageCodec cannot decode it")
    if tuple(image.shape) != coded.shape:
        return NoPictureError(f"became {tuple(image.shape)}, not {coded.shape}, in nvImageCodec")
    if image.buffer_kind == nvimgcodec.ImageBufferKind.STRIDED_DEVICE:
        picture: Tensor = from_dlpack(image)
        return picture
    return torch.from_numpy(np.array(image))
