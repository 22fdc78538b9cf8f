"""Encoders: one file each, and the registry that loads them on first use."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from farm.errors import EncodeError
from farm.spec import ImageFormat

if TYPE_CHECKING:
    from torch import Tensor


class Encoder(Protocol):
    """One way to encode finished pictures."""

    name: ClassVar[str]

    @property
    def version(self) -> str:
        """The version of the library behind it."""

    def encode(self, pictures: "Tensor", *, format: ImageFormat | str, quality: int) -> list[bytes]:
        """One file per picture of uint8 [N, H, W, C], C = 1 (gray), 3 (RGB) or 4 (RGBA).

        `quality` is 1 to 100. The same pictures give the same bytes, without metadata. Raises
        EncodeError where the format cannot hold the pictures.
        """


_ENCODERS = {"pillow": "farm.encoders.pillow:PillowEncoder"}


@cache
def load(name: str = "pillow") -> Encoder:
    """The encoder of that name, imported on first use and kept."""
    if name not in _ENCODERS:
        raise EncodeError(
            f"expected encoder to be one of {', '.join(_ENCODERS)}; received {name!r}"
        )
    module, _, attribute = _ENCODERS[name].partition(":")
    return cast(Encoder, getattr(import_module(module), attribute)())


def encode(pictures: "Tensor", *, format: ImageFormat | str, quality: int) -> list[bytes]:
    """Encodes with the default encoder; see `Encoder.encode`."""
    return load().encode(pictures, format=format, quality=quality)
