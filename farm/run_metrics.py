"""The figures of a run for Prometheus, from what it tells its observers."""

import collections
import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

import farm
from farm.cluster import Outcome, OutcomeKind
from farm.metrics.family import counter, counters, gauge, gauges, info
from farm.observer import Event
from farm.progress import Progress
from farm.record import Status

_STATES = {Event.PAUSED: "paused", Event.RESUMED: "running", Event.DRAINING: "draining"}


class RunMetrics(Collector):
    """An observer that counts over all passes of one command; thread-safe.

    `beat` gives the number of the last heartbeat of the run's lease.
    """

    def __init__(self, run: str, beat: Callable[[], int]) -> None:
        self._run = run
        self._beat = beat
        self._last_beat = -1
        self._beaten_at = time.monotonic()
        self._lock = threading.Lock()
        self._entries: collections.Counter[str] = collections.Counter()
        self._failures: collections.Counter[str] = collections.Counter()
        self._attempts: collections.Counter[str] = collections.Counter()
        self._pictures = self._bytes_read = self._bytes_written = 0
        self._progress: Progress | None = None
        self._state = "running"

    def progressed(self, progress: Progress) -> None:
        """Keeps the newest."""
        self._progress = progress
        self._look_at_lease()

    def noticed(self, message: str, *, event: Event = Event.NOTICE, shard: str = "") -> None:
        """Keeps whether the run is paused or draining."""
        self._state = _STATES.get(event, self._state)

    def settled(self, outcome: Outcome) -> None:
        """Counts an attempt, and its entries where it committed them."""
        summary = outcome.summary
        with self._lock:
            self._attempts[outcome.kind.value] += 1
            if outcome.kind is not OutcomeKind.COMMITTED or summary is None or summary.was_done:
                return
            self._entries.update(summary.counts)
            self._failures.update(summary.codes)
            self._pictures += summary.pictures
            self._bytes_read += summary.bytes_read
            self._bytes_written += summary.bytes_written

    def collect(self) -> Iterator[Metric]:
        """All families; see docs/metrics.md."""
        self._look_at_lease()
        names = {"run": self._run, "version": farm.__version__}
        yield info("farm_run", "Which run this is.", names)
        with self._lock:
            counted = list(self._counted())
        yield from counted
        yield from self._now()

    def _look_at_lease(self) -> None:
        beat = self._beat()
        if beat != self._last_beat:
            self._last_beat, self._beaten_at = beat, time.monotonic()

    def _counted(self) -> Iterator[Metric]:
        yield counters(
            "farm_entries", "Entries that were settled.", "status", self._entries, known=Status
        )
        yield counters("farm_failures", "Entries that failed, by code.", "code", self._failures)
        yield counter("farm_pictures", "Pictures that were stored.", self._pictures)
        yield counter("farm_read_bytes", "Bytes read of sources.", self._bytes_read)
        yield counter("farm_written_bytes", "Bytes of stored pictures.", self._bytes_written)
        yield counters(
            "farm_shard_attempts",
            "Attempts at shards, by how they ended.",
            "outcome",
            self._attempts,
            known=OutcomeKind,
        )

    def _now(self) -> Iterator[Metric]:
        progress = self._progress
        states = {state: float(state == self._state) for state in _STATES.values()}
        yield gauges("farm_run_state", "1 for what the run is at.", "state", states)
        yield gauge(
            "farm_lease_heartbeat_age_seconds",
            "Since the last sign of life in the ledger's lease.",
            time.monotonic() - self._beaten_at,
        )
        if progress is None:
            return
        shards = {"todo": progress.shards_todo, "in_flight": progress.shards_in_flight}
        yield gauges("farm_shards", "Shards that are planned and not committed.", "state", shards)
        yield gauge("farm_slots", "Shards that can be worked on at once.", progress.slots)
        yield gauge("farm_pass_number", "The pass that is walked.", progress.pass_number)
        yield gauge("farm_pass_rows", "Rows that this command has to do in it.", progress.rows)
        yield gauge("farm_pass_entries", "Rows of these that are settled.", progress.entries)
        yield gauge(
            "farm_remaining_seconds", "How long the pass will take yet.", progress.seconds_left
        )
