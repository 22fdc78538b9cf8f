"""Decodes baseline JPEGs at 1/2, 1/4 or 1/8 of their size with the JPEG engines of a GPU.

nvJPEG's hardware backend scales while it decodes, which no Python package offers: hence this small
binding to `nvjpegDecodeParamsSetScaleFactor` of nvjpeg.h. Unverified on a GPU: its calls have only
been made to a stand-in. `find` gives nothing where there is no GPU, no library or no JPEG engine.
"""

import ctypes
import threading
from collections.abc import Sequence
from ctypes import byref, c_int, c_size_t, c_uint, c_void_p
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from farm.batch import Batcher
from farm.geometry import Size

_LIBRARY = "libnvjpeg.so.13"

# The values of nvjpegBackend_t, nvjpegOutputFormat_t and nvjpegScaleFactor_t.
_BACKEND_HARDWARE = 3
_OUTPUT_RGBI = 5
_SCALES = {8: 3, 4: 2, 2: 1}

# nvjpegStatus_t from 1 on.
_STATUSES = (
    "not initialized",
    "invalid parameter",
    "bad JPEG",
    "JPEG not supported",
    "allocator failure",
    "execution failed",
    "architecture mismatch",
    "internal error",
    "implementation not supported",
    "incomplete bitstream",
)

_MOST_PICTURES = 64
_MOST_BYTES = 1 << 30  # of decoded pictures in one batch


class ScaleError(Exception):
    """There is no scaled decoding here, or not of this file."""


class _Image(ctypes.Structure):
    """nvjpegImage_t: the addresses and row lengths of up to four planes."""

    _fields_ = (("channel", c_void_p * 4), ("pitch", c_size_t * 4))


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A whole baseline JPEG of three components, and by how much to shrink it."""

    data: memoryview
    size: Size
    shrink: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the picture."""
        return self.size.height // self.shrink, self.size.width // self.shrink, 3


def shrink(size: Size, at_least: Size) -> int:
    """The largest factor by which `size` can be divided without rest and still be `at_least`.

    Without rest, because nvjpeg.h leaves open how it rounds.
    """
    for factor in _SCALES:
        width, height = size.width // factor, size.height // factor
        is_whole = (width * factor, height * factor) == size
        if is_whole and width >= at_least.width and height >= at_least.height:
            return factor
    return 1


