"""What is there: GPUs, drivers, what their video engines decode, our engines, codecs, packages."""

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from itertools import product
from typing import TYPE_CHECKING

from benchmarks.gpu.driver import LIBRARIES, jpeg_engines, load_library
from benchmarks.gpu.part import MissingError, Row, Task
from farm.errors import EngineUnavailableError
from farm.geometry import Size

if TYPE_CHECKING:
    from farm.engines.nvdec_caps import Capabilities, StreamKind

_PACKAGES = (
    *("torch", "torchvision", "triton", "numpy", "pillow", "av", "dask", "distributed"),
    *("nvidia-dali-cuda130", "nvidia-nvimgcodec-cu13", "nvidia-nvjpeg", "pynvvideocodec"),
    *("torchcodec", "decord", "decord2", "simplejpeg", "isal", "pydantic", "pytest", "hypothesis"),
)
# What torchcodec looks for: FFmpeg 4 to 9.
_FFMPEG = tuple(f"libavcodec.so.{number}" for number in range(58, 64))
_ENCODERS = (
    *("libx264", "libx265", "libvpx", "libvpx-vp9", "libsvtav1", "libaom-av1", "mpeg4", "mjpeg"),
)
_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg2video", "mpeg4", "vc1")
_SMI_FIELDS = "name,driver_version,memory.total,pcie.link.gen.max,pcie.link.width.max"
_NOT_LOADED = (ImportError, OSError, RuntimeError, AttributeError)


def rows(task: Task) -> Iterator[Row]:
    """What is on this machine, the surest things first."""
    del task
    yield _row("system", "Python", platform.python_version())
    yield _row("system", "cores", str(len(os.sched_getaffinity(0))))
    yield from _gpus()
    for name, use in LIBRARIES.items():
        yield _asked("library", name, partial(_loaded, name), use)
    yield _asked("GPU", "JPEG engines", _jpeg_engines)
    yield from _packages()
    for name in _FFMPEG:
        yield _asked("FFmpeg", name, partial(_loaded, name))
    yield from _codecs()
    yield _asked("GPU", "torch", _torch)
    yield from _engines()


def decoder_rows(task: Task) -> Iterator[Row]:
    """What the video engines of the first GPU decode, as the driver tells."""
    del task
    from farm.engines.nvdec_caps import Capabilities, StreamKind

    try:
        driver = Capabilities()
        for codec, chroma, bits in product(_CODECS, (1, 2, 3), (8, 10, 12)):
            kind = StreamKind(codec, chroma, bits, Size(1920, 1088), Size(1920, 1080))
            row: Row = {"stream": str(kind)}
            yield row | _capability(driver, kind)
    except EngineUnavailableError as error:
        raise MissingError(str(error)) from error


def _row(kind: str, name: str, found: str, missing: str = "") -> Row:
    return {"kind": kind, "name": name, "found": found, "missing": missing}


def _asked(kind: str, name: str, ask: Callable[[], str], use: str = "") -> Row:
    """What `ask` finds, or why it finds nothing."""
    try:
        return _row(kind, name, ask())
    except (MissingError, EngineUnavailableError, *_NOT_LOADED) as error:
        reason = " ".join(str(error).split())
        return _row(kind, name, "", f"{reason} ({use})" if use else reason)


def _loaded(library: str) -> str:
    load_library(library)
    return "loads"


def _version(engine: str) -> str:
    from farm import engines

    return engines.load(engine).version


def _gpus() -> Iterator[Row]:
    words = ["nvidia-smi", f"--query-gpu={_SMI_FIELDS}", "--format=csv,noheader"]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=15)
    except FileNotFoundError:
        yield _row("GPU", "nvidia-smi", "", "the command is not here")
        return
    except subprocess.TimeoutExpired:
        yield _row("GPU", "nvidia-smi", "", "no answer within 15 s")
        return
    if ended.returncode:
        yield _row("GPU", "nvidia-smi", "", (ended.stdout + ended.stderr).strip())
        return
    for number, line in enumerate(ended.stdout.strip().splitlines()):
        yield _row("GPU", str(number), line)


def _jpeg_engines() -> str:
    engines, cores = jpeg_engines()
    return f"{engines}, {cores} cores each"


def _packages() -> Iterator[Row]:
    for name in _PACKAGES:
        try:
            yield _row("package", name, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield _row("package", name, "", "not installed")


def _codecs() -> Iterator[Row]:
    """The encoders by which clips to compare are made."""
    try:
        import av
    except _NOT_LOADED as error:
        yield _row("encoder", "PyAV", "", str(error))
        return
    for name in _ENCODERS:
        is_here = name in av.codecs_available
        yield _row("encoder", name, "in PyAV" if is_here else "", "" if is_here else "not in PyAV")


def _torch() -> str:
    import torch

    if not torch.cuda.is_available():
        raise MissingError("torch finds no GPU that it can use")
    about = torch.cuda.get_device_properties(0)
    memory = f"{about.total_memory / 2**30:.0f} GiB"
    return f"{about.name}, sm_{about.major}{about.minor}, {memory}, CUDA {torch.version.cuda}"


def _engines() -> Iterator[Row]:
    from farm import engines

    for name in engines.names():
        yield _asked("engine", name, partial(_version, name))


def _capability(driver: "Capabilities", kind: "StreamKind") -> Row:
    try:
        found = driver.of(kind)
    except KeyError:
        return {"decoded": None, "why": "engine nvdec does not take it"}
    if not found.is_supported:
        return {"decoded": False}
    sizes = {"least": found.least, "most": found.most}
    row: Row = {name: f"{size.width}x{size.height}" for name, size in sizes.items()}
    return {"decoded": True, "as_stored": found.has_surfaces} | row
