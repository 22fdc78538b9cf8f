"""What picking frames needs of a reader, be it libavformat's or one with an index of our own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from farm.engines.pyav_decode import Decoding, VideoPacket
from farm.engines.pyav_group import GroupPlan, Moment


@dataclass(frozen=True, slots=True)
class Key:
    """A keyframe: its time in ticks and where its reader finds it.

    `is_whole` is False for one that is not to be shown, or was read damaged. `packet` is there
    where it had to be read to find the key.
    """

    ticks: int
    place: int | None
    is_whole: bool = True
    packet: VideoPacket | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """What to decode for some moments: the planned packets, and one more where there is one."""

    plan: GroupPlan
    packets: Sequence[VideoPacket]


class Reader(Protocol):
    """Packets of one video stream; times are in ticks of its time base."""

    name: str
    time_base: Fraction
    is_timed: bool
    decoding: Decoding

    @property
    def pixel_aspect(self) -> float:
        """The width of a pixel over its height, as far as it is known so far."""

    def key_at(self, ticks: int) -> Key | None:
        """The keyframe last presented at or before `ticks`, else the first; None without any."""

    def packets_from(self, key: Key) -> Iterator[VideoPacket]:
        """The packets from a keyframe on."""

    def group_at(self, moments: Sequence[Moment]) -> Group | None:
        """The packets that answer the first of ascending moments, and those that share its group.

        None where only decoded frames can tell, such as where times are missing or out of order.
        """

    def presentation_ticks(self) -> list[int]:
        """The times of all frames in order."""
