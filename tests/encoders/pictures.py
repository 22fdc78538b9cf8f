"""Pictures to encode, and what a decoder makes of the files."""

import io

import torch
from PIL import Image
from torch import Tensor

MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def ramp(*, channels: int, count: int = 1, height: int = 40, width: int = 60) -> Tensor:
    """Smooth pictures [N, H, W, C] with colour where there are channels for it."""
    across = torch.linspace(0, 255, width)[None, None, :, None]
    down = torch.linspace(255, 0, height)[None, :, None, None]
    step = torch.arange(channels)[None, None, None, :] * 20
    one = (across + down) / 2 + step
    return one.clamp(0, 255).to(torch.uint8).repeat(count, 1, 1, 1)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def decoded(data: bytes, channels: int) -> Tensor:
    """The picture of a file, [H, W, C], as Pillow decodes it."""
    picture = opened(data).convert(MODES[channels])
    flat = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return flat.view(picture.height, picture.width, channels)


def mean_error(data: bytes, picture: Tensor) -> float:
    """The mean absolute difference between a file and the picture [H, W, C] that it was made of."""
    return float((decoded(data, picture.shape[2]).int() - picture.int()).abs().float().mean())
