"""What NVIDIA's libraries tell through ctypes: how many GPUs, JPEG engines, how busy they are."""

import ctypes
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.gpu.part import MissingError

LIBRARIES = {
    "libcuda.so.1": "the driver",
    "libnvcuvid.so.1": "video decoding",
    "libnvidia-encode.so.1": "needed by PyNvVideoCodec even where nothing is encoded",
    "libnvidia-ml.so.1": "NVML: names and utilisation",
    "libnvjpeg.so.13": "JPEG decoding and encoding",
}
"""Shared libraries of the GPU path, and what each is for."""

# nvjpegBackend_t of nvjpeg.h: the fixed-function engines.
_NVJPEG_HARDWARE = 3
_SAMPLE_SECONDS = 0.1


def gpu_count() -> int:
    """How many GPUs the driver lets this process see; 0 without a driver."""
    try:
        cuda = load_library("libcuda.so.1")
    except MissingError:
        return 0
    count = ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def load_library(name: str) -> ctypes.CDLL:
    """A shared library by the name that the loader knows, or from a Python package that brings it.

    Raises MissingError, which says how the loader refused.
    """
    reason = ""
    for place in (name, *map(str, _packaged(name))):
        try:
            return ctypes.CDLL(place)
        except OSError as error:
            reason = reason or str(error)
    raise MissingError(reason)


def jpeg_engines() -> tuple[int, int]:
    """Fixed-function JPEG decoders of the GPU, and cores of each.

    Raises MissingError where nvJPEG has no hardware backend here. Unverified on a GPU.
    """
    nvjpeg = load_library("libnvjpeg.so.13")
    handle = ctypes.c_void_p()
    status = nvjpeg.nvjpegCreateEx(_NVJPEG_HARDWARE, None, None, 0, ctypes.byref(handle))
    if status:
        raise MissingError(f"nvJPEG has no hardware backend here: nvjpegCreateEx gave {status}")
    engines, cores = ctypes.c_uint(), ctypes.c_uint()
    status = nvjpeg.nvjpegGetHardwareDecoderInfo(handle, ctypes.byref(engines), ctypes.byref(cores))
    nvjpeg.nvjpegDestroy(handle)
    if status:
        raise MissingError(f"nvjpegGetHardwareDecoderInfo gave {status}")
    return engines.value, cores.value


@dataclass(slots=True)
class Busyness:
    """How busy the units of a GPU were, in percent, one number for each sample."""

    samples: dict[str, list[int]] = field(default_factory=dict)

    def mean(self, unit: str) -> float | None:
        """The mean of all samples; None where the driver does not tell."""
        found = self.samples.get(unit)
        return sum(found) / len(found) if found else None


class Watch(AbstractContextManager["Watch"]):
    """Samples how busy the first GPU is for as long as the context lasts; see `busyness`.

    Where NVML is missing nothing is sampled, and nothing fails. Unverified on a GPU.
    """

    def __init__(self) -> None:
        self.busyness = Busyness()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        with suppress(MissingError):
            questions = _nvml_questions()
            while not self._ended.wait(_SAMPLE_SECONDS):
                for unit, ask in questions.items():
                    if (percent := ask()) is not None:
                        self.busyness.samples.setdefault(unit, []).append(percent)


def _nvml_questions() -> dict[str, Callable[[], int | None]]:
    """For each unit a function that tells how busy it is, or None."""
    nvml = load_library("libnvidia-ml.so.1")
    device = ctypes.c_void_p()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)):
        raise MissingError("NVML does not start")

    def unit(function: str) -> int | None:
        percent, period = ctypes.c_uint(), ctypes.c_uint()
        # Older drivers lack some of the functions.
        ask = getattr(nvml, function, None)
        if ask is None or ask(device, ctypes.byref(percent), ctypes.byref(period)):
            return None
        return percent.value

    def multiprocessors() -> int | None:
        both = (ctypes.c_uint * 2)()  # nvmlUtilization_t: gpu, memory
        return None if nvml.nvmlDeviceGetUtilizationRates(device, both) else int(both[0])

    return {
        "gpu": multiprocessors,
        "nvdec": lambda: unit("nvmlDeviceGetDecoderUtilization"),
        "nvjpg": lambda: unit("nvmlDeviceGetJpgUtilization"),
    }


def _packaged(name: str) -> list[Path]:
    """Where the Python packages of CUDA would have a library."""
    spec = find_spec("nvidia")
    folders = spec.submodule_search_locations if spec is not None else None
    found = [path for folder in folders or () for path in Path(folder).glob(f"*/lib/{name}")]
    return sorted(found)
