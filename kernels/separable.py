"""The two hot operations, made of one separable resample that an implementation supplies."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kernels.canvas import is_opaque, orient, to_uint8
from kernels.color import Color, chroma_origin, rgb_transform, subsampling
from kernels.filter import Filter, Span
from kernels.tone import to_sdr

Planes = tuple[Tensor, Tensor, Tensor]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Resize:
    """Which box of the stored pictures becomes which size as shown, after `orientation`."""

    box: Box
    height: int
    width: int
    filter: Filter
    orientation: int

    @property
    def stored_height(self) -> int:
        """The height of the result before it is turned."""
        return self.width if self.orientation >= 5 else self.height

    @property
    def stored_width(self) -> int:
        """The width of the result before it is turned."""
        return self.height if self.orientation >= 5 else self.width


class Implementation(Protocol):
    """One way to carry out the two operations; arguments have been checked."""

    def resize_crop(self, pictures: Tensor, resize: Resize) -> Tensor:
        """uint8 [N, H, W, C] to uint8 [N, height, width, C]."""

    def yuv_to_rgb(self, planes: Planes, resize: Resize, color: Color) -> Tensor:
        """Y [N, H, W], U and V [N, h, w] to uint8 [N, height, width, 3]."""


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
        left, top, right, bottom = resize.box
        _, height, width, channels = pictures.shape
        rows = Span(height, top, bottom, resize.stored_height)
        columns = Span(width, left, right, resize.stored_width)
        has_alpha = channels in (2, 4) and not is_opaque(pictures)
        if rows.is_copy and columns.is_copy:
            copied = pictures[:, rows.copied, columns.copied]
            if has_alpha:
                copied = copied * (copied[..., -1:] > 0)
            return orient(copied, resize.orientation)
        result = self.resample(
            pictures, rows=rows, columns=columns, filter=resize.filter, premultiply=has_alpha
        )
        if has_alpha:
            result = _unpremultiply(result)
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

    def _plane(self, plane: Tensor, luma: torch.Size, resize: Resize, color: Color) -> Tensor:
        left, top, right, bottom = resize.box
        result = self.resample(
            plane[..., None],
            rows=_plane_span(
                luma[1], plane.shape[1], (top, bottom), resize.stored_height, color, False
            ),
            columns=_plane_span(
                luma[2], plane.shape[2], (left, right), resize.stored_width, color, True
            ),
            filter=resize.filter,
            premultiply=False,
        )
        return result[..., 0]


def _plane_span(
    luma: int, length: int, edges: tuple[float, float], count: int, color: Color, horizontal: bool
) -> Span:
    ratio = subsampling(luma, length) or 1
    origin = chroma_origin(color.siting, ratio=ratio, horizontal=horizontal)
    return Span(length, origin + edges[0] / ratio, origin + edges[1] / ratio, count)


def _unpremultiply(result: Tensor) -> Tensor:
    """Straight alpha again, in place; colour is 0 where alpha rounds to 0."""
    alpha = result[..., -1:]
    result[..., :-1] *= torch.where(alpha >= 0.5, 255 / alpha, 0.0)
    return result
