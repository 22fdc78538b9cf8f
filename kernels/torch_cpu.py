"""The fast CPU implementation: rows, then columns, as weighted sums of lines; see kernels/bag.py.

Lines are summed fastest where their samples adjoin, so the picture is turned between the two axes
and comes out with its columns as lines; `kernels.layout.packed` turns it back once it is uint8.
"""

import torch
from torch import Tensor

from kernels.bag import resample_lines
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
    count, _, width, channels = samples[:, :, needed].shape
    result = torch.empty(count, columns.count, channels, rows.count)
    for picture, target in zip(samples[:, :, needed], result, strict=True):
        lines = _premultiplied(picture) if premultiply else picture
        shrunk = resample_lines(lines, rows, filter).view(1, rows.count, width * channels)
        turned = transposed(shrunk).view(width, channels, rows.count)
        target.copy_(resample_lines(turned, columns, filter))
    return result.permute(0, 3, 1, 2)


def _premultiplied(picture: Tensor) -> Tensor:
    """Colour times alpha, as float32; alpha as it was."""
    result = picture.to(torch.float32, memory_format=torch.contiguous_format)
    result[..., :-1] *= result[..., -1:] / 255
    return result


IMPLEMENTATION = Separable(resample)
