"""The hot operations, made of one separable resample that an implementation supplies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kernels.canvas import is_opaque, orient, to_uint8
from kernels.color import Color, rgb_transform
from kernels.filter import Filter, Span
from kernels.item import Item, Planes, Resize
from kernels.light import from_light, to_light
from kernels.tone import to_sdr


class Implementation(Protocol):
    """One way to carry out the hot operations; arguments have been checked."""

    def resize_crop(self, pictures: Tensor, resize: Resize) -> Tensor:
        """uint8 [N, H, W, C] to uint8 [N, height, width, C]."""

    def yuv_to_rgb(self, planes: Planes, resize: Resize, color: Color) -> Tensor:
        """Y [N, H, W], U and V [N, h, w] to uint8 [N, height, width, 3]."""

    def ragged(self, items: Sequence[Item], into: Sequence[Tensor]) -> None:
        """Items of one device into uint8 [height, width, C] of any strides, one for each."""


class Resample(Protocol):
    """Resamples [N, H, W, C] of any integer type to float [N, rows.count, columns.count, C].

    With `premultiply` the last channel is alpha, by which the others are multiplied beforehand
    (alpha 255 = 1); alpha itself keeps its scale of 0 to 255. Nothing is rounded or clamped.
    """

    def __call__(
        self, samples: Tensor, *, rows: Span, columns: Span, filter: Filter, premultiply: bool
    ) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Separable:
    """An implementation that resamples rows and columns one after the other, in float."""

    resample: Resample

    def resize_crop(self, pictures: Tensor, resize: Resize) -> Tensor:
        """uint8 [N, H, W, C] to uint8 [N, height, width, C]."""
        size = pictures.shape[1:3]
        rows, columns = resize.spans(size, luma=size, color=None)
        has_alpha = pictures.shape[3] in (2, 4) and not is_opaque(pictures)
        if rows.is_copy and columns.is_copy:
            copied = pictures[:, rows.copied, columns.copied]
            if has_alpha:
                copied = copied * (copied[..., -1:] > 0)
            return orient(copied, resize.orientation)
        samples = _lit(pictures, has_alpha=has_alpha) if resize.linear_light else pictures
        result = self.resample(
            samples,
            rows=rows,
            columns=columns,
            filter=resize.filter,
            premultiply=has_alpha and not resize.linear_light,
        )
        if has_alpha:
            result = _unpremultiply(result)
        if resize.linear_light:
            result = _coded(result)
        return orient(to_uint8(result), resize.orientation)

    def yuv_to_rgb(self, planes: Planes, resize: Resize, color: Color) -> Tensor:
        """Y [N, H, W], U and V [N, h, w] to uint8 [N, height, width, 3]."""
        luma = planes[0].shape
        # Columns are kept as lines, as a resample may leave them: [3, N, width, height].
        resampled = torch.stack(
            [self._plane(plane, luma, resize, color).transpose(1, 2) for plane in planes]
        )
        matrix, offset = (part.to(resampled) for part in rgb_transform(color))
        # One product for all pixels; only behind it are values rounded and clamped.
        rgb = torch.addmm(offset[:, None], matrix, resampled.flatten(1)).view(resampled.shape)
        rgb = to_sdr(rgb, color.light)
        columns = to_uint8(rgb).permute(1, 2, 0, 3).contiguous()
        return orient(columns.permute(0, 3, 1, 2), resize.orientation)

    def ragged(self, items: Sequence[Item], into: Sequence[Tensor]) -> None:
        """Items of one device into uint8 [height, width, C] of any strides, one by one."""
        for item, target in zip(items, into, strict=True):
            if item.color is None:
                (made,) = self.resize_crop(item.planes[0][None], item.resize)
            else:
                y, u, v = (_lowered(channel, item.shift)[None] for channel in item.channels)
                (made,) = self.yuv_to_rgb((y, u, v), item.resize, item.color)
            target.copy_(made)

    def _plane(self, plane: Tensor, luma: torch.Size, resize: Resize, color: Color) -> Tensor:
        rows, columns = resize.spans(plane.shape[1:], luma=luma[1:], color=color)
        result = self.resample(
            plane[..., None],
            rows=rows,
            columns=columns,
            filter=resize.filter,
            premultiply=False,
        )
        return result[..., 0]


def _lowered(samples: Tensor, shift: int) -> Tensor:
    """Samples in the low bits of a signed type."""
    if samples.dtype != torch.uint16 and not shift:
        return samples
    return (samples.to(torch.int32) & 0xFFFF) >> shift


def _lit(pictures: Tensor, *, has_alpha: bool) -> Tensor:
    """Colours as light, float32 of 0 to 255, times their alpha; alpha as it is."""
    if pictures.shape[-1] % 2:
        return to_light(pictures)
    alpha = pictures[..., -1:].to(torch.float32)
    light = to_light(pictures[..., :-1])
    return torch.cat([light * alpha / 255 if has_alpha else light, alpha], dim=-1)


def _coded(result: Tensor) -> Tensor:
    """Light as colours again; alpha as it is."""
    if result.shape[-1] % 2:
        return from_light(result)
    return torch.cat([from_light(result[..., :-1]), result[..., -1:]], dim=-1)


def _unpremultiply(result: Tensor) -> Tensor:
    """Straight alpha again, in place; colour is 0 where alpha rounds to 0."""
    alpha = result[..., -1:]
    result[..., :-1] *= torch.where(alpha >= 0.5, 255 / alpha, 0.0)
    return result
