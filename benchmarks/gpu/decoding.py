"""Compares an engine's pictures with those of the CPU path and of the float64 reference."""

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor

import kernels
from benchmarks.gpu.likeness import Likeness, Tolerance, likeness, psnr_db
from benchmarks.gpu.material import Exhibit, exhibits
from benchmarks.gpu.part import MissingError, Row, Task, Verdict
from farm import engines
from farm.engines import Engine, Source, Wish
from farm.engines.frame import FrameBatch
from farm.errors import (
    EngineUnavailableError,
    FarmError,
    InvalidEntryError,
    UnsupportedFormatError,
)
from farm.geometry import Fit, Geometry, fit_geometry
from farm.picture import finish
from farm.settings import Limits
from farm.sniff import HEAD_BYTES, sniff
from farm.spec import ThumbnailSpec

_SHRINK = 2
_SPEC = ThumbnailSpec()

# Decoding is exact in nearly every video codec, so that engines that hand out planes as they are
# coded differ by the kernel's arithmetic only. Those that hand out RGB, or chroma in full,
# interpolated it each in its own way, and may take it to lie in the middle of two luma samples.
PLANES = Tolerance(psnr_db=42.0)
INTERPOLATED = Tolerance(psnr_db=32.0, shift_pixels=0.6)


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture as an engine leads to it: uint8 [H, W, 3] in the host's memory, upright.

    `ideal` is what the float64 reference makes of the same samples. `chroma` is the height and
    width of the chroma planes; None for RGB.
    """

    picture: Tensor
    ideal: Tensor
    chroma: tuple[int, int] | None
    device: str


def rows(task: Task) -> Iterator[Row]:
    """One row for each file that the engine of `task.argument` is for."""
    try:
        engine = engines.load(task.argument)
    except (EngineUnavailableError, InvalidEntryError) as error:
        raise MissingError(str(error)) from error
    # One thread, as lanes have: more would wait for each other on a busy machine.
    torch.set_num_threads(1)
    for exhibit in exhibits(task.folder, engine.kinds):
        row: Row = {"file": exhibit.path.name}
        yield row | compare(engine, exhibit)


def compare(engine: Engine, exhibit: Exhibit) -> Row:
    """The verdict on one file, with the figures of the picture that is furthest off."""
    try:
        right = show_by_cpu(exhibit)
    except FarmError as error:
        return {"verdict": Verdict.MISSING, "why": f"the CPU path: {error}"}
    try:
        shown = show(engine, exhibit)
    except UnsupportedFormatError as error:
        return {"verdict": Verdict.REFUSED, "why": str(error)}
    except EngineUnavailableError as error:
        return {"verdict": Verdict.MISSING, "why": str(error)}
    # Whatever a library throws is this file's fault alone.
    except Exception as error:  # noqa: BLE001
        return {"verdict": Verdict.FAILED, "why": f"{type(error).__name__}: {error}"}
    return judge(shown, right)


def judge(shown: Sequence[Shown], right: Sequence[Shown]) -> Row:
    """What pictures differ by from those of the CPU path, for the same targets."""
    layouts = {each.chroma for each in (*shown, *right)}
    tolerance = PLANES if len(layouts) == 1 and None not in layouts else INTERPOLATED
    found: list[Likeness] = []
    faults: list[str] = []
    for one, other in zip(shown, right, strict=True):
        if one.picture.shape != other.picture.shape:
            sizes = f"{list(one.picture.shape)} instead of {list(other.picture.shape)}"
            return {"verdict": Verdict.DIFFERS, "why": f"pictures of {sizes}"}
        found.append(likeness(one.picture, other.picture, source_pixels=_SHRINK))
        faults += tolerance.faults(found[-1])
    worst = min(found, key=lambda each: each.psnr_db)
    ideal = min(psnr_db(one.picture, other.ideal) for one, other in zip(shown, right, strict=True))
    return {
        "verdict": Verdict.DIFFERS if faults else Verdict.OK,
        "why": "; ".join(dict.fromkeys(faults)),
        "psnr_db": round(worst.psnr_db, 1),
        "reference_psnr_db": round(ideal, 1),
        "patch_levels": round(max(each.patch_levels for each in found), 2),
        "luma_shift": round(max(each.luma_shift_pixels for each in found), 2),
        "chroma_shift": round(max(each.chroma_shift_pixels for each in found), 2),
        "frames": " ".join(str(each.number) for each in found),
        "samples": f"{'YUV' if shown[0].chroma else 'RGB'} on {shown[0].device}",
    }


def show_by_cpu(exhibit: Exhibit) -> tuple[Shown, ...]:
    """The pictures as the first engine of the CPU path makes them that takes the file."""
    refusal: FarmError | None = None
    for name in engines.candidates(sniff(_head(exhibit), name=exhibit.path.name)):
        try:
            return show(engines.load(name), exhibit)
        except (EngineUnavailableError, UnsupportedFormatError) as error:
            refusal = refusal or error
    raise refusal or UnsupportedFormatError(f"{exhibit.path.name}: no engine takes it")


def show(engine: Engine, exhibit: Exhibit) -> tuple[Shown, ...]:
    """The pictures of an exhibit's targets at half its size, in the order of the targets."""
    data = exhibit.path.read_bytes()
    source = Source(io.BytesIO(data), len(data), exhibit.path.name)
    media_format = sniff(data[:HEAD_BYTES], name=source.name)
    found: dict[int, Shown] = {}
    opened = engine.open(source, media_format=media_format, limits=Limits())
    with closing(opened) as decoder:
        for batch in decoder.frames(exhibit.targets, Wish()):
            for pick, answers in enumerate(batch.answers):
                shown = _shown(batch, pick)
                found |= dict.fromkeys(answers, shown)
    return tuple(found[index] for index in range(len(exhibit.targets)))


def _head(exhibit: Exhibit) -> bytes:
    with exhibit.path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _shown(batch: FrameBatch, pick: int) -> Shown:
    size = batch.full_size
    geometry = fit_geometry(
        size,
        orientation=batch.orientation,
        pixel_aspect=batch.pixel_aspect,
        fit=Fit.MAX,
        width=max(size) // _SHRINK,
        height=max(size) // _SHRINK,
    )
    (picture,) = finish(batch, [pick], geometry=geometry, spec=_SPEC)
    return Shown(
        picture=picture.cpu(),
        ideal=_ideal(batch, pick, geometry),
        chroma=(batch.planes[1].shape[1], batch.planes[1].shape[2]) if batch.is_yuv else None,
        device=batch.planes[0].device.type,
    )


def _ideal(batch: FrameBatch, pick: int, geometry: Geometry) -> Tensor:
    """What the float64 reference makes of the samples."""
    color = batch.color
    rows, columns = batch.planes[0].shape[1:3]
    full = batch.full_size
    box = geometry.box.scaled(columns / full.width, rows / full.height)
    size = geometry.size
    light = kernels.Light(color.transfer, color.primaries, color.peak_nits)
    tags = kernels.Color(color.matrix, color.full_range, color.siting, color.bits, light)
    item = kernels.Item(
        tuple(plane[pick].cpu() for plane in batch.planes),
        kernels.Resize(box, size.height, size.width, orientation=geometry.orientation),
        tags if batch.is_yuv else None,
        batch.shift,
    )
    (made,) = kernels.resample([item], implementation="reference")
    return _on_white(made) if made.shape[-1] == 4 else made


def _on_white(picture: Tensor) -> Tensor:
    return kernels.flatten_alpha(picture[None], color=(255, 255, 255))[0]
