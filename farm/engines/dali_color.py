"""Undoes the matrix by which DALI makes RGB of any video, so that the stream's own can be used.

Whatever a stream says, DALI takes the matrix of BT.601, in the range that the stream says. Y, U and
V come in fewer steps than R, G and B, so that what was coded comes back, except where a value was
clipped. How far it lay outside is lost; but as the stream's own matrix gives values that are none
too large or small, it is known how far at most.

DALI's other way to read videos would give Y, U and V, but takes files by their paths, whose indices
it keeps as long as the process lives: one path for two files would mix up their frames.
"""

from dataclasses import replace

import torch
from torch import Tensor

from farm.engines.still import OddError
from farm.media import ColorTags, Matrix, Siting
from kernels.color import Color, rgb_transform

_TOLERATED_LEVELS = 4.0
_TOLERATED_FRACTION = 0.01

_UNDONE = frozenset({Matrix.BT709, Matrix.BT2020, Matrix.SMPTE240M, Matrix.FCC})


def check_matrix(color: ColorTags) -> None:
    """Raises OddError for a matrix that does not come of DALI's, not even undone."""
    if color.matrix is not Matrix.BT601 and color.matrix not in _UNDONE:
        raise OddError(f"has the matrix {color.matrix.value}, which DALI does not know")


def in_own_matrix(pictures: Tensor, color: ColorTags) -> tuple[tuple[Tensor, ...], ColorTags]:
    """DALI's pictures, uint8 [N, H, W, 3], as planes whose tags say what they mean.

    RGB stays what it is where the stream has DALI's matrix; otherwise it becomes Y, U and V of full
    size. Raises OddError where that is more than a few levels off in more than a few pixels.
    """
    if color.matrix is Matrix.BT601:
        tags = replace(color, matrix=Matrix.RGB, full_range=True, siting=Siting.LEFT)
        return (pictures,), tags
    # One by one: of all pictures at once, the floats would take many times their memory.
    planes = [_undone(picture, color) for picture in pictures]
    y, u, v = (torch.stack(channel) for channel in zip(*planes, strict=True))
    return (y, u, v), color


def _undone(picture: Tensor, color: ColorTags) -> tuple[Tensor, ...]:
    """Y, U and V [H, W] of one picture [H, W, 3]."""
    to_rgb, offset = _transform(picture, Matrix.BT601, color)
    rgb = picture.float()
    yuv = (rgb - offset) @ torch.linalg.inv(to_rgb).T
    own_matrix, own_offset = _transform(picture, color.matrix, color)
    hidden = _hidden_fraction(rgb, yuv @ own_matrix.T + own_offset)
    if hidden > _TOLERATED_FRACTION:
        raise OddError(
            f"has colours of {color.matrix.value} that DALI clips in {hidden:.1%} of a picture"
        )
    samples = yuv.round().clamp(0, 255).to(torch.uint8)
    return tuple(samples.unbind(-1))


def _transform(like: Tensor, matrix: Matrix, color: ColorTags) -> tuple[Tensor, Tensor]:
    """The matrix [3, 3] and offset [3] from Y, U and V to RGB, float32 and where `like` is."""
    meant = Color(matrix.value, color.full_range, Siting.LEFT.value, color.bits)
    to_rgb, offset = rgb_transform(meant)
    return to_rgb.to(like.device, torch.float32), offset.to(like.device, torch.float32)


def _hidden_fraction(clipped: Tensor, found: Tensor) -> float:
    """The part of the pixels of which clipping may hide more than is tolerated.

    Where DALI's value was clipped at 0, the true one lies between 0 and what was `found`; where at
    255, between that and 255.
    """
    low = (clipped == 0) & (found > _TOLERATED_LEVELS)
    high = (clipped == 255) & (found < 255 - _TOLERATED_LEVELS)
    return float((low | high).any(-1).float().mean())
