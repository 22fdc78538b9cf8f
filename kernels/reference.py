"""The definition of right: each output sample as a plain weighted sum, in float64."""

import torch
from torch import Tensor

from kernels.filter import Filter, Span, taps
from kernels.separable import Separable


def weight_matrix(span: Span, filter: Filter) -> Tensor:
    """The weights of a span as a dense float64 matrix [count, length]."""
    found = taps(span, filter)
    # Weights past the end of the axis are 0: where they are added does not matter.
    index = found.first[:, None] + torch.arange(found.weights.shape[1])
    matrix = torch.zeros(span.count, span.length, dtype=torch.float64)
    return matrix.scatter_add_(1, index.clamp(max=span.length - 1), found.weights)


def resample(
    samples: Tensor, *, rows: Span, columns: Span, filter: Filter, premultiply: bool
) -> Tensor:
    """Resamples [N, H, W, C] to float64 [N, rows.count, columns.count, C]; see `Resample`."""
    exact = samples.to(torch.float64)
    if premultiply:
        alpha = exact[..., -1:]
        exact = torch.cat([exact[..., :-1] * alpha / 255, alpha], dim=-1)
    down = weight_matrix(rows, filter).to(exact.device)
    across = weight_matrix(columns, filter).to(exact.device)
    return torch.einsum("ph,nhwc,qw->npqc", down, exact, across)


IMPLEMENTATION = Separable(resample)
