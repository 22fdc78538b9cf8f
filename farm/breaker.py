"""The breaker: what a run does while one cause from outside fails everything."""

import time
from dataclasses import dataclass, field

from farm.ledger import ShardRef

_FIRST_PROBE_SECONDS = 1.0
_LONGEST_PROBE_SECONDS = 60.0


@dataclass(slots=True)
class Breaker:
    """Stops a run while one cause from outside dominates, and probes whether it is gone.

    A shard that its worker gave up on is set aside. When as many in a row are given up as can run
    at once, the run pauses and sends a single one every now and then; the first that is committed
    ends the pause. Shards that alone are to blame are sent a last time, at the end, for good.
    """

    pause_seconds: float
    aside: list[ShardRef] = field(default_factory=list)
    in_a_row: int = 0
    paused_since: float | None = None
    probe_after: float = 0.0
    wait_seconds: float = _FIRST_PROBE_SECONDS
    reason: str = ""

    def gave_up(self, ref: ShardRef, slots: int, cause: str) -> bool:
        """Notes a shard that was given up; True where the pause begins with it."""
        self.aside.append(ref)
        self.in_a_row += 1
        self.reason = cause
        now = time.monotonic()
        if self.paused_since is not None:
            self.wait_seconds = min(self.wait_seconds * 2, _LONGEST_PROBE_SECONDS)
        elif self.in_a_row >= slots:
            self.paused_since, self.wait_seconds = now, _FIRST_PROBE_SECONDS
        else:
            return False
        self.probe_after = now + self.wait_seconds
        return self.wait_seconds == _FIRST_PROBE_SECONDS

    def committed(self) -> bool:
        """Notes a shard that was committed; True where a pause ends with it."""
        was_paused = self.paused_since is not None
        self.in_a_row, self.paused_since = 0, None
        return was_paused

    def begin_anew(self) -> None:
        """Lets a pause last as long as it may from now on: nobody could probe for a while."""
        if self.paused_since is not None:
            self.paused_since = self.probe_after = time.monotonic()

    def is_exhausted(self) -> bool:
        """Whether the pause has lasted as long as it may."""
        since = self.paused_since
        return since is not None and time.monotonic() - since > self.pause_seconds
