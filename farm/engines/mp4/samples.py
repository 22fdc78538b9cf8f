"""The samples of one track in the order they are decoded, as columns of one table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Samples:
    """N samples in decoding order; times are ticks of the track, as libavformat presents them.

    Edit lists are applied: the first sample that is shown has the pts the player's clock has.
    `is_discard` marks samples that are decoded but not shown, because an edit begins after them.
    `entry` is the index of a sample's description in `Track.entries`.
    """

    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    dts: NDArray[np.int64]
    pts: NDArray[np.int64]
    duration: NDArray[np.int64]
    is_sync: NDArray[np.bool_]
    is_discard: NDArray[np.bool_]
    entry: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.pts)

    def key_at(self, ticks: int) -> int | None:
        """The sync sample presented last at or before `ticks`, else the first; None without any."""
        raise NotImplementedError

    def next_sync(self, index: int) -> int | None:
        """The first sync sample after sample `index` in decoding order; None after the last."""
        raise NotImplementedError

    def group(self, index: int) -> range:
        """The samples from `index` up to the next sync sample."""
        raise NotImplementedError

    def shown_order(self) -> NDArray[np.intp]:
        """The samples that are shown, by ascending pts."""
        raise NotImplementedError

    def shown_at(self, ticks: int) -> int | None:
        """The sample shown at `ticks`: the last by pts at or before it, else the first shown."""
        raise NotImplementedError
