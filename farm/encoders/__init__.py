"""Encoders: one file per format, and the registry that loads them on first use."""

from functools import cache
from importlib import import_module
from typing import ClassVar, Protocol, cast

from torch import Tensor, uint8

from farm.encoding import Encoding
from farm.errors import EncodeError
from farm.spec import ImageFormat


class Encoder(Protocol):
    """The way to write one format.

    `channels` are the numbers of channels that it can hold; `longest_side` is in pixels.
    """

    channels: ClassVar[tuple[int, ...]]
    longest_side: ClassVar[int]

    @property
    def version(self) -> str:
        """The libraries behind it, with their versions."""

    def encode(self, pictures: Tensor, encoding: Encoding) -> list[bytes]:
        """One file per picture of a contiguous uint8 [N, H, W, C] that was checked before.

        Raises EncodeError where the library refuses.
        """


_ENCODERS = {
    ImageFormat.JPG: "farm.encoders.jpeg:JpegEncoder",
    ImageFormat.PNG: "farm.encoders.png:PngEncoder",
    ImageFormat.WEBP: "farm.encoders.webp:WebpEncoder",
}


@cache
def load(format: ImageFormat) -> Encoder:
    """The encoder of a format, imported on first use and kept."""
    module, _, attribute = _ENCODERS[format].partition(":")
    return cast(Encoder, getattr(import_module(module), attribute)())


def encode(pictures: Tensor, encoding: Encoding) -> list[bytes]:
    """One file per picture of uint8 [N, H, W, C], C = 1 (gray), 3 (RGB) or 4 (RGBA).

    The same pictures give the same bytes, without metadata. Raises EncodeError where the format
    cannot hold the pictures.
    """
    return encode_with(load(encoding.format), pictures.cpu(), encoding)


def encode_with(encoder: Encoder, pictures: Tensor, encoding: Encoding) -> list[bytes]:
    """As `encode`, by an encoder of the caller's choice, on the device where the pictures are."""
    _check(pictures, encoder, encoding.format)
    return encoder.encode(pictures.contiguous(), encoding)


def _check(pictures: Tensor, encoder: Encoder, format: ImageFormat) -> None:
    if pictures.dtype != uint8 or pictures.ndim != 4 or pictures.shape[3] not in (1, 3, 4):
        raise EncodeError(
            "expected pictures to be uint8 [N, H, W, C] with C = 1, 3 or 4; "
            f"received {pictures.dtype} {list(pictures.shape)}"
        )
    height, width, channels = pictures.shape[1:]
    if channels not in encoder.channels:
        allowed = " or ".join(map(str, encoder.channels))
        raise EncodeError(f"expected {allowed} channels for {format.value}; received {channels}")
    if not 1 <= min(width, height) <= max(width, height) <= encoder.longest_side:
        raise EncodeError(
            f"expected sides of 1 to {encoder.longest_side} pixels for {format.value}; "
            f"received {width} x {height}"
        )
