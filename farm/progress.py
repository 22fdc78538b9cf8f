"""How far a run is: what was settled, at which rate, and how long the rest will take."""

import collections
import threading
import time
from dataclasses import dataclass, field, replace

from farm.history import Totals
from farm.ledger import PassReason
from farm.pace import EntryUnderWay
from farm.record import Status
from farm.run_status import LiveState, PassFigures
from farm.summary import Summary

_RATE_WINDOW_SECONDS = 60.0
_LONG_RATE_WINDOW_SECONDS = 300.0
# A rate is not told from less: one shard that has just ended would make it anything.
_LEAST_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `rows` is None while the manifest is still being planned.

    `shards_todo` are planned and wait here, `slots` is how many can be worked on at once;
    `shards_before` names those that earlier commands committed, None while that is not known.
    `oldest` is the entry that has been under way for longest.
    """

    rows: int | None
    entries: int
    failures: int
    pictures: int
    entries_per_second: float
    seconds_left: float | None
    shards_in_flight: int
    pass_number: int
    shards_todo: int = 0
    slots: int = 0
    state: LiveState = LiveState.RUNNING
    reason: str = ""
    shards_before: frozenset[str] | None = None
    oldest: EntryUnderWay | None = None


class _Recent:
    """The entries of the last seconds; their sum is kept, for many shards may end in a second."""

    def __init__(self, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._shards: collections.deque[tuple[float, int]] = collections.deque()
        self._entries = 0

    def add(self, entries: int) -> None:
        self._shards.append((time.monotonic(), entries))
        self._entries += entries

    def sum(self, now: float) -> tuple[int, float]:
        """How many entries there are, and when the first of their shards ended; `now` if none."""
        while self._shards and now - self._shards[0][0] > self._window_seconds:
            self._entries -= self._shards.popleft()[1]
        return self._entries, self._shards[0][0] if self._shards else now


class Tally:
    """Counts what the shards of one pass say."""

    def __init__(self, pass_number: int) -> None:
        self.progress = Progress(None, 0, 0, 0, 0.0, None, 0, pass_number)
        self._recent = _Recent(_RATE_WINDOW_SECONDS)

    def count(self, summary: Summary | None) -> None:
        """Adds a shard that was committed, unless another attempt had done so."""
        if summary is None or summary.was_done:
            return
        bad = summary.counts.get(Status.FAILED, 0) + summary.counts.get(Status.QUARANTINED, 0)
        self._recent.add(summary.entries)
        self.progress = replace(
            self.progress,
            entries=self.progress.entries + summary.entries,
            failures=self.progress.failures + bad,
            pictures=self.progress.pictures + summary.pictures,
        )

    def now(self, rows: int | None, *, in_flight: int, todo: int = 0, slots: int = 0) -> Progress:
        """How far it is, with the rate of the last minute."""
        now = time.monotonic()
        done, since = self._recent.sum(now)
        rate = done / max(now - since, _LEAST_SECONDS)
        left = None if rows is None or not rate else max(0, rows - self.progress.entries) / rate
        self.progress = replace(
            self.progress,
            rows=rows,
            entries_per_second=rate,
            seconds_left=left,
            shards_in_flight=in_flight,
            shards_todo=todo,
            slots=slots,
        )
        return self.progress


@dataclass(frozen=True, slots=True)
class Told:
    """All that a run has told up to one moment.

    By pass, `settled` are the figures of this command alone, whatever reason they name, and
    `before` the shards that earlier commands committed. `witnesses` names a shard, by its pass and
    name, for each error code that came up. `missed` are shards, named likewise, of which an attempt
    did not say what is in them, committed or not. `totals` are known when the run is over. The rate
    is that of the last five minutes.
    """

    state: LiveState = LiveState.PLANNING
    reason: str = "it has just begun"
    progress: Progress | None = None
    settled: dict[int, PassFigures] = field(default_factory=dict)
    before: dict[int, frozenset[str]] = field(default_factory=dict)
    witnesses: dict[str, tuple[int, str]] = field(default_factory=dict)
    missed: frozenset[tuple[int, str]] = frozenset()
    totals: Totals | None = None
    entries_per_second: float = 0.0


class RunTally:
    """Counts what the shards of all passes of a command say; told by one thread, read by others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told = Told()
        self._counted: set[tuple[int, str]] = set()
        self._working_since: float | None = None
        self._recent = _Recent(_LONG_RATE_WINDOW_SECONDS)

    def note(self, progress: Progress) -> bool:
        """Notes how far the run is; whether it is at something else than before."""
        with self._lock:
            last = self._told
            names = dict(last.before)
            if progress.shards_before is not None:
                names[progress.pass_number] = progress.shards_before
            self._told = replace(
                last,
                state=progress.state,
                reason=progress.reason,
                progress=progress,
                before=names,
            )
            self._working_since = self._working_since or time.monotonic()
        number = None if last.progress is None else last.progress.pass_number
        was_at = (last.state, last.reason, number)
        return was_at != (progress.state, progress.reason, progress.pass_number)

    def count(self, number: int, summary: Summary) -> None:
        """Adds a shard of a pass that was committed."""
        shard = PassFigures(
            number=number,
            reason=PassReason.NEW,
            shards=1,
            counts=summary.counts,
            codes=summary.codes,
            pictures=summary.pictures,
            bytes_read=summary.bytes_read,
            bytes_written=summary.bytes_written,
        )
        with self._lock:
            settled, witnesses = dict(self._told.settled), dict(self._told.witnesses)
            settled[number] = settled[number].plus(shard) if number in settled else shard
            for code in summary.codes:
                witnesses.setdefault(code, (number, summary.name))
            self._counted.add((number, summary.name))
            self._told = replace(
                self._told,
                settled=settled,
                witnesses=witnesses,
                missed=self._told.missed - {(number, summary.name)},
            )
            self._recent.add(summary.entries)

    def miss(self, number: int, name: str) -> None:
        """Notes that an attempt at a shard was lost, or came after another one had committed it."""
        with self._lock:
            if (number, name) not in self._counted:
                self._told = replace(self._told, missed=self._told.missed | {(number, name)})

    def end(self, state: LiveState, reason: str, totals: Totals | None) -> None:
        """Notes how the run ended."""
        with self._lock:
            self._told = replace(self._told, state=state, reason=reason, totals=totals)

    def now(self) -> Told:
        """All of it, with the rate of the last five minutes, or of the time since it began."""
        now = time.monotonic()
        with self._lock:
            done, _ = self._recent.sum(now)
            since = now if self._working_since is None else self._working_since
            seconds = min(_LONG_RATE_WINDOW_SECONDS, max(now - since, _LEAST_SECONDS))
            return replace(self._told, entries_per_second=done / seconds)
