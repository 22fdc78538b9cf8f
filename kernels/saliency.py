"""Where the eye goes first: a map by which a crop can be laid where it loses least."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

# Opponent colours: light to dark, red to green, yellow to blue.
_OPPONENTS = ((1 / 3, 1 / 3, 1 / 3), (0.5, -0.5, 0.0), (0.25, 0.25, -0.5))


def saliency(pictures: Tensor) -> Tensor:
    """How much each pixel stands out, float32 [N, H, W] of 0 to 1, of uint8 [N, H, W, 3].

    The distance of a pixel's colour, a little blurred, from the mean colour of the picture, in
    opponent colours, so that large things count whole and fine texture does not. Source: Achanta
    et al., Frequency-tuned salient region detection (2009), with another colour space. A picture
    of one colour is 0 throughout. Raises ValueError for other shapes and types.
    """
    if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
        raise ValueError(
            "expected pictures as uint8 [N, H, W, 3], "
            f"received {str(pictures.dtype).removeprefix('torch.')} {list(pictures.shape)}"
        )
    mixed = torch.tensor(_OPPONENTS, device=pictures.device).T
    colors = (pictures.to(torch.float32) / 255 @ mixed).permute(0, 3, 1, 2)
    blurred = avg_pool2d(pad(colors, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    distance = (blurred - colors.mean(dim=(2, 3), keepdim=True)).square().sum(dim=1).sqrt()
    # A difference that nobody sees is none.
    most = distance.amax(dim=(1, 2), keepdim=True)
    return torch.where(most > 1 / 255, distance / most.clamp(min=1e-6), 0.0)


def salient_box(map: Tensor, *, height: int, width: int) -> tuple[int, int]:
    """The left and top of the box of a size that holds most of a map [H, W]; the middle if even.

    Raises ValueError for a box that is larger than the map.
    """
    rows, columns = map.shape
    if not (1 <= height <= rows and 1 <= width <= columns):
        raise ValueError(f"expected a box of 1x1 to {columns}x{rows}, received {width}x{height}")
    # Sums of all boxes by four corners of the integral map.
    integral = pad(map.to(torch.float64).cumsum(0).cumsum(1), (1, 0, 1, 0))
    sums = integral[height:, width:] - integral[:-height, width:]
    sums = sums - integral[height:, :-width] + integral[:-height, :-width]
    tops = torch.arange(sums.shape[0], device=map.device)[:, None]
    lefts = torch.arange(sums.shape[1], device=map.device)[None, :]
    off = (tops - (sums.shape[0] - 1) / 2).abs() + (lefts - (sums.shape[1] - 1) / 2).abs()
    best = sums >= sums.max() - 1e-6 * map.numel()
    place = int(torch.where(best, off, torch.inf).argmin())
    return place % sums.shape[1], place // sums.shape[1]
