"""The fast CPU implementation: strips of lines, each turned to float in cache and multiplied once.

Note on strips. Few source lines matter to an output line, so the weight matrix is a narrow band. It
is cut into strips of source lines. A strip is small enough to stay in the cache between its
conversion to float and one matrix product, which adds it to all the output lines that it touches.
So every source sample is read and converted once, and no sparse format is needed.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from kernels.filter import Filter, Span, taps, window
from kernels.separable import Separable

# Measured: 16 to 32 lines are best for 500 to 12,000 samples a line.
_STRIP_LINES = 32


@dataclass(frozen=True, slots=True)
class Strip:
    """Source lines [start, stop) add `weights` @ lines to the output lines [first, past)."""

    start: int
    stop: int
    first: int
    past: int
    weights: Tensor


@lru_cache(maxsize=64)
def strips(span: Span, filter: Filter) -> tuple[Strip, ...]:
    """The float32 weights of a span, cut into strips of the source lines that are needed."""
    found = taps(span, filter)
    count, reach = found.weights.shape
    lower, upper = int(found.first[0]), min(int(found.first[-1]) + reach, span.length)
    starts = torch.arange(lower, upper, _STRIP_LINES)
    stops = (starts + _STRIP_LINES).clamp(max=upper)
    # An output line is touched by the strips that its taps [first, first + reach) meet.
    first = torch.searchsorted(found.first, starts - reach, right=True)
    past = torch.searchsorted(found.first, stops)
    line = (first[:, None] + torch.arange(int((past - first).max()))).clamp(max=count - 1)
    tap = (starts[:, None] + torch.arange(_STRIP_LINES))[:, None, :] - found.first[line][..., None]
    weights = found.weights[line[..., None], tap.clamp(0, reach - 1)]
    weights = weights.masked_fill((tap < 0) | (tap >= reach), 0.0).to(torch.float32)
    return tuple(
        Strip(start, stop, top, end, block[: end - top, : stop - start])
        for start, stop, top, end, block in zip(
            starts.tolist(), stops.tolist(), first.tolist(), past.tolist(), weights, strict=True
        )
    )


def resample(
    samples: Tensor, *, rows: Span, columns: Span, filter: Filter, premultiply: bool
) -> Tensor:
    """Resamples [N, H, W, C] to float32 [N, rows.count, columns.count, C]; see `Resample`."""
    if rows.count > rows.length and columns.count < columns.length:
        # Lines go first, as they lie in memory, unless that would make the picture larger.
        turned = samples.transpose(1, 2)
        return resample(
            turned, rows=columns, columns=rows, filter=filter, premultiply=premultiply
        ).transpose(1, 2)
    needed = window(columns, filter)
    shape = (len(samples), columns.count, rows.count, samples.shape[3])
    result = torch.zeros(shape, dtype=torch.float32)
    for picture, target in zip(samples[:, :, needed], result, strict=True):
        shrunk = torch.zeros(rows.count, *picture.shape[1:], dtype=torch.float32)
        _add_lines(shrunk, picture, rows, filter, premultiply)
        _add_lines(target, shrunk.transpose(0, 1), columns.moved(needed), filter, False)
    return result.transpose(1, 2)


def _add_lines(
    target: Tensor, lines: Tensor, span: Span, filter: Filter, premultiply: bool
) -> None:
    """Adds lines [L, A, C] of any strides, resampled, to a contiguous target [span.count, A, C]."""
    if span.is_copy:
        _load(target, lines[int(span.start) : int(span.stop)], premultiply)
        return
    flat = target.view(span.count, -1)
    cached = torch.empty(_STRIP_LINES, *lines.shape[1:], dtype=torch.float32)
    cut = strips(span, filter)
    parts = torch.split(lines[cut[0].start : cut[-1].stop], _STRIP_LINES)
    for strip, part in zip(cut, parts, strict=True):
        loaded = cached if len(part) == _STRIP_LINES else cached[: len(part)]
        _load(loaded, part, premultiply)
        flat[strip.first : strip.past].addmm_(strip.weights, loaded.view(len(part), -1))


def _load(target: Tensor, lines: Tensor, premultiply: bool) -> None:
    """Copies lines as float32, colour times alpha where asked."""
    target.copy_(lines)
    if premultiply:
        target[..., :-1] *= target[..., -1:] / 255


IMPLEMENTATION = Separable(resample)
