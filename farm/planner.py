"""The planner: a pass's rows, cut into shards and stored part by part while work goes on."""

import collections
import contextlib
import itertools
import random
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from farm.cut import cut_shards, shards_in_part
from farm.dialects.native import parse_row
from farm.done_entries import DoneEntries
from farm.errors import InvalidEntryError, InvalidManifestError
from farm.history import RETRIED, retryable_codes, rows_to_redo
from farm.ledger import Ledger, Part, Pass, PassReason, PlanSeal, ShardRef
from farm.options import RunOptions
from farm.plan import fingerprint
from farm.record import Status
from farm.row import Row
from farm.source_list import SourceList
from farm.spec import Job

_SAMPLE_SEED = 1
_ROWS_AT_ONCE = 4096


class Planner:
    """Cuts the rows of one pass into shards, from where an earlier command left off.

    `pause_seconds` is how long to wait before it is worth trying. Once it is `given_up`, a plan in
    the making ends, without its seal.
    """

    def __init__(
        self, ledger: Ledger, one: Pass, options: RunOptions, *, pause_seconds: float = 0.0
    ) -> None:
        self.pause_seconds = pause_seconds
        self.ledger = ledger
        self.number = one.number
        self.job = Job.model_validate(one.job)
        self._pass = one
        self._options = options
        self._carried = 0
        self._drawn_from: int | None = None
        self.given_up = threading.Event()

    def describe(self) -> str:
        """One line for people."""
        what = {
            PassReason.NEW: "all entries",
            PassReason.CHANGED: "the manifest or the outputs changed: what is not done yet",
            PassReason.FORCED: "all entries once more",
            PassReason.RETRY: "the entries that failed, without those in quarantine",
            PassReason.DEFERRED: "the entries that were left for later",
            PassReason.RETRYABLE: "the entries that failed and may succeed by now",
            PassReason.REPAIR: "the entries whose files are damaged",
        }
        pause = f", after {self.pause_seconds:g} s" if self.pause_seconds else ""
        return f"pass {self.number}: {what[self._pass.reason]}{pause}"

    def is_planned(self) -> bool:
        """Whether the plan is complete."""
        return self.ledger.read_seal(self.number) is not None

    def finish(self) -> None:
        """Marks the pass as done, with the numbers of entries that it left for the next ones."""
        retryable_ends = [(Status.FAILED.value, code) for code in retryable_codes()]
        ends: collections.Counter[tuple[str, str | None]] = collections.Counter()
        for table in self.ledger.tables(self.number, ["status", "error_code"]):
            ends.update(
                zip(table["status"].to_pylist(), table["error_code"].to_pylist(), strict=True)
            )
        deferred = sum(count for (status, _), count in ends.items() if status == Status.DEFERRED)
        retryable = sum(ends[end] for end in retryable_ends)
        self.ledger.finish_pass(self.number, deferred, retryable)

    @contextlib.contextmanager
    def in_background(self) -> Iterator["Planned"]:
        """Plans in a thread of its own, so that work begins with the first part."""
        if self._options.strict:
            self._check_rows()
        planned = Planned(self)
        try:
            yield planned
        finally:
            planned.give_up()

    def _check_rows(self) -> None:
        for row in self._rows(_Begun()):
            if row.error is not None:
                raise InvalidManifestError(f"{self.job.manifest}, row {row.number}: {row.error}")
            assert row.fields is not None
            parse_row(row.fields, number=row.number, job=self.job)

    def plan(self) -> Iterator[tuple[Part, int]]:
        """Stores the missing parts; yields each part with its rows, then seals the plan.

        What is stored stays: it goes on behind the last row of the last part, wherever cutting anew
        would cut today, when more entries may be done than then.
        """
        parts = self.ledger.parts(self.number)
        begun = _Begun()
        for part in parts:
            numbers = self.ledger.part_rows(self.number, part)
            begun = _Begun(begun.shards + part.shards, begun.rows + len(numbers), numbers[-1])
            yield part, len(numbers)
        rows, number = begun.rows, len(parts)
        for shards in self._cut(begun, number):
            count = sum(map(len, shards))
            yield self.ledger.put_part(self.number, number, shards), count
            rows, number = rows + count, number + 1
        seal = PlanSeal(number, rows, self._carried, self._drawn_from)
        self.ledger.seal_plan(self.number, seal)

    def _cut(self, begun: "_Begun", parts: int) -> Iterator[list[list[Row]]]:
        """Parts of shards: small ones first, so that every worker soon has something to do."""
        shards = cut_shards(
            self._rows(begun),
            most_entries=self._pass.shard_entries or self.job.settings.shard_entries,
            most_bytes=self.job.settings.shard_bytes,
            made=begun.shards,
        )
        while part := list(itertools.islice(shards, shards_in_part(parts))):
            yield part
            parts += 1

    def _until_given_up(self, rows: Iterable[Row]) -> Iterator[Row]:
        # Not by parts: a sample, or millions of rows that are done already, give none for long.
        for row in rows:
            if self.given_up.is_set():
                raise _GivenUpError
            yield row

    def _rows(self, begun: "_Begun") -> Iterator[Row]:
        """The rows of the pass behind those that are planned already."""
        match self._pass.reason:
            case PassReason.RETRY:
                return self._behind(rows_to_redo(self.ledger, self.number, RETRIED), begun)
            case PassReason.RETRYABLE:
                codes = retryable_codes()
                redo = rows_to_redo(self.ledger, self.number, (Status.FAILED,), codes)
                return self._behind(redo, begun)
            case PassReason.DEFERRED:
                redo = rows_to_redo(self.ledger, self.number, (Status.DEFERRED,))
                return self._behind(redo, begun)
            case PassReason.REPAIR:
                return iter(())  # its plan was stored with it
            case PassReason.NEW | PassReason.FORCED:
                return self._behind(self._manifest_rows(), begun)
            case PassReason.CHANGED:
                return self._not_done(self._manifest_rows(), begun)

    def _behind(self, rows: Iterator[Row], begun: "_Begun") -> Iterator[Row]:
        """These without the first, as many as are planned: they never change, nor their order."""
        return itertools.islice(rows, begun.rows, None)

    def _manifest_rows(self) -> Iterator[Row]:
        sources = SourceList(self.job.manifest, self.ledger.uri, self.job.destination)
        rows = self._until_given_up(sources.rows(self._pass.manifest))
        if self._options.sample is not None:
            sample, self._drawn_from = _sample(rows, self._options.sample)
            return iter(sample)
        return itertools.islice(rows, self._options.limit)

    def _not_done(self, rows: Iterator[Row], begun: "_Begun") -> Iterator[Row]:
        """The rows behind the last planned one that no earlier pass has done; counts the others."""
        self._carried = -begun.rows
        with DoneEntries(self.ledger, self.number) as done:
            while some := list(itertools.islice(rows, _ROWS_AT_ONCE)):
                ahead = [row for row in some if row.number > begun.last]
                self._carried += len(some) - len(ahead)
                are_done = done.contains([self._fingerprint(row) for row in ahead])
                self._carried += sum(are_done)
                yield from itertools.compress(ahead, (not is_done for is_done in are_done))

    def _fingerprint(self, row: Row) -> str | None:
        """None for a row that makes no sense, which nobody can have done."""
        if row.fields is None:
            return None
        try:
            entry = parse_row(row.fields, number=row.number, job=self.job)
        except InvalidEntryError:
            return None
        return fingerprint(entry, row=row.number)


