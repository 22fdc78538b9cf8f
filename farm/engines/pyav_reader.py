"""What picking frames needs of a reader, be it libavformat's or one with an index of our own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from av.video.frame import VideoFrame

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
    first_ticks: int | None
    decoding: Decoding

    @property
    def is_timed(self) -> bool:
        """Whether the stream tells times at all; else its frames are counted."""

    def key_at(self, ticks: int) -> Key | None:
        """The keyframe last presented at or before `ticks`, else the first; None without any."""

    def packets_from(self, key: Key | None) -> Iterator[VideoPacket]:
        """The packets from a keyframe on, or from the start of the file."""

    def play(self, packets: Iterator[VideoPacket]) -> Iterator[VideoFrame]:
        """Frames in order of presentation from packets of which the first needs none before it."""

    def group_at(self, moments: Sequence[Moment]) -> Group | None:
        """The packets that answer the first of ascending moments, and those that share its group.

        None where times are missing or out of order, so that only decoded frames can tell.
        """

    def has_key_between(self, after: int, ticks: int) -> bool:
        """Whether a keyframe is surely, or likely, decoded after `after` and shown by `ticks`."""

    def presentation_ticks(self) -> list[int]:
        """The times of all frames in order."""
