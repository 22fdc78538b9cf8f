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
import queue
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from farm.cluster import plugin
from farm.cluster.connection import Connection
from farm.cluster.flight import Flight
from farm.cluster.port import EntryHandle, Outcome, OutcomeKind
from farm.cluster.roster import Roster
from farm.cluster.urgent import UrgentEntries
from farm.cluster.watchdog import Watchdog
from farm.errors import ClusterError, FarmError
from farm.ledger import ShardRef
from farm.manners import Manners
from farm.pace import EntryUnderWay
from farm.settings import Limits, Settings
from farm.spec import Entry

_NO_SLOT_SECONDS = 180.0
_LOOK_SECONDS = 2.0
_CONNECT_SECONDS = 5.0
_JOIN_SECONDS = 30.0
# What connecting, and setting workers up, may end in.
_CAUSES = (OSError, TimeoutError, ValueError, RuntimeError, FarmError)


class DaskCluster:
    """Any Dask cluster by the address of its scheduler, or an embedded one without an address.

    `tls` is what `farm certs` made. `notice` is told, from another thread, what people should know.
    `run` is what workers call it, `manners` how it treats other runs and the stores of its sources.
    `roster` tells of the workers.
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
        manners: Manners = Manners(),
    ) -> None:
        self._run = run or f"farm-{uuid.uuid4().hex[:12]}"
        self._open = functools.partial(
            Connection, settings, scheduler=scheduler, workers=workers, tls=tls
        )
        self._pause_seconds = settings.pause_seconds
        self._stuck_seconds = settings.stuck_seconds
        self._notice = notice
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._rates = manners.rates
        self._sharers: frozenset[str] = frozenset()
        self.roster = Roster(notice)
        self._held: dict[str, Any] = {}
        self._is_drained = False
        self._lost_since = 0.0
        self._last_cause = ""
        self._failure: ClusterError | None = None
        self._is_over = threading.Event()
        self._is_alarmed = threading.Event()  # the keeper should look at once
        self._flight = Flight(
            self._run, manners, ended=self._outcomes.put, alarm=self._is_alarmed.set
        )
        try:
            connection = self._open()
        except _CAUSES as error:
            where = scheduler or "an embedded cluster"
            raise ClusterError(
                f"{where} cannot be used: {type(error).__name__}: {error}"
            ) from error
        self._connection: Connection | None = connection
        self.roster.begin()  # to connect may have taken minutes
        self._flight.connect(connection.client, is_drained=False)
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
                # By a look the connection may have been found to be lost.
                if self._connection is not None:
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
        """Asks the scheduler which workers have lanes and work, and acts on what has changed."""
        try:
            workers, processing = connection.look()
        except ConnectionError as error:
            self._drop(connection, str(error))
            return
        self.roster.read(workers)
        self._held = processing
        self.roster.check(max(_NO_SLOT_SECONDS, self._pause_seconds))
        self._flight.send_unplaced(processing, self.roster.ready)
        self._share_rates(connection)

    def _share_rates(self, connection: Connection) -> None:
        """Tells workers their shares of the rates, where they have become others."""
        sharers = frozenset(self.roster.ready)
        if self._rates.are_limited and sharers != self._sharers:
            self._sharers = sharers
            self._flight.sharers = len(sharers)
            connection.tell(plugin.throttle, self._run, self._rates.share(len(sharers)))

    def _free_stuck(self) -> None:
        """Gives up what workers that got stuck have, and has them started anew."""
        own = self._flight.of_workers(self._held)
        try:
            stuck = self._watchdog.stuck(own)
        except (OSError, TimeoutError):
            return  # the next look tells whether the connection was lost
        for address, cause in stuck.items():
            self._notice(f"the worker at {address} is started anew: {cause}")
            given_up = self._flight.give_up(own[address])
            self._watchdog.restart(address)
            for ref in given_up:
                self._outcomes.put(Outcome(ref, OutcomeKind.LOST, reason=cause))

    def _drop(self, connection: Connection, cause: str) -> None:
        """Lets go of a connection that was lost."""
        if self._is_over.is_set():
            return
        self._connection = None
        self._flight.disconnect()
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
        self._connection = connection
        self.roster.begin()
        self._watchdog = Watchdog(connection.client, self._stuck_seconds, self._run)
        self._urgent.adopt(connection.client)
        self._notice("going on: there is a scheduler again")
        self._flight.connect(connection.client, is_drained=self._is_drained)

    def submit(self, ref: ShardRef, attempt: int, *, is_final: bool) -> None:
        """Starts one attempt."""
        self._flight.submit(ref, attempt, is_final=is_final)

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
