"""The attempts of one run that have not ended, as tasks of Dask's."""

import itertools
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from farm.cluster import plugin
from farm.cluster.attempt import Attempt, end_of
from farm.cluster.port import Outcome, OutcomeKind
from farm.ledger import ShardRef
from farm.manners import Manners

# What a task is while nobody has said how it ended.
_UNDECIDED = ("pending", "cancelled", "lost")


class Flight:
    """Sends attempts to workers and tells how they ended; from any thread.

    Those that are asked for while there is no client wait for the next one. `ended` is called with
    each outcome, `alarm` when the scheduler has forgotten an attempt. `sharers` is how many workers
    have a share of the run's rates.
    """

    def __init__(
        self,
        run: str,
        manners: Manners,
        *,
        ended: Callable[[Outcome], object],
        alarm: Callable[[], object],
    ) -> None:
        self._run = run
        self._manners = manners
        self._ended = ended
        self._alarm = alarm
        self.sharers = 1
        self._lock = threading.RLock()
        self._client: Any = None
        self._attempts: dict[str, Attempt] = {}
        self._unsent: list[Attempt] = []
        self._unplaced: set[str] = set()
        self._serial = itertools.count(1)

    def connect(self, client: Any, *, is_drained: bool) -> None:
        """Sends all that waits by a client; where the run drains, it is lost instead."""
        with self._lock:
            self._client = client
            unsent, self._unsent = self._unsent, []
        for attempt in unsent:
            if is_drained:
                # Its workers have forgotten the drain; what is left begins with the next command.
                self._ended(Outcome(attempt.ref, OutcomeKind.LOST, reason="lost in a drain"))
            else:
                self._send(f"{attempt.key}~", attempt.ref, is_final=attempt.is_final)

    def disconnect(self) -> None:
        """Lets all that is under way wait for another client."""
        with self._lock:
            self._client = None
            self._unsent = [*self._attempts.values(), *self._unsent]
            self._attempts.clear()

    def submit(self, ref: ShardRef, attempt: int, *, is_final: bool) -> None:
        """Starts one attempt, under a key of its own: Dask blames none for another."""
        key = f"{self._run}-{ref.number}-{ref.name}-{attempt}-{next(self._serial)}"
        self._send(key, ref, is_final=is_final)

    def _send(self, key: str, ref: ShardRef, *, is_final: bool) -> None:
        rates = self._manners.rates.share(self.sharers)
        with self._lock:
            if self._client is None:
                self._unsent.append(Attempt(key, ref, is_final))
                return
            future = self._client.submit(
                plugin.run_shard,
                ref,
                self._run,
                is_final,
                rates,
                key=key,
                pure=False,
                priority=self._manners.priority,
                resources={plugin.SHARD_SLOT: 1},
            )
            self._attempts[key] = Attempt(key, ref, is_final, future)
        future.add_done_callback(lambda done: self._settle(ref, key, done))

    def _settle(self, ref: ShardRef, key: str, future: Any) -> None:
        with self._lock:
            # An attempt that was sent again has nothing to say any more.
            if key not in self._attempts:
                return
            if future.status == "cancelled":
                # The scheduler forgot it, or the connection was lost: then it is sent again.
                self._alarm()
                return
            del self._attempts[key]
        self._ended(end_of(ref, future))

    def of_workers(self, held: Mapping[str, Collection[Any]]) -> dict[str, list[str]]:
        """The keys of this run that each worker has, of all that it has."""
        with self._lock:
            own = {
                worker: [str(key) for key in keys if key in self._attempts]
                for worker, keys in held.items()
            }
        return {worker: keys for worker, keys in own.items() if keys}

    def send_unplaced(self, held: Mapping[str, Collection[Any]], ready: Collection[str]) -> None:
        """Sends again what no worker has taken at two looks although one had nothing to do.

        A task that waits while no worker has a slot is forgotten when one is granted later: the
        scheduler tries such tasks only when a worker joins, and a slot is granted after that.
        """
        placed = {str(key) for keys in held.values() for key in keys}
        is_anyone_idle = any(not held.get(worker) for worker in ready)
        with self._lock:
            unplaced = {key for key in self._attempts if key not in placed and is_anyone_idle}
            for key in unplaced & self._unplaced:
                self._send_again(key)
        self._unplaced = unplaced - self._unplaced

    def _send_again(self, key: str) -> None:
        attempt = self._attempts[key]
        if attempt.future.status in _UNDECIDED:
            del self._attempts[key]
            attempt.future.cancel()
            self._send(f"{key}~", attempt.ref, is_final=attempt.is_final)

    def give_up(self, keys: Collection[str]) -> list[ShardRef]:
        """Takes attempts back, whatever becomes of them; their shards."""
        with self._lock:
            given_up = [self._attempts.pop(key) for key in keys if key in self._attempts]
        for attempt in given_up:
            attempt.future.cancel()
        return [attempt.ref for attempt in given_up]
