"""What is asked of a picture: which box of it becomes which size, and what its samples mean."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.color import Color, chroma_origin, subsampling
from kernels.filter import Filter, Span

Planes = tuple[Tensor, Tensor, Tensor]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Resize:
    """Which box of the stored pictures becomes which size as shown, after `orientation`.

    With `linear_light` a picture's colours, taken as sRGB, are added up as light.
    """

    box: Box
    height: int
    width: int
    filter: Filter = Filter.LANCZOS3
    orientation: int = 1
    linear_light: bool = False

    @property
    def stored_height(self) -> int:
        """The height of the result before it is turned."""
        return self.width if self.orientation >= 5 else self.height

    @property
    def stored_width(self) -> int:
        """The width of the result before it is turned."""
        return self.height if self.orientation >= 5 else self.width

    def spans(
        self, plane: torch.Size, *, luma: torch.Size, color: Color | None
    ) -> tuple[Span, Span]:
        """The rows and columns of one plane [h, w], the box being in coordinates of `luma`."""
        left, top, right, bottom = self.box
        return (
            _span(plane[0], luma[0], (top, bottom), self.stored_height, color, horizontal=False),
            _span(plane[1], luma[1], (left, right), self.stored_width, color, horizontal=True),
        )


def _span(
    length: int,
    luma: int,
    edges: tuple[float, float],
    count: int,
    color: Color | None,
    *,
    horizontal: bool,
) -> Span:
    if color is None:
        return Span(length, *edges, count)
    ratio = subsampling(luma, length) or 1
    origin = chroma_origin(color.siting, ratio=ratio, horizontal=horizontal)
    return Span(length, origin + edges[0] / ratio, origin + edges[1] / ratio, count)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One picture of a ragged batch, and what becomes of it.

    Without a `color`, `planes` is one picture, uint8 [H, W, C] with C from 1 to 4; an even C ends
    in straight alpha. With one, it is Y [H, W], U and V [h, w], or Y [H, W] and UV [h, w, 2] as
    video engines leave them (NV12, P010). Samples of more than 8 bits are int16, int32 or uint16;
    they lie `shift` bits higher than `color.bits` says: 6 in P010. Any strides will do.
    """

    planes: tuple[Tensor, ...]
    resize: Resize
    color: Color | None = None
    shift: int = 0

    @property
    def device(self) -> torch.device:
        """Where the samples are."""
        return self.planes[0].device

    @property
    def channels(self) -> tuple[Tensor, ...]:
        """Each channel as a matrix of its own, a view: the three planes, or a picture's C."""
        if self.color is None:
            return self.planes[0].unbind(-1)
        luma, *chroma = self.planes
        return (luma, *(chroma[0].unbind(-1) if len(chroma) == 1 else chroma))

    @property
    def made_shape(self) -> tuple[int, int, int]:
        """The result's height, width and channels."""
        channels = 3 if self.color is not None else self.planes[0].shape[-1]
        return self.resize.height, self.resize.width, channels