class _GivenUpError(Exception):
    """Nobody waits for the plan any more."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """How far a stored plan goes: its shards and rows, and the number of its last row."""

    shards: int = 0
    rows: int = 0
    last: int = 0


class Planned:
    """A plan in the making, in a thread of its own.

    `before` names the shards that were committed before this command, None until it has looked.
    """

    def __init__(self, planner: Planner) -> None:
        self.before: frozenset[str] | None = None
        self._planner = planner
        self._lock = threading.Lock()
        self._ready: list[ShardRef] = []
        self._rows = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="farm-planner")
        self._work = self._executor.submit(self._plan)

    def give_up(self) -> None:
        """Ends the planning, which the next command goes on with."""
        self._planner.given_up.set()
        self._executor.shutdown()

    def take(self) -> list[ShardRef]:
        """The shards that were planned since the last call and are not committed.

        Raises whatever stopped the planning.
        """
        # Asked first: what was planned until then is handed out before the error is.
        is_over = self._work.done()
        with self._lock:
            ready, self._ready = self._ready, []
        if is_over and not ready:
            self._work.result()
        return ready

    def is_complete(self) -> bool:
        """Whether all shards have been handed out."""
        is_over = self._work.done() and self._work.exception() is None
        with self._lock:
            return is_over and not self._ready

    def rows(self) -> int | None:
        """Rows that this command has to do, None while planning."""
        return self._rows if self._work.done() else None

    def _plan(self) -> None:
        planner = self._planner
        committed = self.before = frozenset(planner.ledger.committed(planner.number))
        if (seal := planner.ledger.read_seal(planner.number)) is not None:
            self._hand_out(planner.ledger.parts(planner.number), seal.rows, committed)
            return
        with contextlib.suppress(_GivenUpError):
            for part, rows in planner.plan():
                self._hand_out([part], rows, committed)
                if planner.given_up.is_set():
                    return

    def _hand_out(self, parts: list[Part], rows: int, committed: frozenset[str]) -> None:
        refs = self._planner.ledger.shards(self._planner.number, parts)
        todo = [ref for ref in refs if ref.name not in committed]
        # Which rows a shard holds is not read: its share stands for them.
        self._rows += round(rows * len(todo) / max(1, len(refs)))
        with self._lock:
            self._ready += todo


def _sample(rows: Iterable[Row], count: int) -> tuple[list[Row], int]:
    """`count` random rows in their order, the same ones each time, and of how many.

    By Vitter's algorithm R.
    """
    chooser = random.Random(_SAMPLE_SEED)
    kept: list[Row] = []
    seen = 0
    for seen, row in enumerate(rows, 1):
        if len(kept) < count:
            kept.append(row)
        elif (place := chooser.randint(0, seen - 1)) < count:
            kept[place] = row
    return sorted(kept, key=lambda row: row.number), seen
