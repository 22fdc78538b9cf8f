"""Times the fused kernel against its byte floor, the same job in eager torch, and DALI's resize.

Unverified on a GPU.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch

import kernels
from benchmarks.gpu.chain import DaliResize, EagerChain
from benchmarks.gpu.floor import copy_bandwidth, floor_seconds, moved_bytes
from benchmarks.gpu.part import MissingError, Row, Task
from benchmarks.gpu.timing import gpu_seconds, wall_seconds
from kernels import implementation

_HD, _UHD = (1080, 1920), (2160, 3840)
_RAGGED_SOURCES = ((1080, 1920), (720, 1280), (480, 854), (2160, 3840), (1920, 1080))
_RAGGED_SIDES = (160, 320, 480)
_RAGGED_COUNT = 256
# Sources may fill so much of what is free, so that small GPUs measure with fewer pictures.
_FREE_SHARE = 0.25
_COLOR = kernels.Color("bt709", False, "left", 8)

Launch = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Case:
    """Pictures of one size, (height, width), made `scale` times smaller."""

    source: tuple[int, int]
    scale: int
    filter: kernels.Filter
    count: int = 64

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"NV12 {self.source[1]}x{self.source[0]} / {self.scale}"

    @property
    def made(self) -> tuple[int, int]:
        """The results' height and width."""
        return self.source[0] // self.scale, self.source[1] // self.scale


def cases() -> tuple[Case, ...]:
    """The usual sizes with every filter, and the whole range of scales with the default one."""
    best = kernels.Filter.LANCZOS3
    found = [Case(source, side // 320, filter) for filter in kernels.Filter
             for source, side in ((_HD, 1920), (_UHD, 3840))]  # fmt: skip
    found += [Case(_UHD, scale, best) for scale in (3, 6, 24)]
    return tuple(found)


def rows(task: Task) -> Iterator[Row]:
    """A row for each case, then the ragged batch."""
    device = torch.device("cuda")
    if "triton" not in implementation.implementations(device):
        raise MissingError("kernels has no implementation `triton` that serves a GPU")
    bandwidth = copy_bandwidth(device, gpu_seconds)
    yield {"case": "copy within the GPU's memory", "gb_per_second": round(bandwidth / 1e9, 1)}
    for case in cases():
        if task.left_seconds < 10:
            yield {"case": case.name, "filter": case.filter.value, "why": "no time left"}
            continue
        yield _measured(case, bandwidth)
    yield _ragged(bandwidth)


def _measured(case: Case, bandwidth: float) -> Row:
    count = _affordable(case.count, case.source)
    items = make_items([case.source] * count, [case.made] * count, case.filter, "cuda")
    row: Row = {"case": case.name, "filter": case.filter.value}
    row |= timed(items, bandwidth)
    others: dict[str, Callable[[Sequence[kernels.Item]], Launch]] = {
        "torch": EagerChain,
        "dali": DaliResize,
    }
    for name, make in others.items():
        row |= _other(name, make, items, float(row["kernel_us_each"] or 0))
    return row


def timed(items: Sequence[kernels.Item], bandwidth: float) -> Row:
    """Times a batch: the launches alone, the whole call with its tables, and the floor."""
    launches = recorded_launches(items)
    count = len(items)
    kernel = gpu_seconds(lambda: [launch() for launch in launches])
    call = wall_seconds(lambda: kernels.resample(items, implementation="triton"))
    floor = floor_seconds(moved_bytes(items), bandwidth)
    return {
        "pictures": count,
        "launches": len(launches),
        "kernel_us_each": round(kernel / count * 1e6, 2),
        "floor_us_each": round(floor / count * 1e6, 2),
        "times_floor": round(kernel / floor, 2),
        "call_us_each": round(call / count * 1e6, 2),
    }


def _other(
    name: str,
    make: Callable[[Sequence[kernels.Item]], Launch],
    items: Sequence[kernels.Item],
    kernel_us: float,
) -> Row:
    """The same pictures by other means; `..._times` is how many times as long it takes."""
    few = items[:8]  # full-size float pictures need 12 times the memory of NV12
    try:
        work = make(few)
        took = wall_seconds(work, repeats=5) / len(few) * 1e6
    # A library may be missing, refuse a scale, or run out of memory: the rest goes on.
    except (ImportError, MissingError, RuntimeError) as error:
        return {f"{name}_us_each": None, f"{name}_why": str(error).strip().split("\n")[0]}
    return {f"{name}_us_each": round(took, 2), f"{name}_times": round(took / kernel_us, 1)}


def _ragged(bandwidth: float) -> Row:
    sources = [_RAGGED_SOURCES[n % len(_RAGGED_SOURCES)] for n in range(_RAGGED_COUNT)]
    made = []
    for number, (height, width) in enumerate(sources):
        scale = _RAGGED_SIDES[number // 5 % len(_RAGGED_SIDES)] / max(height, width)
        made.append((round(height * scale), round(width * scale)))
    count = _affordable(_RAGGED_COUNT, max(_RAGGED_SOURCES))
    items = make_items(sources[:count], made[:count], kernels.Filter.LANCZOS3, "cuda")
    row: Row = {"case": "ragged NV12", "filter": "lanczos3"}
    return row | timed(items, bandwidth)


def make_items(
    sources: Sequence[tuple[int, int]],
    made: Sequence[tuple[int, int]],
    filter: kernels.Filter,
    device: str,
) -> list[kernels.Item]:
    """NV12 pictures of noise, (height, width) each, and what they are to become."""
    items = []
    for (height, width), (small_height, small_width) in zip(sources, made, strict=True):
        y = torch.randint(16, 236, (height, width), dtype=torch.uint8, device=device)
        half = (-(-height // 2), -(-width // 2), 2)
        uv = torch.randint(16, 241, half, dtype=torch.uint8, device=device)
        box = (0.0, 0.0, float(width), float(height))
        resize = kernels.Resize(box, small_height, small_width, filter)
        items.append(kernels.Item((y, uv), resize, _COLOR))
    return items


def recorded_launches(items: Sequence[kernels.Item]) -> list[Launch]:
    """The kernel launches that a batch leads to, each ready to be repeated with the same tables.

    So the kernel's own time can be told from that of its tables. The items must be kept meanwhile.
    """
    triton_fused: Any = import_module("kernels.triton_fused")
    recorder = _Recorder(triton_fused.resample_tiles)
    original = triton_fused.resample_tiles
    triton_fused.resample_tiles = recorder
    try:
        # The results must outlive the repeats, which write into them again.
        recorder.made = kernels.resample(items, implementation="triton")
    finally:
        triton_fused.resample_tiles = original
    return recorder.launches


class _Recorder:
    """Stands for a kernel: `recorder[grid](...)` launches it and remembers how."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self.launches: list[Launch] = []
        self.made: object = None

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., object]:
        def launch(*tables: object, **constants: object) -> object:
            def again() -> object:
                return self._kernel[grid](*tables, **constants)

            self.launches.append(again)
            return again()

        return launch


def _affordable(count: int, source: tuple[int, int]) -> int:
    free, _ = torch.cuda.mem_get_info()
    each = source[0] * source[1] * 3 // 2
    return max(8, min(count, int(free * _FREE_SHARE) // each))
