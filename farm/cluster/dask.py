"""The cluster port over Dask: any scheduler by its address, or an embedded cluster.

Dask places work and watches workers. Attempts, draining and time limits are the run's own, because
Dask's `retries`, `lifetime` and `retire_workers` restart a task that is under way or do nothing for
a worker that died.

A worker takes one shard at a time, whatever its threads. When the last entry of one has begun, its
task secedes, which makes room for the next: no lane waits for the last entries and the commit.
"""

import asyncio
import contextlib
import itertools
import queue
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

import dask
from distributed import Client, LocalCluster

from farm.cluster import plugin
from farm.cluster.port import EntryHandle, Outcome, OutcomeKind, outcome_of
from farm.cluster.urgent import UrgentEntries
from farm.errors import ClusterError, FarmError
from farm.isolation import EarlyZygote
from farm.ledger import ShardRef
from farm.settings import Limits, Settings
from farm.spec import Entry

_NO_SLOT_SECONDS = 180.0
_LOOK_SECONDS = 2.0
_HELD_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_CONFIG = {
    # Lanes have their own memory limit; a nanny's would kill the worker for a lane's appetite.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.scheduler.allowed-failures": 10,
    "distributed.scheduler.worker-ttl": "120 s",
    "distributed.comm.timeouts.connect": "60 s",
    "distributed.comm.timeouts.tcp": "60 s",
    "distributed.comm.retry.count": 3,
    # Lanes do the work: what looking at threads and loops every 10 ms costs, they can use.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500 ms",
    "distributed.admin.log-format": "%(levelname)s %(name)s: %(message)s",
}


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One task under way."""

    ref: ShardRef
    is_final: bool
    future: Any


class DaskCluster:
    """Any Dask cluster by the address of its scheduler, or an embedded one without an address."""

    def __init__(
        self, settings: Settings, *, scheduler: str | None = None, workers: int = 1
    ) -> None:
        self._run = f"farm-{uuid.uuid4().hex[:12]}"
        self._embedded: LocalCluster | None = None
        self._early: EarlyZygote | None = None
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._attempts: dict[str, _Attempt] = {}
        self._ready: list[str] = []
        self._looked = 0.0
        self._seen_ready = time.monotonic()
        self._unplaced: set[str] = set()
        self._serial = itertools.count(1)
        # Set for the life of the embedded cluster: its nannies hand it to workers they restart.
        self._config = dask.config.set(_CONFIG) if scheduler is None else contextlib.nullcontext()
        try:
            if scheduler is None:
                with contextlib.suppress(OSError):  # then the worker starts its own
                    self._early = EarlyZygote(settings.lane_rules)
                self._embedded = _embed(workers)
            with _signals_held():
                self._client = Client(self._embedded or scheduler, set_as_default=False)
            address = self._early.address if self._early is not None else None
            self._client.register_plugin(plugin.LanesPlugin(settings, address))
        except (OSError, TimeoutError, ValueError, RuntimeError, FarmError) as error:
            self.close()
            where = scheduler or "an embedded cluster"
            raise ClusterError(
                f"{where} cannot be used: {type(error).__name__}: {error}"
            ) from error
        self._urgent = UrgentEntries(self._client, self._run)
        self.dashboard: str | None = self._client.dashboard_link or None
        self._await_first_slot()

    def _await_first_slot(self) -> None:
        deadline = time.monotonic() + _NO_SLOT_SECONDS
        while self.slots() == 0:
            if time.monotonic() > deadline:
                self.close()
                raise ClusterError(
                    f"no worker was ready within {_NO_SLOT_SECONDS:g} s: expected at least one "
                    "worker with thumbfarm installed; see the workers' logs"
                )
            time.sleep(0.1)
            self._looked = 0.0

    def slots(self) -> int:
        """Workers with lanes, as of a few seconds ago."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look()
        return len(self._ready)

    def _look(self) -> None:
        """Asks the scheduler which workers have lanes, and sends again what none of them took.

        A task that waits while no worker has a slot is forgotten when one is granted later: the
        scheduler tries such tasks only when a worker joins, and a slot is granted after that.
        """
        try:
            identity = self._client.sync(_identity, self._client)
            processing = self._client.processing()
        except (OSError, TimeoutError, AttributeError) as error:
            raise ClusterError(f"the scheduler does not answer: {error}") from error
        workers = identity["workers"].items()
        self._ready = [
            address for address, facts in workers if facts["resources"].get(plugin.SHARD_SLOT)
        ]
        self._looked = time.monotonic()
        if self._ready:
            self._seen_ready = self._looked
        elif self._looked - self._seen_ready > _NO_SLOT_SECONDS:
            raise ClusterError(f"no worker has had lanes for {_NO_SLOT_SECONDS:g} s")
        placed = {str(key) for keys in processing.values() for key in keys}
        is_anyone_idle = any(not processing.get(address) for address in self._ready)
        unplaced = {key for key in list(self._attempts) if key not in placed and is_anyone_idle}
        for key in unplaced & self._unplaced:
            self._send_again(key)
        self._unplaced = unplaced - self._unplaced

    def _send_again(self, key: str) -> None:
        attempt = self._attempts.get(key)
        if attempt is None or attempt.future.status != "pending":
            return
        del self._attempts[key]
        attempt.future.cancel()
        self._send(attempt.ref, f"{key}~", is_final=attempt.is_final)

    def submit(self, ref: ShardRef, attempt: int, *, is_final: bool) -> None:
        """Starts one attempt, under a key of its own: Dask blames none for another."""
        key = f"{self._run}-{ref.number}-{ref.name}-{attempt}-{next(self._serial)}"
        self._send(ref, key, is_final=is_final)

    def _send(self, ref: ShardRef, key: str, *, is_final: bool) -> None:
        slot = {plugin.SHARD_SLOT: 1}
        future = self._client.submit(
            plugin.run_shard, ref, self._run, is_final, key=key, pure=False, resources=slot
        )
        self._attempts[key] = _Attempt(ref, is_final, future)
        future.add_done_callback(lambda done: self._settle(ref, key, done))

    def _settle(self, ref: ShardRef, key: str, future: Any) -> None:
        # A cancelled attempt that was sent again has nothing to say any more.
        if self._attempts.pop(key, None) is not None:
            self._outcomes.put(self._end(ref, future))

    def _end(self, ref: ShardRef, future: Any) -> Outcome:
        try:
            if future.status == "finished":
                return outcome_of(ref, future.result(timeout=30))
            if future.status == "error":
                error = future.exception(timeout=30)
                lost = type(error).__name__ == "KilledWorker"
                kind = OutcomeKind.LOST if lost else OutcomeKind.FAILED
                return Outcome(ref, kind, reason=f"{type(error).__name__}: {error}"[:500])
            return Outcome(ref, OutcomeKind.LOST, reason=f"the task was {future.status}")
        except (OSError, TimeoutError, asyncio.CancelledError) as error:
            return Outcome(ref, OutcomeKind.LOST, reason=f"{type(error).__name__}: {error}")
        finally:
            future.release()

    def next_outcome(self, timeout_seconds: float) -> Outcome | None:
        """The next attempt that ended; raises ClusterError where the scheduler is gone."""
        self.slots()
        try:
            return self._outcomes.get(timeout=timeout_seconds)
        except queue.Empty:
            if self._client.status not in ("running", "connecting"):
                raise ClusterError(f"the client is {self._client.status}") from None
            return None

    def submit_entry(self, entry: Entry, *, limits: Limits) -> EntryHandle:
        """Sends an urgent entry, past all shards, to the worker that has most room for it."""
        return self._urgent.submit(entry, limits)

    def where(self) -> dict[str, str]:
        """Which worker has which attempt."""
        processing = self._client.processing().items()
        return {str(key): worker for worker, keys in processing for key in keys}

    def drain(self) -> None:
        """Tells every worker to start no other entry; works beside a running shard."""
        with contextlib.suppress(OSError, TimeoutError):
            self._client.run(plugin.drain, self._run, wait=False)

    def close(self) -> None:
        """Lets go of the scheduler; ends an embedded cluster."""
        if hasattr(self, "_urgent"):
            self._urgent.close()
        for part in (getattr(self, "_client", None), self._embedded):
            if part is not None:
                with contextlib.suppress(OSError, TimeoutError, RuntimeError):
                    part.close(timeout=10)
        if self._early is not None:
            self._early.close()


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Blocks SIGINT and SIGTERM in every thread and process that is started meanwhile.

    A Ctrl-C reaches the whole process group of a terminal: it is the run's to answer, by draining.
    The mask is inherited, by the threads that start an embedded cluster's workers too.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _embed(workers: int) -> LocalCluster:
    # Started while no signal is held: it would let go of them in the thread that needs it first.
    resource_tracker.ensure_running()
    with _signals_held():
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=40,
        )


async def _identity(client: Any) -> Any:
    return await client.scheduler.identity(n_workers=-1)
