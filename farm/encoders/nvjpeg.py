"""Encodes JPEG with nvImageCodec: on the GPU that the pictures are on, else by its CPU encoder.

It is chosen for no output until it was measured to pay. On a GPU it is unverified.
"""

import os
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from farm.encoding import Encoding
from farm.errors import EncodeError
from farm.spec import Subsampling

# It is read at import: without it the library writes to stderr what it also tells by its answers.
os.environ.setdefault("PYNVIMGCODEC_VERBOSITY", "0")

import nvidia.nvimgcodec as nvimgcodec

_MOST_CPU_THREADS = 8

_CODES = {
    Subsampling.FULL: nvimgcodec.CSS_444,
    Subsampling.HALF: nvimgcodec.CSS_422,
    Subsampling.QUARTER: nvimgcodec.CSS_420,
}


class NvJpegEncoder:
    """Baseline or progressive JPEG, 4:2:0 unless asked otherwise, of pictures on any device."""

    channels: ClassVar[tuple[int, ...]] = (1, 3)
    longest_side: ClassVar[int] = 65_500  # as for libjpeg, so that both take the same pictures

    @property
    def version(self) -> str:
        """The version of nvImageCodec."""
        return f"nvimgcodec {nvimgcodec.__version__}"

    def encode(self, pictures: Tensor, encoding: Encoding) -> list[bytes]:
        """One file per picture [N, H, W, C], all in one batch; any thread may call it."""
        if not len(pictures):
            return []
        try:
            files = _run(pictures, _params(encoding, is_gray=pictures.shape[3] == 1))
        # An encoder raises RuntimeError where it lacks a GPU or its memory.
        except RuntimeError as error:
            raise EncodeError(f"{_named(pictures)} cannot become JPEG: {error}") from error
        if len(files) != len(pictures) or any(file is None for file in files):
            raise EncodeError(f"{_named(pictures)} cannot become JPEG: nvImageCodec gives no file")
        return [bytes(memoryview(file)) for file in files]


def _params(encoding: Encoding, *, is_gray: bool) -> Any:
    code = _CODES[encoding.subsampling or Subsampling.QUARTER]
    return nvimgcodec.EncodeParams(
        quality_type=nvimgcodec.QUALITY,
        quality_value=encoding.quality,
        chroma_subsampling=nvimgcodec.CSS_GRAY if is_gray else code,
        jpeg_encode_params=nvimgcodec.JpegEncodeParams(progressive=encoding.progressive),
    )


def _run(pictures: Tensor, params: Any) -> Sequence[Any]:
    """The library's code streams of one batch, None where it refuses."""
    if not pictures.is_cuda:
        images = [nvimgcodec.as_image(picture.numpy()) for picture in pictures]
        with _ENCODING:
            return _files(_encoder_of(os.getpid(), None).encode(images, "jpeg", params=params))
    stream = torch.cuda.current_stream(pictures.device)
    # The library reads the pictures on streams of its own.
    stream.synchronize()
    address = stream.cuda_stream
    images = [nvimgcodec.as_image(picture, cuda_stream=address) for picture in pictures]
    with _ENCODING:
        encoder = _encoder_of(os.getpid(), pictures.device.index)
        return _files(encoder.encode(images, "jpeg", params=params, cuda_stream=address))


def _files(made: Any) -> Sequence[Any]:
    """What the library makes of a list, of one picture as of many."""
    return made if isinstance(made, list) else [made]


_ENCODING = threading.Lock()


@cache
def _encoder_of(process: int, gpu: int | None) -> Any:
    """The encoder of a process for a GPU, or for none; kept, because to make one takes long."""
    if gpu is not None:
        threads = min(_MOST_CPU_THREADS, len(os.sched_getaffinity(0)))
        return nvimgcodec.Encoder(device_id=gpu, max_num_cpu_threads=threads)
    return nvimgcodec.Encoder(
        device_id=nvimgcodec.NVIMGCODEC_DEVICE_CPU_ONLY,
        max_num_cpu_threads=1,
        backends=[nvimgcodec.Backend(nvimgcodec.CPU_ONLY)],
    )


def _named(pictures: Tensor) -> str:
    count, height, width, _ = pictures.shape
    return f"{count} pictures of {width} x {height} pixels"
