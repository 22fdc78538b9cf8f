"""What this machine can do for the farm, what it lacks, and how to get that."""

import ctypes
import importlib.util
import multiprocessing
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import metadata
from pathlib import Path

from farm import engines
from farm.errors import EngineUnavailableError, FarmError
from farm.isolation import sandbox
from farm.machine import usable_cores, usable_memory_bytes
from farm.spec import ImageFormat

_CHILD_SECONDS = 120.0
_CURE_FOREIGN = (
    "python -m pip uninstall -y farm kernels thumbfarm && python -m pip install thumbfarm"
)


class State(StrEnum):
    """`missing` things are optional; `broken` ones are needed."""

    OK = "ok"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `cure` says how to get it."""

    name: str
    value: str
    state: State = State.OK
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Findings about one subject."""

    name: str
    findings: tuple[Finding, ...]


def examine() -> Iterator[Section]:
    """Looks at everything, one section after the other; whatever is broken is a finding."""
    child = _Child()
    looks: dict[str, Callable[[], Iterator[Finding]]] = {
        "packages": package_findings,
        "machine": _machine_findings,
        "versions": partial(_version_findings, child),
        "engines": partial(_engine_findings, child),
        "gpu": partial(_gpu_findings, child),
        "lanes": _lane_findings,
    }
    try:
        for name, look in looks.items():
            yield Section(name, tuple(look()))
    finally:
        child.close()


def package_findings(folders: dict[str, Path | None] | None = None) -> Iterator[Finding]:
    """Whether the packages `farm` and `kernels` are ours.

    PyPI has foreign ones of both names, which would lie in the same place or shadow ours. `folders`
    are where the two are found, by default where Python would import them from.
    """
    found = folders or {name: _folder(name) for name in ("farm", "kernels")}
    home = Path(__file__).parent.parent
    marks = {"farm": "shard.py", "kernels": "functional.py"}
    for name, folder in found.items():
        if folder is None:
            yield Finding(name, "not found", State.BROKEN, _CURE_FOREIGN)
        elif folder.parent != home or not (folder / marks[name]).is_file():
            yield Finding(name, f"{folder} is not thumbfarm's", State.BROKEN, _CURE_FOREIGN)
        elif (version := _installed(name)) is not None:
            yield Finding(name, f"a foreign package {name} {version}", State.BROKEN, _CURE_FOREIGN)
        else:
            yield Finding(name, str(folder))


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _machine_findings() -> Iterator[Finding]:
    yield Finding("system", platform.platform())
    yield Finding("python", f"{platform.python_version()} {sys.executable}")
    yield Finding("cores", f"{usable_cores()} usable")
    yield Finding("memory", f"{usable_memory_bytes() / 1e9:.1f} GB usable")


# Distribution, and what to say where it is missing: empty for what the farm cannot do without.
_DISTRIBUTIONS = {
    "thumbfarm": "",
    "torch": "",
    "torchvision": "",
    "dask": "",
    "distributed": "",
    "pyarrow": "",
    "fsspec": "",
    "pillow": "",
    "simplejpeg": "",
    "av": "",
    "decord": "only Linux on x86-64 has it; videos are decoded by av",
    "nvidia-dali-cuda130": "only Linux on x86-64 has it",
    "s3fs": "for s3://: pip install 'thumbfarm[s3]'",
    "aiohttp": "for http(s)://: pip install 'thumbfarm[http]'",
    "bokeh": "for Dask's dashboard: pip install 'thumbfarm[dashboard]'",
}


def _version_findings(child: "_Child") -> Iterator[Finding]:
    for name, cure in _DISTRIBUTIONS.items():
        version = _installed(name)
        if version is not None:
            yield Finding(name, version)
        elif cure:
            yield Finding(name, "not installed", State.MISSING, cure)
        else:
            yield Finding(name, "not installed", State.BROKEN, f"pip install {name}")
    yield child.find("ffmpeg", _ffmpeg_version)


def _engine_findings(child: "_Child") -> Iterator[Finding]:
    for name in engines.names():
        yield child.find(name, _engine_version, name, otherwise=State.MISSING)
    for image_format in ImageFormat:
        yield child.find(f"{image_format} encoder", _encoder_version, image_format)


