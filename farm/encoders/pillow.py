"""Encodes pictures as JPEG, WebP and PNG with Pillow's codecs."""

import io
from typing import ClassVar

import PIL
from PIL import Image
from torch import Tensor, uint8

from farm.errors import EncodeError
from farm.spec import ImageFormat

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}

# The longest side in pixels that the format's own header can hold.
_LONGEST_SIDE = {ImageFormat.JPG: 65_535, ImageFormat.WEBP: 16_383, ImageFormat.PNG: 2**31 - 1}

# Measured at 320 pixels, photo / screenshot: level 3 takes 4.7 / 1.1 ms for 74 / 6.7 kB, level 6
# takes 13.4 / 1.5 ms for 68 / 5.6 kB, run-length matching takes 3.1 / 1.3 ms for 68 / 45 kB. So
# level 3 is near the best for both kinds of picture.
_PNG_LEVEL = 3

# Method 6 takes twice as long as 4 for 4 % fewer bytes; method 2 half as long for 3 % more.
_WEBP_METHOD = 4


class PillowEncoder:
    """Pillow's encoders with settings fixed here, so that equal pictures give equal bytes."""

    name: ClassVar[str] = "pillow"

    @property
    def version(self) -> str:
        """The version of Pillow."""
        return PIL.__version__

    def encode(self, pictures: Tensor, *, format: ImageFormat | str, quality: int) -> list[bytes]:
        """One file per picture of uint8 [N, H, W, C], C = 1 (gray), 3 (RGB) or 4 (RGBA).

        `quality` is 1 to 100; PNG has none and ignores it. JPEG chroma is 4:2:0. Raises EncodeError
        where the format cannot hold the pictures.
        """
        wanted = _checked_format(format)
        if not 1 <= quality <= 100:
            raise EncodeError(f"expected quality from 1 to 100; received {quality}")
        _check_pictures(pictures, wanted)
        mode = _MODES[pictures.shape[3]]
        height, width = pictures.shape[1:3]
        return [
            _encode_one(Image.frombuffer(mode, (width, height), each.numpy()), wanted, quality)
            for each in pictures.cpu().contiguous()
        ]


def _checked_format(format: ImageFormat | str) -> ImageFormat:
    try:
        return ImageFormat(format)
    except ValueError:
        allowed = ", ".join(ImageFormat)
        raise EncodeError(f"expected format to be one of {allowed}; received {format!r}") from None


def _check_pictures(pictures: Tensor, format: ImageFormat) -> None:
    if pictures.dtype != uint8 or pictures.ndim != 4 or pictures.shape[3] not in _MODES:
        raise EncodeError(
            "expected pictures to be uint8 [N, H, W, C] with C = 1, 3 or 4; "
            f"received {pictures.dtype} {list(pictures.shape)}"
        )
    if format is ImageFormat.JPG and pictures.shape[3] == 4:
        raise EncodeError("expected 1 or 3 channels for jpg, which has no transparency; received 4")
    height, width = pictures.shape[1:3]
    if not 1 <= min(width, height) <= max(width, height) <= _LONGEST_SIDE[format]:
        raise EncodeError(
            f"expected sides of 1 to {_LONGEST_SIDE[format]} pixels for {format.value}; "
            f"received {width} x {height}"
        )


def _encode_one(picture: Image.Image, format: ImageFormat, quality: int) -> bytes:
    target = io.BytesIO()
    try:
        match format:
            case ImageFormat.JPG:
                picture.save(target, "JPEG", quality=quality, subsampling="4:2:0")
            case ImageFormat.WEBP:
                picture.save(target, "WEBP", quality=quality, method=_WEBP_METHOD)
            case ImageFormat.PNG:
                picture.save(target, "PNG", compress_level=_PNG_LEVEL)
    except (OSError, ValueError) as error:
        raise EncodeError(
            f"{picture.width} x {picture.height} pixels cannot become {format.value}: {error}"
        ) from error
    return target.getvalue()
