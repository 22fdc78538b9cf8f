"""The samples of one track in the order they are decoded, as columns of one table."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Samples:
    """N samples in decoding order; times are ticks of the track, as libavformat presents them.

    Edit lists are applied: the first sample that is shown has the pts the player's clock has.
    `is_discard` marks samples that are decoded but not shown, because an edit begins after them or
    ends before. `entry` is the index of a sample's description in `Track.entries`.
    """

    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    dts: NDArray[np.int64]
    pts: NDArray[np.int64]
    duration: NDArray[np.int64]
    is_sync: NDArray[np.bool_]
    is_discard: NDArray[np.bool_]
    entry: NDArray[np.int32]
    _syncs: NDArray[np.intp] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_syncs", np.flatnonzero(self.is_sync))

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def syncs(self) -> NDArray[np.intp]:
        """The sync samples, in decoding order."""
        return self._syncs

    def after(self, index: int) -> "Samples":
        """The samples from `index` on."""
        return Samples(**{name: getattr(self, name)[index:] for name in _columns()})

    def key_at(self, ticks: int) -> int | None:
        """The sync sample presented last at or before `ticks`, else the first; None without any."""
        if not len(self._syncs):
            return None
        times = self.pts[self._syncs]
        in_time = np.flatnonzero(times <= ticks)
        if not len(in_time):
            return int(self._syncs[np.argmin(times)])
        return int(self._syncs[in_time[np.argmax(times[in_time])]])

    def next_sync(self, index: int) -> int | None:
        """The first sync sample after sample `index` in decoding order; None after the last."""
        at = int(np.searchsorted(self._syncs, index, side="right"))
        return int(self._syncs[at]) if at < len(self._syncs) else None

    def group(self, index: int) -> range:
        """The samples from `index` up to the next sync sample."""
        stop = self.next_sync(index)
        return range(index, len(self) if stop is None else stop)

    def shown_order(self) -> NDArray[np.intp]:
        """The samples that are shown, by ascending pts."""
        shown = np.flatnonzero(~self.is_discard)
        return shown[np.argsort(self.pts[shown], kind="stable")]

    def shown_at(self, ticks: int) -> int | None:
        """The sample shown at `ticks`: the last by pts at or before it, else the first shown.

        None where nothing is shown.
        """
        order = self.shown_order()
        if not len(order):
            return None
        at = int(np.searchsorted(self.pts[order], ticks, side="right"))
        return int(order[max(0, at - 1)])


def joined(parts: Sequence[Samples]) -> Samples:
    """The samples of all parts, one after the other."""
    return Samples(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _columns()}
    )


def _columns() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Samples) if field.init)
