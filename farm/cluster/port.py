"""What a run needs of a cluster: shards go out, outcomes come back."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from farm.ledger import ShardRef
from farm.worker import Summary


class OutcomeKind(StrEnum):
    """How a shard attempt ended for the run."""

    COMMITTED = "committed"
    BLOCKED = "blocked"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one shard attempt; `summary` where the worker could say something."""

    ref: ShardRef
    kind: OutcomeKind
    summary: Summary | None = None
    reason: str = ""


class Cluster(Protocol):
    """What a run needs of a cluster."""

    dashboard: str | None

    def slots(self) -> int:
        """Shards that can be worked on at once, now."""

    def submit(self, ref: ShardRef, attempt: int, *, is_final: bool) -> None:
        """Starts one attempt at a shard."""

    def next_outcome(self, timeout_seconds: float) -> Outcome | None:
        """The next attempt that ended, None if none did within the time."""

    def where(self) -> dict[str, str]:
        """Which worker has which shard."""

    def drain(self) -> None:
        """Lets no worker start another entry of this run's shards."""

    def close(self) -> None:
        """Lets go of the cluster; an embedded one ends."""


def outcome_of(ref: ShardRef, summary: Summary) -> Outcome:
    """The outcome of an attempt of which the worker gave a summary."""
    if summary.blocked_by is not None:
        return Outcome(ref, OutcomeKind.BLOCKED, summary, summary.blocked_message)
    return Outcome(ref, OutcomeKind.COMMITTED, summary)
