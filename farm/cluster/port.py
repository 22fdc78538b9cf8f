"""What a run needs of a cluster, shards and their outcomes; and a service, urgent entries."""

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from farm.errors import ClusterError
from farm.ledger import ShardRef
from farm.pace import EntryUnderWay
from farm.record import Record
from farm.settings import Limits
from farm.spec import Entry
from farm.summary import Summary


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


class EntryHandle:
    """One urgent entry on its way.

    `future` ends with the record, of whatever became of the entry; with CancelledError where it was
    cancelled, by `cancel` or directly; with ClusterError where no cluster is left to make it.
    """

    def __init__(self, key: str, *, cancelled: Callable[[], object]) -> None:
        self.key = key
        self.future: Future[Record] = Future()
        self._cancelled = cancelled
        self.future.add_done_callback(self._notice)

    def cancel(self) -> None:
        """Lets the entry never begin, or ends its lane; does nothing to one that has ended.

        The future ends at once, the lane a little later. Pictures that were stored stay.
        """
        self.future.cancel()

    def settle(self, end: Record | ClusterError) -> None:
        """For the cluster: the entry has ended, unless it was cancelled."""
        with contextlib.suppress(InvalidStateError):
            if isinstance(end, Record):
                self.future.set_result(end)
            else:
                self.future.set_exception(end)

    def _notice(self, future: Future[Record]) -> None:
        if future.cancelled():
            future.set_running_or_notify_cancel()
            self._cancelled()


class Cluster(Protocol):
    """What stands above may ask of a cluster."""

    dashboard: str | None

    def slots(self) -> int:
        """Shards that can be worked on at once, now."""

    def submit(self, ref: ShardRef, attempt: int, *, is_final: bool) -> None:
        """Starts one attempt at a shard."""

    def next_outcome(self, timeout_seconds: float) -> Outcome | None:
        """The next attempt that ended, None if none did within the time."""

    def submit_entry(self, entry: Entry, *, limits: Limits) -> EntryHandle:
        """Starts one urgent entry: it belongs to no shard and waits for none."""

    def where(self) -> dict[str, str]:
        """Which worker has which shard."""

    def oldest_entry(self) -> EntryUnderWay | None:
        """The entry of this run's shards that has been under way for longest, as last heard."""

    def drain(self) -> None:
        """Lets no worker start another entry of this run's shards."""

    def close(self) -> None:
        """Lets go of the cluster; an embedded one ends."""


def outcome_of(ref: ShardRef, summary: Summary) -> Outcome:
    """The outcome of an attempt of which the worker gave a summary."""
    if summary.blocked_by is not None:
        return Outcome(ref, OutcomeKind.BLOCKED, summary, summary.blocked_message)
    return Outcome(ref, OutcomeKind.COMMITTED, summary)
