"""How pictures lie in memory, and the one fast way from planes to pixels."""

from torch import Tensor
from torch.nn.functional import channel_shuffle


def transposed(matrices: Tensor) -> Tensor:
    """Contiguous [N, B, A] of contiguous [N, A, B].

    Shuffling A groups of B channels is a transpose. Of pixels that hold nothing but channels torch
    does it block by block in vector registers: 3 to 10 times as fast as copying a turned view.
    """
    count, rows, columns = matrices.shape
    pixels = matrices.view(count, 1, 1, rows * columns).permute(0, 3, 1, 2)
    return channel_shuffle(pixels, rows).view(count, columns, rows)


def packed(pictures: Tensor) -> Tensor:
    """Contiguous [N, H, W, C]; fast where the samples of one column or row and channel adjoin."""
    count, height, width, channels = pictures.shape
    if pictures.is_contiguous():
        return pictures
    if (by_column := pictures.permute(0, 2, 3, 1)).is_contiguous():
        matrices = by_column.view(count, width * channels, height)
    elif (by_row := pictures.transpose(2, 3)).is_contiguous():
        matrices = by_row.view(count * height, channels, width)
    else:
        return pictures.contiguous()
    return transposed(matrices).view(count, height, width, channels)
