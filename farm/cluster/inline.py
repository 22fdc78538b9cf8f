"""One worker in this process, without Dask: what stands above the port is tested on it."""

import time
import uuid

from farm.cluster.port import Outcome, OutcomeKind, outcome_of
from farm.errors import FarmError
from farm.ledger import ShardRef
from farm.settings import Settings
from farm.worker import Worker


class InlineCluster:
    """One worker in this process, which does its work while an outcome is waited for."""

    dashboard = None

    def __init__(self, settings: Settings) -> None:
        self._run = uuid.uuid4().hex
        self._worker = Worker(settings)
        self._waiting: list[tuple[ShardRef, bool]] = []

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

    def where(self) -> dict[str, str]:
        """The waiting shards."""
        return {ref.name: self._worker.name for ref, _ in self._waiting}

    def drain(self) -> None:
        """Lets the running shard start no other entry."""
        self._worker.drain(self._run)

    def close(self) -> None:
        """Ends the lanes."""
        self._worker.close()
