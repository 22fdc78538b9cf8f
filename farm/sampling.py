"""Which moments of a source are wanted: positions and counts become targets, without any pixel."""

from collections.abc import Sequence
from dataclasses import dataclass

from farm.media import MediaInfo, MediaKind
from farm.spec import Accuracy, Position, PositionUnit, ThumbnailSpec, parse_position


@dataclass(frozen=True, slots=True)
class Target:
    """One wanted moment: a pts in seconds, or a frame number where `frame` is not None.

    `frame` counts from 0 in order of presentation; -1 is the last one.
    """

    seconds: float
    accuracy: Accuracy
    frame: int | None = None
