"""A worker: shards, whose records it commits, and beside them urgent entries.

The worker never touches the bytes of a source itself and imports no codec and no torch: those live
in lanes. It keeps the clock, talks to the stores, and is the only one that writes the ledger.
"""

import collections
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial

from farm import journal, storage
from farm.drain import Drains
from farm.effort import Effort
from farm.errors import FarmError, StoreError
from farm.isolation import LanePool
from farm.ledger import Ledger, ShardRef
from farm.machine import usable_cores
from farm.meter import Meter
from farm.pace import EntryUnderWay, Pace, WorkerPace
from farm.record import Record
from farm.settings import Limits, Settings
from farm.shard import ShardWalk
from farm.spec import Entry, Job
from farm.summary import Summary
from farm.throttle import Throttles
from farm.trail import LOSSES_BEFORE_MARKS, Trail
from farm.urgent import UrgentEntry

# So many urgent entries are opened or stored beside those that are in lanes.
_URGENT_BESIDE = 8
_CANCELLED_KEPT = 1000


class Worker:
    """What one worker process keeps between shards: its lanes and the runs that it is draining.

    `gpu_lost` is called with the cause when a GPU is given up: the worker should then leave.
    `entry_slots` is how many urgent entries are worth having here at once, `entry_threads` runs
    them. `meter` counts what ends here, where somebody wants to know.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        zygote_address: str | None = None,
        gpu_lost: Callable[[str], object] = lambda cause: None,
        meter: Meter | None = None,
    ) -> None:
        self.meter = meter
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._drains = Drains()
        self.throttles = Throttles()
        self.pool = LanePool(
            lanes=settings.lanes or usable_cores(),
            reserved=settings.reserved_lanes,
            rules=settings.lane_rules,
            zygote_address=zygote_address,
            gpus=settings.gpus,
            gpu_seats=settings.gpu_seats,
            gpu_lost=gpu_lost,
            meter=meter,
        )
        self.entry_slots = self.pool.lanes + settings.reserved_lanes + _URGENT_BESIDE
        self.entry_threads = ThreadPoolExecutor(self.entry_slots, "farm-urgent")
        self._entries: dict[str, UrgentEntry] = {}
        self._cancelled: collections.deque[str] = collections.deque(maxlen=_CANCELLED_KEPT)
        self._shards_under_way = 0
        # Of the shards under way, with the run, by the thread that has each.
        self._paces: dict[int, tuple[str, Pace]] = {}
        self._counting = threading.Lock()
        # Held by the shard whose entries begin: the older one goes first.
        self._taking = threading.Lock()
        self._walks = 0
        self._walk_ended = threading.Condition()

    def drain(self, run: str) -> None:
        """Lets no new entry of a run start; its shards commit what they have."""
        self._drains.begin(run)

    def leave(self, seconds: float) -> None:
        """Lets no new entry start at all; those under way, urgent ones too, have some seconds."""
        self._drains.begin_all(seconds)

    @property
    def is_leaving(self) -> bool:
        """Whether this worker takes no more work."""
        return self._drains.is_of_all

    def close(self) -> None:
        """Ends the lanes; urgent entries under way end as `deferred`."""
        with self._counting:
            entries = list(self._entries.values())
        for entry in entries:
            entry.cancel()
        self.entry_threads.shutdown(wait=False, cancel_futures=True)
        self.pool.close()

    @property
    def is_busy(self) -> bool:
        """Whether a shard or an urgent entry is under way."""
        return self._shards_under_way > 0 or bool(self._entries)

    def pace(self, run: str) -> WorkerPace:
        """How all shards under way get on, and the oldest entry of those of one run."""
        with self._counting:
            paces = list(self._paces.values())
        overdue = max((pace.overdue_seconds for _, pace in paces), default=0.0)
        ages = [age for whose, pace in paces if whose == run and (age := pace.oldest())]
        if not ages:
            return WorkerPace(overdue)
        seconds, row = max(ages, key=lambda age: age[0])
        source = row.fields.get("source") if row.fields is not None else None
        name = storage.redact(source) if isinstance(source, str) else ""
        return WorkerPace(overdue, EntryUnderWay(row.number, name, self.name, seconds))

    def run_entry(self, entry: Entry, limits: Limits, key: str) -> Record:
        """Makes one urgent entry, which `cancel_entry` knows by its key; never raises for it.

        Its record is `deferred` where it was cancelled.
        """
        work = UrgentEntry(self.pool, entry, limits=limits, worker=self.name)
        with self._counting:
            self._entries[key] = work
            if key in self._cancelled:
                work.cancel()
        try:
            record = work.run()
        finally:
            with self._counting:
                del self._entries[key]
        self._note(record)
        return record

    def cancel_entry(self, key: str) -> None:
        """Ends an urgent entry, also one that has yet to come: messages may overtake each other."""
        with self._counting:
            self._cancelled.append(key)
            work = self._entries.get(key)
        if work is not None:
            work.cancel()

    def run_shard(
        self,
        ref: ShardRef,
        *,
        run: str,
        is_final: bool,
        last_taken: Callable[[], object] = lambda: None,
    ) -> Summary:
        """Carries out one attempt at a shard, for the `farm run` that is called `run`.

        With `is_final` it commits even where the environment seems to be the cause of most
        failures. A store that fails the ledger itself blocks it in any case. `last_taken` is called
        when no entry is left to begin: another shard may begin meanwhile. Raises the FarmError of a
        ledger that is unusable for another cause.
        """
        with self._counted():
            try:
                summary = self._attempt(ref, run, is_final, last_taken)
            except FarmError as error:
                if not error.environment and not isinstance(error, StoreError):
                    raise
                summary = Summary(ref.name, committed=False, worker=self.name).blocked(error)
        if journal.is_on():
            journal.tell_attempt(summary, run=run, pass_number=ref.number)
        return summary

    def _note(self, record: Record, **where: object) -> None:
        """Counts an entry that ended here, and logs one that failed."""
        if self.meter is not None:
            self.meter.entry_ended(record)
        if record.error_code is not None and journal.is_on():
            journal.tell_failure(record, **where)

    @property
    def under_way(self) -> dict[str, int]:
        """Shards and urgent entries that are under way."""
        return {"shards": self._shards_under_way, "urgent_entries": len(self._entries)}

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._counting:
            self._shards_under_way += 1
        try:
            yield
        finally:
            with self._counting:
                self._shards_under_way -= 1
                self._paces.pop(threading.get_ident(), None)

    def _attempt(
        self, ref: ShardRef, run: str, is_final: bool, last_taken: Callable[[], object]
    ) -> Summary:
        ledger = _ledger(ref.ledger)
        if ledger.is_committed(ref):
            return Summary(ref.name, committed=False, was_done=True, worker=self.name)
        trail = Trail(ledger, ref, run) if ref.losses >= LOSSES_BEFORE_MARKS else None
        job = _job(ref.ledger, ref.number)
        walk = ShardWalk(
            self.pool,
            job,
            ledger.read_shard(ref),
            worker=self.name,
            drain_ends=lambda: self._drains.ends(run, job.settings.drain_seconds),
            is_final=is_final,
            trail=trail,
            ended=partial(self._note, run=run, pass_number=ref.number, shard=ref.name),
        )
        walk.throttle = self.throttles.of(run)
        with self._counting:
            self._paces[threading.get_ident()] = (run, walk.pace)
        # Only from here on: what opening a ledger and loading its library take, they take once.
        began, started = time.time(), time.monotonic()
        records = self._walked(walk, last_taken, trail)
        if not walk.has_begun and self._drains.is_of(run):
            # Left as it is: committing that nothing was tried would only make work for later.
            return Summary(ref.name, committed=False, blocked_by="drain", worker=self.name)
        effort = Effort(self.name, began, time.monotonic() - started, self.pool.lanes)
        summary = Summary.of(ref.name, records, effort)
        if walk.blocked_by is not None:
            return summary.blocked(walk.blocked_by)
        committed = ledger.commit(ref, records, effort)
        return replace(summary, committed=committed, was_done=not committed)

    def _walked(
        self, walk: ShardWalk, last_taken: Callable[[], object], trail: Trail | None
    ) -> list[Record]:
        with contextlib.ExitStack() as turn:
            turn.enter_context(self._taking)
            if trail is not None:
                return self._walked_alone(walk, trail)

            def pass_on() -> None:
                turn.close()
                last_taken()

            with self._walking():
                return walk.run(last_taken=pass_on)

    def _walked_alone(self, walk: ShardWalk, trail: Trail) -> list[Record]:
        """Walks while no other shard does: what kills the worker is then in this one."""
        with self._walk_ended:
            self._walk_ended.wait_for(lambda: self._walks == 0)
        with self._walking():
            try:
                return walk.run()
            finally:
                trail.end()

    @contextlib.contextmanager
    def _walking(self) -> Iterator[None]:
        with self._walk_ended:
            self._walks += 1
        try:
            yield
        finally:
            with self._walk_ended:
                self._walks -= 1
                self._walk_ended.notify_all()


@lru_cache(maxsize=8)
def _ledger(uri: str) -> Ledger:
    """A ledger, which remembers the part of a plan that was read last."""
    return Ledger(uri, storage)


@lru_cache(maxsize=8)
def _job(ledger: str, number: int) -> Job:
    return Job.model_validate(_ledger(ledger).read_pass(number).job)
