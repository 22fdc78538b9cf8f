"""The hot operations as callers see them: arguments checked, then sent to a kernel."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from kernels.color import MATRICES, SITINGS, Color, subsampling
from kernels.filter import Filter
from kernels.implementation import implementation_for
from kernels.item import Box, Item, Planes, Resize
from kernels.tone import Light

# A box may stick out by what float arithmetic on its edges can add up to.
_BOX_SLACK = 1e-3

_MAX_BITS = {torch.uint8: 8, torch.int16: 15, torch.int32: 16, torch.uint16: 16}


def resize_crop(
    pictures: Tensor,
    *,
    box: Box,
    height: int,
    width: int,
    filter: Filter = Filter.LANCZOS3,
    orientation: int = 1,
    linear_light: bool = False,
    implementation: str | None = None,
) -> Tensor:
    """Resamples one box of the pictures to one size: uint8 [N, H, W, C] to [N, height, width, C].

    `box` is (left, top, right, bottom) in pixel-edge coordinates of the pictures as stored: pixel k
    covers [k, k + 1). `height` and `width` are the size as shown, after the Exif `orientation`. An
    even C (2, 4) ends in straight alpha: colour counts by its alpha, and is 0 where alpha is 0.
    With `linear_light` colours, taken as sRGB, are added up as light.
    Antialiased like Pillow's `Image.resize(box=...)`, without its rounding between the two axes.
    Where nothing is to be resampled or turned, the result may be a view of `pictures`.
    Raises ValueError for other shapes and types, and for a box or an orientation out of bounds.
    """
    if pictures.dtype != torch.uint8 or pictures.ndim != 4 or not 1 <= pictures.shape[-1] <= 4:
        raise ValueError(
            "expected pictures as uint8 [N, H, W, C] with C from 1 to 4, "
            f"received {_describe(pictures)}"
        )
    resize = Resize(box, height, width, Filter(filter), orientation, linear_light)
    _check_resize(resize, pictures.shape[1:3])
    return implementation_for(pictures.device, implementation).resize_crop(pictures, resize)


def yuv_to_rgb(  # noqa: PLR0913 - the meaning of the samples takes four words
    planes: Planes,
    *,
    box: Box,
    height: int,
    width: int,
    matrix: str,
    full_range: bool,
    siting: str,
    bits: int = 8,
    light: Light | None = None,
    filter: Filter = Filter.LANCZOS3,
    orientation: int = 1,
    implementation: str | None = None,
) -> Tensor:
    """Resamples one box of Y, U and V planes to RGB of one size: uint8 [N, height, width, 3].

    `planes` are Y [N, H, W], U and V [N, h, w], uint8, or int16 or int32 holding `bits` bits (8 to
    16). The subsampling follows from the sizes: h = ceil(H / 1, 2 or 4), w likewise. `box` is in
    luma coordinates; each plane is resampled straight from its own share of it, by `siting`
    ("left", "center", "top_left"; it matters only on a subsampled axis). `matrix` is one of
    `MATRICES`; "bt2020" is the non-constant luminance one. `light` says what R'G'B' mean where
    they are not those of an SDR picture of BT.709, which the result always is. The rest is as in
    `resize_crop`. Values stay float until the end. Raises ValueError for what is not as said here.
    """
    _check_planes(planes, bits)
    _check_word("matrix", matrix, MATRICES)
    _check_word("siting", siting, SITINGS)
    resize = Resize(box, height, width, Filter(filter), orientation)
    _check_resize(resize, planes[0].shape[1:])
    color = Color(
        matrix=str(matrix),
        full_range=full_range,
        siting=str(siting),
        bits=bits,
        light=light or Light(),
    )
    return implementation_for(planes[0].device, implementation).yuv_to_rgb(planes, resize, color)


def resample(
    items: Sequence[Item],
    *,
    into: Sequence[Tensor] | None = None,
    implementation: str | None = None,
) -> list[Tensor]:
    """Makes a ragged batch: the results, uint8 [height, width, C], in the order of the items.

    Every item has its own size, box, filter and turn; all lie on one device, and on a GPU those
    with the same kind of samples are made by one launch. What `resize_crop` and `yuv_to_rgb` say of
    boxes, filters and planes holds here. The results are written `into` tensors of the right shapes
    and any strides, such as the cells of a sheet, or into new ones. Raises ValueError, naming the
    item, for what is not as `Item` says.
    """
    if not items:
        return []
    for number, item in enumerate(items):
        try:
            _check_item(item, device=items[0].device)
            if into is not None:
                _check_target(into[number], item)
        except ValueError as error:
            raise ValueError(f"item {number}: {error}") from None
    device = items[0].device
    made = list(
        into or (torch.empty(_.made_shape, dtype=torch.uint8, device=device) for _ in items)
    )
    implementation_for(device, implementation).ragged(items, made)
    return made


def _check_item(item: Item, *, device: torch.device) -> None:
    if any(plane.device != device for plane in item.planes):
        raise ValueError(f"expected planes on {device}, received {item.device}")
    if item.color is None:
        (picture,) = item.planes
        if picture.dtype != torch.uint8 or picture.ndim != 3 or not 1 <= picture.shape[-1] <= 4:
            raise ValueError(
                "expected a picture as uint8 [H, W, C] with C from 1 to 4, "
                f"received {_describe(picture)}"
            )
    else:
        y, u, v = item.channels
        _check_planes((y[None], u[None], v[None]), item.color.bits + item.shift)
        _check_word("matrix", item.color.matrix, MATRICES)
        _check_word("siting", item.color.siting, SITINGS)
    _check_resize(item.resize, item.planes[0].shape[:2])


def _check_target(target: Tensor, item: Item) -> None:
    wanted = torch.empty(item.made_shape, dtype=torch.uint8, device="meta")
    if target.shape != wanted.shape or target.dtype != torch.uint8 or target.device != item.device:
        raise ValueError(
            f"expected a place on {item.device} for {_describe(wanted)}, "
            f"received {_describe(target)} on {target.device}"
        )


def _check_resize(resize: Resize, size: torch.Size) -> None:
    left, top, right, bottom = resize.box
    rows, columns = size
    slack = _BOX_SLACK
    if not (-slack <= left < right <= columns + slack and -slack <= top < bottom <= rows + slack):
        raise ValueError(
            f"expected a box inside the picture of {columns}x{rows} with left < right and "
            f"top < bottom, received {tuple(resize.box)}"
        )
    if min(resize.height, resize.width) < 1:
        raise ValueError(f"expected a size of 1x1 or more, received {resize.width}x{resize.height}")
    if resize.orientation not in range(1, 9):
        raise ValueError(
            f"expected an Exif orientation from 1 to 8, received {resize.orientation!r}"
        )


def _check_planes(planes: Planes, bits: int) -> None:
    luma, *chroma = planes
    held = _MAX_BITS.get(luma.dtype, 0)
    if len(chroma) != 2 or any(plane.dtype != luma.dtype for plane in chroma) or not held:
        raise ValueError(
            "expected three planes of one type, uint8, int16 or int32, "
            f"received {', '.join(map(_describe, planes))}"
        )
    if not 8 <= bits <= held:
        raise ValueError(f"expected 8 to {held} bits in {luma.dtype}, received {bits}")
    if (
        any(plane.ndim != 3 or plane.shape[0] != luma.shape[0] for plane in planes)
        or chroma[0].shape != chroma[1].shape
        or subsampling(luma.shape[1], chroma[0].shape[1]) is None
        or subsampling(luma.shape[2], chroma[0].shape[2]) is None
    ):
        raise ValueError(
            "expected planes Y [N, H, W], U and V [N, h, w] with h = H and w = W divided by 1, 2 "
            f"or 4 and rounded up, received {', '.join(map(_describe, planes))}"
        )


def _check_word(name: str, word: str, allowed: Collection[str]) -> None:
    if word not in allowed:
        raise ValueError(f"expected {name} to be one of {', '.join(allowed)}; received {word!r}")


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
