"""The fast CPU implementation: rows, then columns, as weighted sums of lines; see kernels/bag.py.

Lines are summed fastest where their samples adjoin, so the picture is turned between the two axes
and comes out with its columns as lines; `kernels.layout.packed` turns it back once it is uint8.
"""

import torch
from torch import Tensor

from kernels.bag import resample_lines, resample_premultiplied
from kernels.filter import Filter, Span, window
from kernels.layout import transposed
from kernels.separable import Separable


def resample(
    samples: Tensor, *, rows: Span, columns: Span, filter: Filter, premultiply: bool
) -> Tensor:
    """Resamples [N, H, W, C] to float32 [N, rows.count, columns.count, C]; see `Resample`."""
    if rows.count > rows.length and columns.count < columns.length:
        # Rows go first, as they lie in memory, unless that would make the picture larger.
        turned = samples.transpose(1, 2)
        return resample(
            turned, rows=columns, columns=rows, filter=filter, premultiply=premultiply
        ).transpose(1, 2)
    needed = window(columns, filter)
    columns = columns.moved(needed)
    one = _resample_premultiplied if premultiply else _resample
    parts = [one(picture, rows, columns, filter) for picture in samples[:, :, needed]]
    if not parts:
        return torch.empty(0, rows.count, columns.count, samples.shape[3])
    result = parts[0][None] if len(parts) == 1 else torch.stack(parts)
    return result.permute(0, 3, 1, 2)


def _resample(picture: Tensor, rows: Span, columns: Span, filter: Filter) -> Tensor:
    """[H, W, C] to [columns.count, C, rows.count]."""
    _, width, channels = picture.shape
    turned = _turned(resample_lines(picture, rows, filter), width * channels)
    lines = turned.view(width, channels * rows.count)
    return resample_lines(lines, columns, filter).view(-1, channels, rows.count)


def _resample_premultiplied(picture: Tensor, rows: Span, columns: Span, filter: Filter) -> Tensor:
    """The same of a picture whose last channel is alpha."""
    _, width, channels = picture.shape
    turned = _turned(resample_premultiplied(picture, rows, filter), width * channels)
    planes = turned.view(channels, width, rows.count)
    return torch.stack([resample_lines(plane, columns, filter) for plane in planes], dim=1)


def _turned(lines: Tensor, samples: int) -> Tensor:
    """The first `samples` of all lines [count, S], each as a line of its own."""
    return transposed(lines[None])[0, :samples]


IMPLEMENTATION = Separable(resample)