class ScaledDecoder:
    """The hardware backend of nvJPEG for many threads.

    `library` has the functions of nvjpeg.h. Raises ScaleError where they refuse, such as for want
    of a JPEG engine.
    """

    def __init__(self, library: Any, *, device: str = "cuda") -> None:
        self._library = library
        self._device = torch.device(device)
        self._handle, self._state, self._stream = c_void_p(), c_void_p(), c_void_p()
        backend = c_int(_BACKEND_HARDWARE)
        self._call("nvjpegCreateEx", backend, None, None, c_uint(0), byref(self._handle))
        try:
            self._check_engines()
            self._call("nvjpegJpegStateCreate", self._handle, byref(self._state))
            self._call("nvjpegJpegStreamCreate", self._handle, byref(self._stream))
            self._params = {factor: self._make_params(scale) for factor, scale in _SCALES.items()}
        except ScaleError:
            self._library.nvjpegDestroy(self._handle)
            raise
        self._batcher = Batcher[Ask, Tensor](
            self._decode_all,
            most=_MOST_PICTURES,
            most_bytes=_MOST_BYTES,
            size_of=lambda ask: ask.shape[0] * ask.shape[1] * ask.shape[2],
            is_memory=lambda error: isinstance(error, torch.OutOfMemoryError),
        )

    def decode(self, ask: Ask) -> Tensor:
        """The picture, uint8 [H, W, 3] on the GPU; any thread may call it.

        Raises ScaleError where the engines refuse the file, or torch.OutOfMemoryError.
        """
        return self._batcher.ask(ask)

    def _call(self, name: str, *arguments: Any) -> None:
        """One function of the library; raises ScaleError for any status but success."""
        status = getattr(self._library, name)(*arguments)
        if status:
            known = status <= len(_STATUSES)
            raise ScaleError(f"{name}: {_STATUSES[status - 1] if known else f'status {status}'}")

    def _check_engines(self) -> None:
        engines, cores = c_uint(), c_uint()
        self._call("nvjpegGetHardwareDecoderInfo", self._handle, byref(engines), byref(cores))
        if not engines.value:
            raise ScaleError("the GPU has no JPEG engine")

    def _make_params(self, scale: int) -> c_void_p:
        params = c_void_p()
        self._call("nvjpegDecodeParamsCreate", self._handle, byref(params))
        self._call("nvjpegDecodeParamsSetOutputFormat", params, c_int(_OUTPUT_RGBI))
        self._call("nvjpegDecodeParamsSetScaleFactor", params, c_int(scale))
        return params

    def _decode_all(self, asks: Sequence[Ask]) -> list[Tensor | Exception]:
        answers: list[Tensor | Exception] = []
        taken: list[tuple[Ask, Tensor]] = []
        for ask in asks:
            if refusal := self._refusal(ask):
                answers.append(refusal)
                continue
            picture = torch.empty(ask.shape, dtype=torch.uint8, device=self._device)
            taken.append((ask, picture))
            answers.append(picture)
        if taken:
            self._decode_batch(taken)
        return answers

    def _refusal(self, ask: Ask) -> ScaleError | None:
        """Why the engines don't take a file."""
        is_unsupported = c_int(1)
        params = self._params[ask.shrink]
        try:
            self._call(
                "nvjpegJpegStreamParseHeader",
                self._handle, c_void_p(_address(ask)), c_size_t(len(ask.data)), self._stream,
            )  # fmt: skip
            self._call(
                "nvjpegDecodeBatchedSupportedEx",
                self._handle, self._stream, params, byref(is_unsupported),
            )  # fmt: skip
        except ScaleError as error:
            return error
        return ScaleError("the JPEG engines do not take it") if is_unsupported.value else None

    def _decode_batch(self, taken: Sequence[tuple[Ask, Tensor]]) -> None:
        """Decodes into the pictures, which are ready when it returns.

        The JPEG engines heed no stream: they would write where memory was freed by work that is
        still queued. So all of it is waited for before.
        """
        count = len(taken)
        data = (c_void_p * count)(*(_address(ask) for ask, _ in taken))
        lengths = (c_size_t * count)(*(len(ask.data) for ask, _ in taken))
        images = (_Image * count)(*(_image(picture) for _, picture in taken))
        params = (c_void_p * count)(*(self._params[ask.shrink].value for ask, _ in taken))
        stream = c_void_p(self._wait_and_stream())
        self._call(
            "nvjpegDecodeBatchedInitialize",
            self._handle, self._state, c_int(count), c_int(1), c_int(_OUTPUT_RGBI),
        )  # fmt: skip
        self._call(
            "nvjpegDecodeBatchedEx",
            self._handle, self._state, data, lengths, images, params, stream,
        )  # fmt: skip
        self._wait_and_stream()

    def _wait_and_stream(self) -> int:
        """Waits for all queued work; the address of the thread's stream."""
        if self._device.type != "cuda":
            return 0
        torch.cuda.synchronize(self._device)
        return int(torch.cuda.current_stream(self._device).cuda_stream)


def find() -> ScaledDecoder | None:
    """The decoder of this process, made on first use; None where there is none to be had."""
    with _MAKING:
        return _found()


_MAKING = threading.Lock()


@cache
def _found() -> ScaledDecoder | None:
    try:
        return open_decoder()
    except ScaleError:
        return None


def open_decoder() -> ScaledDecoder:
    """A new decoder; raises ScaleError, saying what is missing."""
    if not torch.cuda.is_available():
        raise ScaleError("torch finds no GPU")
    try:
        return ScaledDecoder(load_library())
    # A library of another version may lack a function.
    except AttributeError as error:
        raise ScaleError(f"{_LIBRARY} is another than it should be: {error}") from error


def load_library() -> ctypes.CDLL:
    """nvJPEG, from NVIDIA's package or wherever the system finds it."""
    spec = find_spec("nvidia")
    places = [
        Path(each, "cu13", "lib", _LIBRARY)
        for each in (spec and spec.submodule_search_locations) or ()
    ]
    for place in (*(each for each in places if each.exists()), _LIBRARY):
        try:
            return ctypes.CDLL(str(place))
        except OSError as error:
            reason = error
    raise ScaleError(f"{_LIBRARY} cannot be loaded: {reason}")


def _address(ask: Ask) -> int:
    return int(np.frombuffer(ask.data, np.uint8).ctypes.data)


def _image(picture: Tensor) -> _Image:
    image = _Image()
    image.channel[0] = picture.data_ptr()
    image.pitch[0] = picture.stride(0)
    return image
