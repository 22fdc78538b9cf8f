"""The Triton implementation: the fused kernel's tables, made on the host, and its launches.

Unverified on a GPU: Triton's interpreter is all that has run it.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
import torch
from torch import Tensor

from kernels.canvas import turned_view
from kernels.color import Color, rgb_transform
from kernels.filter import Filter, Span, taps
from kernels.item import Item, Planes, Resize
from kernels.light import linear_table
from kernels.tone import to_sdr
from kernels.triton_resample import CHANNEL_FIELDS, ITEM_FIELDS, TILE_FIELDS, resample_tiles

# First guesses, not yet measured on a GPU: near the least sizes of a product on tensor cores.
_BLOCK_ROWS, _BLOCK_COLUMNS = 16, 32
_STEP_ROWS, _STEP_COLUMNS = 32, 64
# tf32 has 11 significant bits: samples of up to 10 are exact, weights and sums to 1 in 2000.
_PRECISION = "tf32"


class TritonFused:
    """Makes whole ragged batches, one launch for all items that have the same kind of samples."""

    def resize_crop(self, pictures: Tensor, resize: Resize) -> Tensor:
        """uint8 [N, H, W, C] to uint8 [N, height, width, C]."""
        made = pictures.new_empty(pictures.shape[0], resize.height, resize.width, pictures.shape[3])
        self.ragged([Item((picture,), resize) for picture in pictures], list(made))
        return made

    def yuv_to_rgb(self, planes: Planes, resize: Resize, color: Color) -> Tensor:
        """Y [N, H, W], U and V [N, h, w] to uint8 [N, height, width, 3]."""
        made = torch.empty(
            planes[0].shape[0], resize.height, resize.width, 3,
            dtype=torch.uint8, device=planes[0].device,
        )  # fmt: skip
        pictures = zip(*planes, strict=True)
        self.ragged([Item((y, u, v), resize, color) for y, u, v in pictures], list(made))
        return made

    def ragged(self, items: Sequence[Item], into: Sequence[Tensor]) -> None:
        """Makes items of one device into uint8 [height, width, C] of any strides."""
        kinds = defaultdict[tuple[object, ...], list[tuple[Item, Tensor]]](list)
        for item, target in zip(items, into, strict=True):
            if item.color is None or item.color.light.is_plain:
                kinds[_kind(item)].append((item, target))
            else:
                _make_hdr(item, target)
        for alike in kinds.values():
            _launch([item for item, _ in alike], [target for _, target in alike])


def _kind(item: Item) -> tuple[object, ...]:
    """What items of one launch have in common."""
    is_linear = item.color is None and item.resize.linear_light
    return (item.color is None, len(item.channels), item.planes[0].element_size(), is_linear)


def _make_hdr(item: Item, target: Tensor) -> None:
    """An item whose light is to be mapped, which is done to the small picture, in float."""
    assert item.color is not None
    resize = item.resize
    shown = torch.empty(3, resize.height, resize.width, device=item.device)
    _launch([item], [shown.permute(1, 2, 0)])
    mapped = to_sdr(shown, item.color.light).add_(0.5).clamp_(0, 255).to(torch.uint8)
    target.copy_(mapped.permute(1, 2, 0))


def _launch(items: Sequence[Item], into: Sequence[Tensor]) -> None:
    first, device = items[0], items[0].device
    width = first.planes[0].element_size()
    if width not in (1, 2):
        raise ValueError(f"expected samples of 8 or 16 bits, received {first.planes[0].dtype}")
    is_picture, channels = first.color is None, len(first.channels)
    tiles = _tile_table(items)
    facts = np.stack([_facts(item, target) for item, target in zip(items, into, strict=True)])
    matrices = np.stack([_matrix(item) for item in items])
    resample_tiles[(len(tiles),)](
        *(torch.from_numpy(table).to(device) for table in (tiles, facts, matrices)),
        linear_table().to(device),
        CHANNELS=channels,
        HAS_ALPHA=is_picture and channels in (2, 4),
        HAS_MATRIX=not is_picture,
        IS_WIDE=width == 2,
        IS_LINEAR=is_picture and first.resize.linear_light,
        IS_FLOAT=into[0].dtype == torch.float32,
        BLOCK_ROWS=_BLOCK_ROWS,
        BLOCK_COLUMNS=_BLOCK_COLUMNS,
        STEP_ROWS=_STEP_ROWS,
        STEP_COLUMNS=_STEP_COLUMNS,
        PRECISION=_PRECISION,
    )


def _tile_table(items: Sequence[Item]) -> np.ndarray:
    """int32 [T, 3]: item, first row and first column of each tile of the stored results."""
    found = []
    for number, item in enumerate(items):
        rows = range(0, item.resize.stored_height, _BLOCK_ROWS)
        columns = range(0, item.resize.stored_width, _BLOCK_COLUMNS)
        found += [(number, top, left) for top, left in product(rows, columns)]
    return np.array(found, dtype=np.int32).reshape(-1, TILE_FIELDS.value)


def _facts(item: Item, target: Tensor) -> np.ndarray:
    """int64 [ITEM_FIELDS + channels * CHANNEL_FIELDS]; see kernels/triton_resample.py."""
    resize = item.resize
    start, row_stride, column_stride = turned_view(target, resize.orientation)
    facts = [
        start, row_stride, column_stride, target.stride(2),
        resize.stored_height, resize.stored_width,
    ]  # fmt: skip
    luma = item.channels[0].shape
    for samples in item.channels:
        rows, columns = resize.spans(samples.shape, luma=luma, color=item.color)
        facts += [samples.data_ptr(), *samples.stride(), *samples.shape]
        for span in (rows, columns):
            first, weights = _taps_on(span, resize.filter, item.device)
            facts += [first.data_ptr(), weights.data_ptr(), weights.shape[1]]
    assert len(facts) == ITEM_FIELDS.value + len(item.channels) * CHANNEL_FIELDS.value
    return np.array(facts, dtype=np.int64)


@lru_cache(maxsize=4096)
def _taps_on(span: Span, filter: Filter, device: torch.device) -> tuple[Tensor, Tensor]:
    """The taps of a span on a device, int32 [count] and float32 [count, T].

    Kept, as a launch holds no more than their addresses, and sizes recur.
    """
    found = taps(span, filter)
    first = found.first.to(torch.int32)
    return first.to(device), found.weights.to(torch.float32).contiguous().to(device)


def _matrix(item: Item) -> np.ndarray:
    """float32 [12]: the matrix from samples as stored to R, G, B in 0 to 255, and the offset."""
    if item.color is None:
        return np.zeros(12, dtype=np.float32)
    matrix, offset = rgb_transform(item.color)
    flat = torch.cat([(matrix / (1 << item.shift)).flatten(), offset])
    return flat.to(torch.float32).numpy()


IMPLEMENTATION = TritonFused()
