"""Writes one picture with one of Pillow's encoders."""

import io

from PIL import Image
from torch import Tensor

from farm.errors import EncodeError

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def save(picture: Tensor, format: str, **options: object) -> bytes:
    """The file of a contiguous picture [H, W, C] in Pillow's `format`, with Pillow's `options`.

    Raises EncodeError where Pillow refuses.
    """
    height, width, channels = picture.shape
    image = Image.frombuffer(_MODES[channels], (width, height), picture.numpy())
    target = io.BytesIO()
    try:
        image.save(target, format, **options)
    except (OSError, ValueError) as error:
        raise EncodeError(f"{width} x {height} pixels cannot become {format}: {error}") from error
    return target.getvalue()
