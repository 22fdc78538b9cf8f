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
    width, channels = columns.length, samples.shape[3]
    parts = []
    for picture in samples[:, :, needed]:
        shrunk = resample_lines(picture, rows, filter, premultiply=premultiply)
        turned = transposed(shrunk[None])[0, : width * channels]
        lines = turned.view(width, channels, rows.count)
        parts.append(resample_lines(lines, columns, filter).view(-1, channels, rows.count))
    if not parts:
        return torch.empty(0, rows.count, columns.count, channels)
    result = parts[0][None] if len(parts) == 1 else torch.stack(parts)
    return result.permute(0, 3, 1, 2)


IMPLEMENTATION = Separable(resample)
