"""Antialiasing filters, and the weights by which each output sample gathers source samples."""

import math
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor


class Filter(StrEnum):
    """A resampling filter; Pillow's names for them are BILINEAR, BICUBIC and LANCZOS.

    They cost nearly the same, so the sharpest is the default everywhere.
    """

    TRIANGLE = "triangle"
    CATMULL_ROM = "catmull_rom"
    LANCZOS3 = "lanczos3"


_RADIUS = {Filter.TRIANGLE: 1.0, Filter.CATMULL_ROM: 2.0, Filter.LANCZOS3: 3.0}


@dataclass(frozen=True, slots=True)
class Span:
    """The part [start, stop) of an axis of `length` samples, to be resampled to `count` samples.

    `start` and `stop` are in sample-edge coordinates: sample k covers [k, k + 1). They may reach a
    little past the ends, as those of a chroma plane do.
    """

    length: int
    start: float
    stop: float
    count: int

    @property
    def is_copy(self) -> bool:
        """Whether the result is a slice of the axis, sample for sample."""
        return (
            self.stop - self.start == self.count
            and self.start == int(self.start)
            and 0 <= self.start < self.stop <= self.length
        )

    @property
    def copied(self) -> slice:
        """That slice, where the span is a copy."""
        return slice(int(self.start), int(self.stop))

    def moved(self, needed: slice) -> "Span":
        """The same span of an axis that was cut to the samples `needed`."""
        length = needed.stop - needed.start
        return Span(length, self.start - needed.start, self.stop - needed.start, self.count)


@dataclass(frozen=True, slots=True)
class Taps:
    """Output sample i = the sum over t of `weights[i, t]` * source sample `first[i] + t`.

    `first` is int64 [count], ascending; `weights` is float64 [count, T], each row summing to 1.
    Where `first[i] + t` lies past the end of the axis, the weight is 0.
    """

    first: Tensor
    weights: Tensor


def taps(span: Span, filter: Filter) -> Taps:
    """The weights of a span by the definition of Pillow's `Image.resize(box=...)`.

    When shrinking, the filter is stretched by the scale. Taps outside of the axis are dropped and
    the rest is normalised. Source: `precompute_coeffs` in Pillow's Resample.c.
    """
    scale = (span.stop - span.start) / span.count
    stretch = max(scale, 1.0)
    radius = _RADIUS[filter] * stretch
    center = span.start + (torch.arange(span.count, dtype=torch.float64) + 0.5) * scale
    first = (center - radius + 0.5).clamp(min=0).to(torch.int64)
    past = (center + radius + 0.5).to(torch.int64).clamp(max=span.length)
    index = first[:, None] + torch.arange(int((past - first).max()))
    weights = evaluate(filter, (index + 0.5 - center[:, None]) / stretch)
    weights = weights.masked_fill(index >= past[:, None], 0.0)
    return Taps(first, weights / weights.sum(dim=1, keepdim=True))


def window(span: Span, filter: Filter) -> slice:
    """The samples of an axis that can matter to a span; a few more than that, never fewer."""
    reach = _RADIUS[filter] * max((span.stop - span.start) / span.count, 1.0) + 1
    return slice(max(0, int(span.start - reach)), min(span.length, math.ceil(span.stop + reach)))


def evaluate(filter: Filter, x: Tensor) -> Tensor:
    """The filter's value at the distances `x`, in samples; 0 from its radius on."""
    x = x.abs()
    match filter:
        case Filter.TRIANGLE:
            value = 1 - x
        case Filter.CATMULL_ROM:
            near = (1.5 * x - 2.5) * x * x + 1
            far = ((-0.5 * x + 2.5) * x - 4) * x + 2
            value = torch.where(x < 1, near, far)
        case Filter.LANCZOS3:
            value = _sinc(x) * _sinc(x / 3)
    return value.masked_fill(x >= _RADIUS[filter], 0.0)


def _sinc(x: Tensor) -> Tensor:
    angle = x * math.pi
    return torch.where(x == 0, 1.0, angle.sin() / angle.masked_fill(x == 0, 1.0))
