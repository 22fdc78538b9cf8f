"""The cluster port over Dask: any scheduler by its address, or an embedded cluster.

Dask places work and watches workers. Attempts, draining and time limits are the run's own, because
Dask's `retries`, `lifetime` and `retire_workers` restart a task that is under way or do nothing for
a worker that died.

A worker takes one shard at a time, whatever its threads. When the last entry of one has begun, its
task secedes, which makes room for the next: no lane waits for the last entries and the commit.

A scheduler that is gone takes all of its tasks along. A thread of this module's, the keeper, looks
after the connection, waits for a scheduler at the same address, and sends again what was under way.
"""

import functools
import itertools
import queue
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from farm.cluster import plugin
from farm.cluster.attempt import Attempt, end_of
from farm.cluster.connection import Connection
from farm.cluster.port import EntryHandle, Outcome, OutcomeKind
from farm.cluster.roster import Roster
from farm.cluster.urgent import UrgentEntries
from farm.cluster.watchdog import Watchdog
from farm.errors import ClusterError, FarmError
from farm.ledger import ShardRef
from farm.pace import EntryUnderWay
from farm.settings import Limits, Settings
from farm.spec import Entry

_NO_SLOT_SECONDS = 180.0
_LOOK_SECONDS = 2.0
_CONNECT_SECONDS = 5.0
_JOIN_SECONDS = 30.0
# What a task is while nobody has said how it ended.
_UNDECIDED = ("pending", "cancelled", "lost")
# What connecting, and setting workers up, may end in.
_CAUSES = (OSError, TimeoutError, ValueError, RuntimeError, FarmError)


