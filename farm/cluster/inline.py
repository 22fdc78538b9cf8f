"""One worker in this process, without Dask: what stands above the port is tested on it."""

import itertools
import time
import uuid

from farm.cluster.port import EntryHandle, Outcome, OutcomeKind, outcome_of
from farm.errors import ClusterError, FarmError
from farm.ledger import ShardRef
from farm.pace import EntryUnderWay
from farm.settings import Limits, Settings
from farm.spec import Entry
from farm.worker import Worker


class InlineCluster:
    """One worker in this process, which does its work while an outcome is waited for.

    Urgent entries are made by threads meanwhile.
    """

    dashboard = None

    def __init__(self, settings: Settings) -> None:
        self._run = uuid.uuid4().hex
        self._worker = Worker(settings)
        self._waiting: list[tuple[ShardRef, bool]] = []
        self._serial = itertools.count(1)
        self._entries: dict[str, EntryHandle] = {}

    def slots(self) -> int:
        """One: a shard runs while its outcome is waited for."""
        return 1

    def submit(self, ref: ShardRef, attempt: int, *, is_final: bool) -> None:
        """Keeps the shard until an outcome is asked for."""
        self._waiting.append((ref, is_final))

    def next_outcome(self, timeout_seconds: float) -> Outcome | None:
        """Carries out the oldest waiting shard."""
        if not self._waiting:
            time.sleep(timeout_seconds)
            return None
        ref, is_final = self._waiting.pop(0)
        try:
            return outcome_of(ref, self._worker.run_shard(ref, run=self._run, is_final=is_final))
        except FarmError as error:
            return Outcome(ref, OutcomeKind.FAILED, reason=f"{error.code}: {error}")

    def submit_entry(self, entry: Entry, *, limits: Limits) -> EntryHandle:
        """Has a thread of the worker make an entry."""
        key = f"{self._run}-entry-{next(self._serial)}"
        handle = EntryHandle(key, cancelled=lambda: self._worker.cancel_entry(key))
        self._entries[key] = handle
        handle.future.add_done_callback(lambda _: self._entries.pop(key))
        self._worker.entry_threads.submit(self._carry, handle, entry, limits)
        return handle

    def _carry(self, handle: EntryHandle, entry: Entry, limits: Limits) -> None:
        if not handle.future.done():
            handle.settle(self._worker.run_entry(entry, limits, handle.key))

    def where(self) -> dict[str, str]:
        """The waiting shards."""
        return {ref.name: self._worker.name for ref, _ in self._waiting}

    def oldest_entry(self) -> EntryUnderWay | None:
        """None, to whoever waits for outcomes: nothing is under way but then."""
        return self._worker.pace(self._run).oldest

    def drain(self) -> None:
        """Lets the running shard start no other entry."""
        self._worker.drain(self._run)

    def close(self) -> None:
        """Ends the lanes, and the urgent entries that are under way."""
        for handle in list(self._entries.values()):
            handle.settle(ClusterError("the cluster was closed"))
        self._worker.close()
