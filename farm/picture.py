"""Turns decoded frames into finished pictures: resampled, upright, RGB(A), on their canvas."""

from collections.abc import Sequence

import torch
from torch import Tensor

import kernels
from farm.batch import Batcher
from farm.engines import Wish
from farm.engines.frame import FrameBatch
from farm.engines.profile import apply_profile
from farm.geometry import Box, Geometry, Size
from farm.plan import Plan
from farm.spec import Damaged, Fidelity, ImageFormat, PictureSpec

# How many times as large as the picture a decoder must leave what it shrinks on load. By
# benchmarks/fidelity.py, PSNR against the ideal is 49 dB in the mean and 41 at worst with 1.0, 52
# and 46 with 1.25, 53 and 48 with 1.5, and 54 and 52 with 2.0, past which hardly more is won. The
# resize is the same for all: other filters and integer arithmetic save next to no time.
DECODE_MARGINS = {Fidelity.FAST: 1.0, Fidelity.BALANCED: 1.25, Fidelity.BEST: 2.0}

_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)


def wish_for(plans: Sequence[Plan], source: Size) -> Wish:
    """What all plans need of the frames of a source of the coded size `source`."""
    return Wish(
        at_least=_needed_size(plans, source),
        fidelity=max((plan.spec.fidelity for plan in plans), key=list(Fidelity).index),
        previews=all(plan.spec.previews for plan in plans),
        region=_needed_region(plans, source),
        salvage=all(plan.spec.damaged is Damaged.SALVAGE for plan in plans),
    )


def _needed_size(plans: Sequence[Plan], source: Size) -> Size | None:
    """The smallest coded size that serves all plans; None where only the frames can tell."""
    sizes = [
        plan.geometry.needed_size(source, margin=DECODE_MARGINS[plan.spec.fidelity])
        for plan in plans
        if plan.geometry is not None
    ]
    if len(sizes) < len(plans):
        return None
    return Size(max(size.width for size in sizes), max(size.height for size in sizes))


