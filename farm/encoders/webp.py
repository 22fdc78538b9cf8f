"""Encodes WebP with the libwebp inside Pillow."""

from typing import ClassVar

from PIL import features
from torch import Tensor

from farm.encoders.pillow import save
from farm.encoding import Encoding

# Measured on seven pictures of 320 x 240 at quality 80: against method 4, the library's default,
# method 2 takes half the time (2.2 to 4.5 ms, not 5.5 to 8.7) for 2 to 4 % more bytes and 0.1 to
# 0.3 dB less; methods 0 and 1 are no faster by more than a third for 4 to 30 % more bytes, and 6
# takes four times as long for 5 % fewer. Without loss, method 2 takes 7 to 26 ms, method 4 16 to 52
# for 2 to 8 % fewer bytes.
_METHOD = 2

# What Pillow calls quality is the effort where nothing is lost; 80 takes up to twice as long as 50
# for 1 % fewer bytes, and 20 gives a screenshot a third more.
_LOSSLESS_EFFORT = 50


class WebpEncoder:
    """WebP with or without loss, with transparency where there is any."""

    channels: ClassVar[tuple[int, ...]] = (1, 3, 4)
    longest_side: ClassVar[int] = 16_383

    @property
    def version(self) -> str:
        """The version of libwebp."""
        return f"libwebp {features.version('webp')}"

    def encode(self, pictures: Tensor, encoding: Encoding) -> list[bytes]:
        """One file per picture [N, H, W, C]."""
        quality = _LOSSLESS_EFFORT if encoding.lossless else encoding.quality
        method = _METHOD if encoding.method is None else encoding.method
        return [
            save(picture, "WEBP", quality=quality, method=method, lossless=encoding.lossless)
            for picture in pictures
        ]