class DaskCluster:
    """Any Dask cluster by the address of its scheduler, or an embedded one without an address.

    `tls` is what `farm certs` made. `notice` is told, from another thread, what people should know.
    `run` is what workers call it. `roster` tells of them.
    All methods raise ClusterError once the scheduler was gone for `settings.pause_seconds`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        scheduler: str | None = None,
        workers: int = 1,
        tls: Path | None = None,
        notice: Callable[[str], object] = lambda message: None,
        run: str | None = None,
    ) -> None:
        self._run = run or f"farm-{uuid.uuid4().hex[:12]}"
        self._open = functools.partial(
            Connection, settings, scheduler=scheduler, workers=workers, tls=tls
        )
        self._pause_seconds = settings.pause_seconds
        self._stuck_seconds = settings.stuck_seconds
        self._notice = notice
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._attempts: dict[str, Attempt] = {}
        self._unsent: list[Attempt] = []
        self.roster = Roster(notice)
        self._held: dict[str, Any] = {}
        self._unplaced: set[str] = set()
        self._serial = itertools.count(1)
        self._is_drained = False
        self._lost_since = 0.0
        self._last_cause = ""
        self._failure: ClusterError | None = None
        self._is_over = threading.Event()
        self._is_alarmed = threading.Event()  # the keeper should look at once
        try:
            connection = self._open()
        except _CAUSES as error:
            where = scheduler or "an embedded cluster"
            raise ClusterError(
                f"{where} cannot be used: {type(error).__name__}: {error}"
            ) from error
        self._connection: Connection | None = connection
        self._watchdog = Watchdog(connection.client, self._stuck_seconds, self._run)
        self._urgent = UrgentEntries(connection.client, self._run)
        self.dashboard: str | None = connection.client.dashboard_link or None
        self._keeper = threading.Thread(target=self._keep, name="farm-keeper", daemon=True)
        self._keeper.start()
        self._await_first_slot()

    def _await_first_slot(self) -> None:
        try:
            while self.slots() == 0:
                self.roster.check(_NO_SLOT_SECONDS)
                self._is_alarmed.set()
                time.sleep(0.1)
        except BaseException:
            self.close()
            raise

    def slots(self) -> int:
        """Workers with lanes, as of a few seconds ago; none while the scheduler is gone."""
        if self._failure is not None:
            raise self._failure
        return len(self.roster.ready)

    def _keep(self) -> None:
        """Looks after the connection until the cluster is closed or given up."""
        while self._failure is None and not self._is_over.is_set():
            try:
                if self._connection is None:
                    self._connect_again()
                else:
                    self._look(self._connection)
                    self._free_stuck()
            except ClusterError as error:
                self._give_up(error)
            except Exception as error:  # noqa: BLE001 - nobody else notices that this thread ends
                self._give_up(ClusterError(f"the keeper failed: {error!r}"))
            self._is_alarmed.wait(_LOOK_SECONDS)
            self._is_alarmed.clear()

    def _give_up(self, error: ClusterError) -> None:
        self._failure = error
        self._urgent.fail(error)

    def _look(self, connection: Connection) -> None:
        """Asks the scheduler which workers have lanes and work; sends again what none of them took.

        A task that waits while no worker has a slot is forgotten when one is granted later: the
        scheduler tries such tasks only when a worker joins, and a slot is granted after that.
        """
        try:
            workers, processing = connection.look()
        except ConnectionError as error:
            self._drop(connection, str(error))
            return
        self.roster.read(workers)
        self._held = processing
        self.roster.check(max(_NO_SLOT_SECONDS, self._pause_seconds))
        placed = {str(key) for keys in processing.values() for key in keys}
        is_anyone_idle = any(not processing.get(address) for address in self.roster.ready)
        with self._lock:
            unplaced = {key for key in self._attempts if key not in placed and is_anyone_idle}
            for key in unplaced & self._unplaced:
                self._send_again(key)
        self._unplaced = unplaced - self._unplaced

    def _free_stuck(self) -> None:
        """Gives up what workers that got stuck have, and has them started anew."""
        with self._lock:
            own = {
                address: keys
                for address, held in self._held.items()
                if (keys := [str(key) for key in held if key in self._attempts])
            }
        try:
            stuck = self._watchdog.stuck(own)
        except (OSError, TimeoutError):
            return  # the next look tells whether the connection was lost
        for address, cause in stuck.items():
            self._notice(f"the worker at {address} is started anew: {cause}")
            with self._lock:
                given_up = [
                    self._attempts.pop(key) for key in own[address] if key in self._attempts
                ]
            for attempt in given_up:
                attempt.future.cancel()
            self._watchdog.restart(address)
            for attempt in given_up:
                self._outcomes.put(Outcome(attempt.ref, OutcomeKind.LOST, reason=cause))

    def _drop(self, connection: Connection, cause: str) -> None:
        """Lets go of a connection that was lost."""
        if self._is_over.is_set():
            return
        with self._lock:
            self._connection = None
            self._unsent = [*self._attempts.values(), *self._unsent]
            self._attempts.clear()
        self.roster.forget()
        self._lost_since = time.monotonic()
        self._notice(f"waiting for a scheduler, for up to {self._pause_seconds:g} s: {cause}")
        self._urgent.release()
        connection.close()
        self._is_alarmed.set()

    def _connect_again(self) -> None:
        try:
            connection = self._open(connect_seconds=_CONNECT_SECONDS)
        except _CAUSES as error:
            gone_seconds = time.monotonic() - self._lost_since
            if (cause := f"{type(error).__name__}: {error}") != self._last_cause:
                self._last_cause = cause
                self._notice(f"no scheduler yet: {cause}")
            if gone_seconds > self._pause_seconds:
                raise ClusterError(
                    f"no scheduler for {gone_seconds:.0f} s: {type(error).__name__}: {error}"
                ) from error
            return
        with self._lock:
            self._connection = connection
            unsent, self._unsent = self._unsent, []
        self.roster.begin()
        self._watchdog = Watchdog(connection.client, self._stuck_seconds, self._run)
        self._urgent.adopt(connection.client)
        self._notice("going on: there is a scheduler again")
        for attempt in unsent:
            if self._is_drained:
                # Its workers have forgotten the drain; what is left begins with the next command.
                self._outcomes.put(Outcome(attempt.ref, OutcomeKind.LOST, reason="lost in a drain"))
            else:
                self._send(f"{attempt.key}~", attempt.ref, is_final=attempt.is_final)

    def submit(self, ref: ShardRef, attempt: int, *, is_final: bool) -> None:
        """Starts one attempt, under a key of its own: Dask blames none for another."""
        key = f"{self._run}-{ref.number}-{ref.name}-{attempt}-{next(self._serial)}"
        self._send(key, ref, is_final=is_final)

    def _send(self, key: str, ref: ShardRef, *, is_final: bool) -> None:
        slot = {plugin.SHARD_SLOT: 1}
        with self._lock:
            if self._connection is None:
                self._unsent.append(Attempt(key, ref, is_final))
                return
            future = self._connection.client.submit(
                plugin.run_shard, ref, self._run, is_final, key=key, pure=False, resources=slot
            )
            self._attempts[key] = Attempt(key, ref, is_final, future)
        future.add_done_callback(lambda done: self._settle(ref, key, done))

    def _send_again(self, key: str) -> None:
        attempt = self._attempts[key]
        if attempt.future.status in _UNDECIDED:
            del self._attempts[key]
            attempt.future.cancel()
            self._send(f"{key}~", attempt.ref, is_final=attempt.is_final)

    def _settle(self, ref: ShardRef, key: str, future: Any) -> None:
        with self._lock:
            # An attempt that was sent again has nothing to say any more.
            if key not in self._attempts:
                return
            if future.status == "cancelled":
                # The scheduler forgot it, or the connection was lost: the keeper sends it again.
                self._is_alarmed.set()
                return
            del self._attempts[key]
        self._outcomes.put(end_of(ref, future))

    def next_outcome(self, timeout_seconds: float) -> Outcome | None:
        """The next attempt that ended; raises ClusterError where the scheduler is gone for good."""
        self.slots()
        try:
            return self._outcomes.get(timeout=timeout_seconds)
        except queue.Empty:
            return None

    def submit_entry(self, entry: Entry, *, limits: Limits) -> EntryHandle:
        """Sends an urgent entry, past all shards, to the worker that has most room for it."""
        return self._urgent.submit(entry, limits)

    def where(self) -> dict[str, str]:
        """Which worker has which attempt."""
        connection = self._connection
        if connection is None:
            return {}
        processing = connection.client.processing().items()
        return {str(key): worker for worker, keys in processing for key in keys}

    def oldest_entry(self) -> EntryUnderWay | None:
        """The oldest entry under way, as of the watchdog's last look."""
        return self._watchdog.oldest_entry()

    def drain(self) -> None:
        """Tells every worker to start no other entry; works beside a running shard."""
        self._is_drained = True
        connection = self._connection
        if connection is not None:
            connection.tell(plugin.drain, self._run)

    def close(self) -> None:
        """Lets go of the scheduler; ends an embedded cluster."""
        self._is_over.set()
        self._is_alarmed.set()
        self._keeper.join(_JOIN_SECONDS)
        self._urgent.close()
        if self._connection is not None:
            self._connection.close()