def _needed_region(plans: Sequence[Plan], source: Size) -> Box | None:
    """The part of the source that any plan looks at; None where only the frames can tell."""
    regions = [_reached(plan.geometry, source) for plan in plans if plan.geometry is not None]
    if not regions or len(regions) < len(plans):
        return None
    lefts, tops, rights, bottoms = zip(*regions, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def _reached(geometry: Geometry, source: Size) -> Box:
    """The box of a geometry, and what the resize's filter looks at around it."""
    box, resize = geometry.box, _resize(geometry.box, geometry)
    x = _reach(box.width / resize.stored_width)
    y = _reach(box.height / resize.stored_height)
    return Box(
        max(0.0, box.left - x),
        max(0.0, box.top - y),
        min(float(source.width), box.right + x),
        min(float(source.height), box.bottom + y),
    )


def _reach(scale: float) -> float:
    """How many pixels of the source beyond its box a resize by `scale` can depend on, at most.

    Lanczos has three lobes, each as long as a pixel of the result, or as a sample where that is
    longer. A sample that was shrunk on load is as long as such a pixel at most, or twice as long
    where chroma has half the size: six times the scale. Two are for a sample that the end of a lobe
    cuts, one for its siting.
    """
    return 9 * max(scale, 1.0)


def finish(
    batch: FrameBatch, picks: Sequence[int], *, geometry: Geometry, spec: PictureSpec
) -> Tensor:
    """The pictures of `batch` at `picks`, ready to encode: uint8 [len(picks), H, W, 3 or 4].

    Transparency stays where the format has it and the output names no background; under it comes
    the background, else white. The canvas around a padded picture is the background, else black.
    """
    pictures = _resampled(batch, picks, geometry)
    if batch.profile is not None:
        pictures = apply_profile(pictures, batch.profile)
    background = spec.background_rgb
    if pictures.shape[-1] == 4 and (background or spec.format is ImageFormat.JPG):
        pictures = kernels.flatten_alpha(pictures, color=background or _WHITE)
    if geometry.canvas == geometry.size:
        return pictures
    left, top = geometry.offset
    width, height = geometry.canvas
    opaque = (255,) if pictures.shape[-1] == 4 else ()
    color = (*(background or _BLACK), *opaque)
    return kernels.pad(pictures, left=left, top=top, height=height, width=width, color=color)


def _resampled(batch: FrameBatch, picks: Sequence[int], geometry: Geometry) -> Tensor:
    planes = batch.planes
    if len(picks) < len(batch.answers):
        planes = tuple(plane[list(picks)] for plane in planes)
    rows, columns = planes[0].shape[1:3]
    # Where the decoder left out what lies around, or shrank on load, the box moves and shrinks.
    left, top, right, bottom = batch.region or Box(0.0, 0.0, *batch.full_size)
    shown = Size(round(right - left), round(bottom - top))
    box = geometry.box.moved(-left, -top).scaled(*_scale(shown, Size(columns, rows)))
    width, height = geometry.size
    color = batch.color
    light = kernels.Light(color.transfer, color.primaries, color.peak_nits)
    if planes[0].is_cuda or len(planes) == 2:
        return _resampled_together(batch, planes, box, geometry)
    if not batch.is_yuv:
        pictures = kernels.resize_crop(
            planes[0], box=box, height=height, width=width, orientation=geometry.orientation
        )
        return kernels.tone_map(pictures, light=light)
    y, u, v = planes
    return kernels.yuv_to_rgb(
        (y, u, v),
        box=box,
        height=height,
        width=width,
        matrix=color.matrix,
        full_range=color.full_range,
        siting=color.siting,
        bits=color.bits,
        light=light,
        orientation=geometry.orientation,
    )


def _resampled_together(
    batch: FrameBatch, planes: Sequence[Tensor], box: Box, geometry: Geometry
) -> Tensor:
    """The pictures, made in one launch with those of all entries that ask at the same moment."""
    resize = _resize(box, geometry)
    tags = batch.color
    light = kernels.Light(tags.transfer, tags.primaries, tags.peak_nits)
    color = None
    if batch.is_yuv:
        color = kernels.Color(tags.matrix, tags.full_range, tags.siting, tags.bits, light)
    pictures = zip(*planes, strict=True)
    items = [kernels.Item(picture, resize, color, batch.shift) for picture in pictures]
    made = _RESAMPLER.ask(items)
    return made if batch.is_yuv else kernels.tone_map(made, light=light)


def _resize(box: Box, geometry: Geometry) -> kernels.Resize:
    width, height = geometry.size
    return kernels.Resize(box, height, width, orientation=geometry.orientation)


def _resample_all(asks: Sequence[Sequence[kernels.Item]]) -> list[Tensor]:
    """The results of each ask as uint8 [N, H, W, C] in the host's memory, copied there at once."""
    made = kernels.resample([item for items in asks for item in items])
    host = torch.cat([picture.flatten() for picture in made]).cpu()
    parts = iter(torch.split(host, [picture.numel() for picture in made]))
    shapes = [[item.made_shape for item in items] for items in asks]
    return [
        torch.stack([next(parts).view(shape) for shape in shapes_of_one])
        for shapes_of_one in shapes
    ]


def _bytes_of(items: Sequence[kernels.Item]) -> int:
    return sum(plane.nbytes for item in items for plane in item.planes)


# More than a few hundred pictures in a launch win nothing; sources must fit beside decoders.
_RESAMPLER = Batcher(
    _resample_all,
    most=256,
    most_bytes=2 << 30,
    size_of=_bytes_of,
    is_memory=lambda error: isinstance(error, MemoryError | torch.OutOfMemoryError),
)


def _scale(full: Size, stored: Size) -> tuple[float, float]:
    """How long a pixel of the source is in the planes, in both directions.

    Codecs that shrink by 2, 4 or 8 make one sample of each block of so many pixels, and of what is
    left of a block at the right and lower edges: there, the samples reach beyond the picture.
    """
    for shrink in (1, 2, 4, 8):
        if stored == (-(-full.width // shrink), -(-full.height // shrink)):
            return 1 / shrink, 1 / shrink
    return stored.width / full.width, stored.height / full.height
