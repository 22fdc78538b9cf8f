"""DALI's two decoders, each a pipeline that many threads ask in batches.

A pipeline is made on first use and, as DALI calls it invalid after any failure, anew after each.
One bad sample fails its whole batch; the `Batcher` finds out which one it was.
"""

import os
import re
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# PyAV first, lest it meets the symbols of another FFmpeg.
import av  # noqa: F401
import numpy as np
import nvidia.dali
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from farm.batch import Batcher
from farm.engines import Device
from farm.geometry import Size

# Its stubs tell of half of what is in its modules.
_dali: Any = nvidia.dali

_MOST_STILLS = 64
_MOST_CLIPS = 16
_MOST_BYTES = 1 << 30  # of decoded pictures in a batch
_MOST_THREADS = 8

_OUT_OF_MEMORY = re.compile(r"out of memory|bad_alloc|cudaErrorMemoryAllocation", re.I)
_SOURCE_LINE = re.compile(r"^(?:\[[^\]]*\]\s*)+")
_SAMPLE = re.compile(r"sample #\d+")
_MOST_WORDS = 300


class DaliError(Exception):
    """What DALI says of a sample that it cannot decode, in its own words."""

    @property
    def is_memory(self) -> bool:
        """Whether memory was short, the host's or the GPU's."""
        return _OUT_OF_MEMORY.search(str(self)) is not None


@dataclass(frozen=True, slots=True, eq=False)
class _Still:
    """One encoded picture and the size it will have."""

    file: NDArray[np.uint8]
    size: Size

    @property
    def size_bytes(self) -> int:
        return 3 * self.size.width * self.size.height


@dataclass(frozen=True, slots=True, eq=False)
class _Clip:
    """Some frames, by their numbers, of one whole video."""

    file: NDArray[np.uint8]
    numbers: NDArray[np.int32]
    size: Size

    @property
    def size_bytes(self) -> int:
        return 3 * self.size.width * self.size.height * len(self.numbers)


def device_here() -> Device:
    """Where DALI is to decode in this process.

    Lanes of the CPU have bounded address spaces, in which CUDA cannot start.
    """
    is_bounded = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    return "cuda" if not is_bounded and torch.cuda.is_available() else "cpu"


class Decoders:
    """DALI's decoders for stills and videos on one device; any thread may ask them.

    Of `device` "cuda", unverified on a GPU: nothing but the device differs from what runs on a CPU.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._stills = _Rebuilt(self._still_pipeline)
        self._clips = _Rebuilt(self._clip_pipeline)
        self._ask_still = Batcher(
            self._decode_stills,
            most=_MOST_STILLS,
            most_bytes=_MOST_BYTES,
            size_of=lambda ask: ask.size_bytes,
            is_memory=_is_memory,
        )
        self._ask_clip = Batcher(
            self._decode_clips,
            most=_MOST_CLIPS,
            most_bytes=_MOST_BYTES,
            size_of=lambda ask: ask.size_bytes,
            is_memory=_is_memory,
        )

    def picture(self, file: NDArray[np.uint8], *, size: Size) -> Tensor:
        """An encoded picture as RGB, uint8 [H, W, 3], as it is stored; raises DaliError."""
        picture = self._ask_still.ask(_Still(file, size))
        _check_shape(picture, (size.height, size.width, 3))
        return picture

    def frames(self, file: NDArray[np.uint8], numbers: Sequence[int], *, size: Size) -> Tensor:
        """Frames of a video as uint8 [N, H, W, 3], in DALI's RGB; raises DaliError."""
        ask = _Clip(file, np.asarray(numbers, np.int32), size)
        pictures = self._ask_clip.ask(ask)
        _check_shape(pictures, (len(numbers), size.height, size.width, 3))
        return pictures

    def _decode_stills(self, asks: Sequence[_Still]) -> list[Tensor]:
        return self._stills.run(file=[ask.file for ask in asks])

    def _decode_clips(self, asks: Sequence[_Clip]) -> list[Tensor]:
        return self._clips.run(
            file=[ask.file for ask in asks], numbers=[ask.numbers for ask in asks]
        )

    def _still_pipeline(self) -> Any:
        pipeline = self._pipeline(_MOST_STILLS)
        with pipeline:
            file = _dali.fn.external_source(name="file", dtype=_dali.types.UINT8, ndim=1)
            # Of any other output type, a gray JPEG corrupts the heap.
            made = _dali.fn.decoders.image(
                file,
                device=self._backend,
                output_type=_dali.types.RGB,
                adjust_orientation=False,
                jpeg_fancy_upsampling=True,
                affine=False,
            )
            pipeline.set_outputs(made)
        return pipeline

    def _clip_pipeline(self) -> Any:
        pipeline = self._pipeline(_MOST_CLIPS)
        with pipeline:
            file = _dali.fn.external_source(name="file", dtype=_dali.types.UINT8, ndim=1)
            numbers = _dali.fn.external_source(name="numbers", dtype=_dali.types.INT32, ndim=1)
            # By default, a frame that is not there would come out black.
            made = _dali.fn.decoders.video(
                file, device=self._backend, frames=numbers, pad_mode="none", affine=False
            )
            pipeline.set_outputs(made)
        return pipeline

    @property
    def _backend(self) -> str:
        return "mixed" if self.device == "cuda" else "cpu"

    def _pipeline(self, most: int) -> Any:
        is_gpu = self.device == "cuda"
        return _dali.Pipeline(
            batch_size=most,
            num_threads=min(_MOST_THREADS, os.cpu_count() or 1) if is_gpu else 1,
            device_id=0 if is_gpu else None,
            prefetch_queue_depth=1,
        )


class _Rebuilt:
    """A pipeline that is thrown away when it fails."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._pipeline: Any = None

    def run(self, **inputs: Sequence[NDArray[Any]]) -> list[Tensor]:
        """The samples of its one output, in memory of their own; raises DaliError."""
        pipeline, self._pipeline = self._pipeline, None
        try:
            pipeline = pipeline or self._make()
            _wait_for_gpu()
            (made,) = pipeline.run(**{name: list(arrays) for name, arrays in inputs.items()})
            # The next run may use the memory again.
            samples = [from_dlpack(made[number]).clone() for number in range(len(made))]
            _wait_for_gpu()
        # DALI throws whatever type of Python's fits what a sample is.
        except Exception as error:
            failure = DaliError(_cause_of(error))
            if failure.is_memory:
                del pipeline
                _dali.backend.ReleaseUnusedMemory()
            raise failure from error
        self._pipeline = pipeline
        return samples


def _wait_for_gpu() -> None:
    """Hardware decoders heed no stream: no memory may be in use that DALI gets or gave."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.current_stream().synchronize()


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, DaliError) and error.is_memory)


def _check_shape(made: Tensor, wanted: tuple[int, ...]) -> None:
    if tuple(made.shape) != wanted or made.dtype != torch.uint8:
        raise DaliError(f"made {list(made.shape)} of {made.dtype}, expected {list(wanted)}")


def _cause_of(error: Exception) -> str:
    """What DALI says went wrong, without its lines on where in which file."""
    text = str(error)
    _, _, told = text.rpartition("encountered:")
    lines = [line.strip() for line in (told or text).splitlines() if line.strip()]
    words = _SOURCE_LINE.sub("", lines[0]) if lines else type(error).__name__
    # Its number counts within the batch, which tells nobody anything.
    return _SAMPLE.sub("it", words).rstrip(" :")[:_MOST_WORDS]
