"""Weighted sums of lines: how one axis of a picture is resampled on a CPU.

Note on bags. An output line is the sum of a few source lines, each with its weight: in torch's
words, an embedding bag with per-sample weights over a table whose rows are the lines. That kernel
touches just the lines that matter to an output line, each at the full width of the vector unit. No
product with a banded matrix comes near it. It has a form for tables of bytes, whose rows end in a
scale and an offset (float32 each): with 1 and 0 it reads uint8 lines as they are, and gives the
same floats as a table of floats.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor

from kernels.filter import Filter, Span, taps
from kernels.layout import transposed

# Measured: smaller pieces read lines that two pieces share too often, larger ones leave the cache.
_TABLE_BYTES = 4 << 20

# The kernel compiles itself for each length of line and keeps what it compiled: let lengths be few.
_STEP_SAMPLES = 64

# More lines than any picture has.
_NO_LIMIT = 1 << 40

_SCALE_AND_OFFSET = torch.tensor([1.0, 0.0]).view(torch.uint8)

_bag_of_bytes = cast(
    Callable[..., Tensor], torch.ops.quantized.embedding_bag_byte_rowwise_offsets.default
)


@dataclass(frozen=True, slots=True)
class Bags:
    """Output lines, in order, as bags of the source lines [start, stop).

    Bag k has the `members` [offsets[k], offsets[k + 1]), counted from `start`, with their
    `weights`. All are flat: int32, int32, float32.
    """

    start: int
    stop: int
    offsets: Tensor
    members: Tensor
    weights: Tensor


@lru_cache(maxsize=64)
def bags(span: Span, filter: Filter, most: int) -> tuple[Bags, ...]:
    """The output lines of a span in even pieces, each of which needs about `most` source lines."""
    found = taps(span, filter)
    reach = found.weights.shape[1]
    # Weights past the end of the axis are 0: any line that exists will do.
    index = (found.first[:, None] + torch.arange(reach)).clamp(max=span.length - 1)
    fitting = max(1, int((most - reach) * span.count / (span.stop - span.start)))
    step = math.ceil(span.count / math.ceil(span.count / fitting))
    pieces = zip(torch.split(index, step), torch.split(found.weights, step), strict=True)
    return tuple(_piece(lines, weights) for lines, weights in pieces)


def _piece(index: Tensor, weights: Tensor) -> Bags:
    count, reach = index.shape
    start = int(index[0, 0])
    return Bags(
        start=start,
        stop=int(index[-1, -1]) + 1,
        offsets=torch.arange(0, count * reach, reach, dtype=torch.int32),
        members=(index - start).to(torch.int32).flatten(),
        weights=weights.to(torch.float32).flatten(),
    )


def resample_lines(lines: Tensor, span: Span, filter: Filter) -> Tensor:
    """Resamples lines [L, ...] of any strides to contiguous float32 [span.count, S].

    S is the number of samples in a line or a little more: what lies past them means nothing. uint8
    lines are read as they are, others as float32.
    """
    shape, samples = lines.shape[1:], lines[0].numel()
    if span.is_copy:
        return torch.empty(span.count, *shape).copy_(lines[span.copied]).view(span.count, samples)
    if lines.dtype == torch.float32 and lines.is_contiguous():
        (whole,) = bags(span, filter, _NO_LIMIT)
        return _sum_floats(lines[whole.start : whole.stop].view(-1, samples), whole)
    of_bytes = lines.dtype == torch.uint8
    cut = bags(span, filter, _TABLE_BYTES // max(1, samples * (1 if of_bytes else 4)))
    # One table for all pieces: fresh memory costs more than what is done in it.
    make, add = (_table_of_bytes, _sum_bytes) if of_bytes else (_table_of_floats, _sum_floats)
    table = make(_most_lines(cut), samples)
    parts = []
    for piece in cut:
        loaded = table[: piece.stop - piece.start]
        loaded[:, :samples].view(-1, *shape).copy_(lines[piece.start : piece.stop])
        parts.append(add(loaded, piece))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def resample_premultiplied(lines: Tensor, span: Span, filter: Filter) -> Tensor:
    """Resamples uint8 lines [L, W, C], times their alpha, to contiguous float32 [span.count, S].

    The last channel is alpha, 255 of which is 1; it is not multiplied. S is as in `resample_lines`,
    but its samples are [C, W]: plane by plane, pixels are multiplied whole vectors at a time.
    """
    _, width, channels = lines.shape
    samples = width * channels
    if span.is_copy:
        copied = torch.empty(span.count, channels, width)
        _load_times_alpha(copied, _planes(lines[span.copied]))
        copied[:, :-1] /= 255
        return copied.view(span.count, samples)
    cut = bags(span, filter, _TABLE_BYTES // max(1, samples * 4))
    room = _most_lines(cut)
    floats, opaque = _table_of_floats(room, samples), _table_of_bytes(room, samples)
    parts = []
    for piece in cut:
        planes, count = _planes(lines[piece.start : piece.stop]), piece.stop - piece.start
        if int(planes[:, -1].min()) == 255:
            opaque[:count, :samples].view(planes.shape).copy_(planes)
            parts.append(_sum_bytes(opaque[:count], piece))
        else:
            _load_times_alpha(floats[:count, :samples].view(planes.shape), planes)
            summed = _sum_floats(floats[:count], piece)
            summed[:, : samples - width] /= 255  # now that lines are few
            parts.append(summed)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _planes(lines: Tensor) -> Tensor:
    """Lines [L, W, C] as [L, C, W]."""
    return transposed(lines.contiguous())


def _load_times_alpha(target: Tensor, planes: Tensor) -> None:
    target.copy_(planes)
    target[:, :-1] *= target[:, -1:]


def _most_lines(cut: tuple[Bags, ...]) -> int:
    return max(piece.stop - piece.start for piece in cut)


def _padded(samples: int) -> int:
    return math.ceil(samples / _STEP_SAMPLES) * _STEP_SAMPLES


def _table_of_floats(lines: int, samples: int) -> Tensor:
    return torch.empty(lines, _padded(samples))


def _table_of_bytes(lines: int, samples: int) -> Tensor:
    padded = _padded(samples)
    table = torch.empty(lines, padded + len(_SCALE_AND_OFFSET), dtype=torch.uint8)
    table[:, padded:] = _SCALE_AND_OFFSET
    return table


def _sum_bytes(table: Tensor, cut: Bags) -> Tensor:
    return _bag_of_bytes(table, cut.members, cut.offsets, False, 0, False, cut.weights, None, False)


def _sum_floats(table: Tensor, cut: Bags) -> Tensor:
    return torch.embedding_bag(
        table, cut.members, cut.offsets, mode=0, per_sample_weights=cut.weights
    )[0]
