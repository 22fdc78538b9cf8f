"""Engines: one file each, and the registry that loads them on first use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Protocol, cast

from farm.errors import EngineUnavailableError
from farm.media import MediaFormat, MediaInfo, MediaKind
from farm.sampling import Target
from farm.settings import Limits

if TYPE_CHECKING:
    from farm.engines.frame import FrameBatch
    from farm.geometry import Size


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of one entry inside a lane: a seekable binary file, its size and its name for messages."""

    file: BinaryIO
    size_bytes: int
    name: str


class Decoder(Protocol):
    """One opened source."""

    @property
    def info(self) -> MediaInfo:
        """What the probe tells; decodes nothing."""

    @property
    def notes(self) -> dict[str, int | float | str]:
        """Facts for the record, such as `packets_fed` or `frames_decoded`, up to now."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the result, up to now, such as `position_past_end`."""

    def frames(self, targets: Sequence[Target], *, at_least: "Size | None") -> "Iterator[FrameBatch]":
        """Yields the pictures for the targets, each target answered exactly once, in any order.

        `at_least` is the smallest coded size that serves: a decoder may shrink on load down to it.
        Raises a MediaError where a target cannot be answered.
        """

    def close(self) -> None:
        """Frees what the decoder holds; the source's file stays open."""


class Engine(Protocol):
    """One way to decode."""

    name: ClassVar[str]
    kinds: ClassVar[frozenset[MediaKind]]
    device: ClassVar[str]

    @property
    def version(self) -> str:
        """The version of the library behind it."""

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> Decoder:
        """Opens a source; raises a MediaError where it is none of the engine's formats."""
