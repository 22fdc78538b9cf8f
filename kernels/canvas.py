"""What is done to finished pictures: turning, laying on a canvas, a colour under alpha."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kernels.layout import packed, transposed

# Exif orientation -> (transpose, then flip rows, then flip columns).
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def orient(pictures: Tensor, code: int) -> Tensor:
    """Stored pictures [N, H, W, C] as they are to be shown, by their Exif orientation 1 to 8."""
    if code not in _TURNS:
        raise ValueError(f"expected an Exif orientation from 1 to 8, received {code!r}")
    transpose, flip_rows, flip_columns = _TURNS[code]
    if transpose:
        pictures = pictures.transpose(1, 2)
    axes = [axis for axis, flip in ((1, flip_rows), (2, flip_columns)) if flip]
    return packed(pictures.flip(axes) if axes else pictures)


def turned_view(shown: Tensor, code: int) -> tuple[int, int, int]:
    """Where stored pictures go in `shown` [H, W, C]: an address, and strides of rows and columns.

    The address is that of the stored picture's first sample; the strides count samples and may be
    negative. `code` is the Exif orientation by which the stored picture is shown.
    """
    transpose, flip_rows, flip_columns = _TURNS[code]
    row, column, _ = shown.stride()
    start = 0
    if flip_rows:
        start, row = start + (shown.shape[0] - 1) * row, -row
    if flip_columns:
        start, column = start + (shown.shape[1] - 1) * column, -column
    address = shown.data_ptr() + start * shown.element_size()
    return (address, column, row) if transpose else (address, row, column)


def tile(pictures: Tensor, *, columns: int, color: Sequence[int] = (0, 0, 0)) -> Tensor:
    """Pictures [N, H, W, C] row by row on one sheet [rows * H, columns * W, C].

    What is left of the last row has the `color`, C values of 0 to 255. Raises ValueError for fewer
    columns than one, or no pictures.
    """
    count, height, width, channels = pictures.shape
    if columns < 1 or not count:
        raise ValueError(
            f"expected pictures and 1 column or more, received {count} and {columns} columns"
        )
    if len(color) != channels:
        raise ValueError(f"expected a color of {channels} values, received {tuple(color)}")
    rows = -(-count // columns)
    sheet = torch.tensor(tuple(color), dtype=pictures.dtype, device=pictures.device)
    sheet = sheet.repeat(rows * columns * height * width).view(-1, height, width, channels)
    sheet[:count] = pictures
    sheet = sheet.view(rows, columns, height, width, channels).transpose(1, 2)
    return sheet.reshape(rows * height, columns * width, channels)


def pad(
    pictures: Tensor, *, left: int, top: int, height: int, width: int, color: Sequence[int]
) -> Tensor:
    """Pictures [N, H, W, C] laid at (left, top) on canvases [N, height, width, C] of one colour.

    `color` has C values of 0 to 255. Raises ValueError where a picture sticks out.
    """
    count, rows, columns, channels = pictures.shape
    if len(color) != channels:
        raise ValueError(f"expected a color of {channels} values, received {tuple(color)}")
    if left < 0 or top < 0 or left + columns > width or top + rows > height:
        raise ValueError(
            f"expected a picture inside the canvas of {width}x{height}, "
            f"received {columns}x{rows} at ({left}, {top})"
        )
    fill = torch.tensor(tuple(color), dtype=pictures.dtype, device=pictures.device)
    canvas = fill.repeat(width).expand(count, height, -1).clone()
    canvas = canvas.view(count, height, width, channels)
    canvas[:, top : top + rows, left : left + columns] = pictures
    return canvas


def flatten_alpha(pictures: Tensor, *, color: tuple[int, int, int]) -> Tensor:
    """Pictures [N, H, W, 3] with `color` under the transparent parts.

    `pictures` are uint8 [N, H, W, C], gray (C = 1, 2) or RGB (C = 3, 4); the last of an even number
    of channels is straight alpha.
    """
    if not 1 <= pictures.shape[-1] <= 4:
        raise ValueError(f"expected 1 to 4 channels, received {pictures.shape[-1]}")
    if pictures.shape[-1] % 2:
        return pictures.expand(*pictures.shape[:-1], 3).contiguous()
    # Plane by plane, as vectors of a whole plane are added faster than those of one pixel.
    planes = transposed(pictures.reshape(1, -1, pictures.shape[-1]))[0].to(torch.float32)
    under = torch.tensor(color, dtype=torch.float32, device=pictures.device)[:, None]
    flat = to_uint8(torch.lerp(under, planes[:-1], planes[-1] / 255))
    return transposed(flat[None]).view(*pictures.shape[:-1], 3)


def is_opaque(pictures: Tensor) -> bool:
    """Whether alpha, the last of 2 or 4 channels of uint8 pictures, is 255 throughout."""
    if pictures.numel() == 0:
        return True
    # A pixel as one number: alpha is its high byte, as memory is little-endian everywhere that
    # torch runs, so opaque pixels are the negative numbers next to 0.
    channels = pictures.shape[-1]
    pixels = pictures.contiguous().view(torch.int32 if channels == 4 else torch.int16)
    least, most = torch.aminmax(pixels)
    return int(least) >= -(1 << 8 * (channels - 1)) and int(most) < 0


def to_uint8(values: Tensor) -> Tensor:
    """Float values rounded and clamped; they are overwritten."""
    # By way of int16: torch turns float into uint8 one sample at a time.
    return values.add_(0.5).clamp_(0, 255).to(torch.int16).to(torch.uint8)