def _gpu_findings(child: "_Child") -> Iterator[Finding]:
    cure = "the CPU does the work"
    yield child.find("torch.cuda", _cuda_device, otherwise=State.MISSING, cure=cure)
    cure = "comes with NVIDIA's driver; containers need NVIDIA_DRIVER_CAPABILITIES=all"
    for name, library in (("driver", "libcuda.so.1"), ("NVDEC", "libnvcuvid.so.1")):
        yield child.find(name, _library, library, otherwise=State.MISSING, cure=cure)


def _lane_findings() -> Iterator[Finding]:
    """What a lane is kept from here, and a picture made in one, as every worker does it."""
    yield from sandbox_findings(sandbox.missing())
    began = time.monotonic()
    try:
        made = _make_picture()
    except (FarmError, OSError, ImportError) as error:
        yield Finding("thumbnail", f"{type(error).__name__}: {error}", State.BROKEN)
        return
    yield Finding("thumbnail", f"{made} in {time.monotonic() - began:.1f} s, with start-up")


def sandbox_findings(lacking: dict[str, str]) -> Iterator[Finding]:
    """The parts of the sandbox; `lacking` are those that are not to be had, and why."""
    cures = {
        "landlock": "a kernel of 5.13 or newer that has landlock among its `lsm=`",
        "seccomp": "a kernel with CONFIG_SECCOMP_FILTER, on x86-64 or 64-bit Arm",
        "own user": "install where all may read, or run as a user other than root",
    }
    for part, cure in cures.items():
        reason = lacking.get(part)
        if reason is None:
            yield Finding(part, "lanes have it")
        else:
            yield Finding(part, f"lanes do without: {reason}", State.MISSING, cure)


def _make_picture() -> str:
    from farm.single import make_one
    from farm.spec import Job, ThumbnailSpec

    with tempfile.TemporaryDirectory(prefix="farm-doctor-") as folder:
        source = Path(folder, "source.farmsyn")
        source.write_bytes(b'FARMSYN1 {"width": 320, "height": 240}\n')
        job = Job(manifest="-", destination=folder, outputs=(ThumbnailSpec(width=160),))
        record = make_one(job, {"source": str(source)})
    if not record.artifacts:
        raise FarmError(f"{record.error_code}: {record.message}")
    artifact = record.artifacts[0]
    return f"{artifact.width}x{artifact.height} {artifact.format}"


class _Child:
    """A process that loads native libraries for us, because one may take its process with it."""

    def __init__(self) -> None:
        self._executor = _executor()

    def find(
        self,
        name: str,
        question: Callable[..., str],
        *arguments: str,
        otherwise: State = State.BROKEN,
        cure: str = "",
    ) -> Finding:
        """What a question is answered in the child, or its error in the state `otherwise`."""
        future = self._executor.submit(question, *arguments)
        try:
            return Finding(name, future.result(timeout=_CHILD_SECONDS))
        except (FarmError, ImportError, OSError, RuntimeError, AttributeError) as error:
            # BrokenProcessPool is a RuntimeError, TimeoutError an OSError.
            if isinstance(error, BrokenExecutor | TimeoutError):
                self.close()
                self._executor = _executor()
            return Finding(name, str(error) or type(error).__name__, otherwise, cure)

    def close(self) -> None:
        """Ends the process, whatever it is stuck in."""
        for process in multiprocessing.active_children():
            process.kill()
        self._executor.shutdown()


def _executor() -> ProcessPoolExecutor:
    # Spawned: a fork would share this process's threads and locks.
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _ffmpeg_version() -> str:
    import av

    return str(av.ffmpeg_version_info)


def _engine_version(name: str) -> str:
    return engines.load(name).version


def _encoder_version(image_format: str) -> str:
    from farm import encoders

    return encoders.load(ImageFormat(image_format)).version


def _cuda_device() -> str:
    import torch

    if not torch.cuda.is_available():
        raise EngineUnavailableError("no GPU that torch can use")
    return f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}"


def _library(name: str) -> str:
    ctypes.CDLL(name)
    return name
