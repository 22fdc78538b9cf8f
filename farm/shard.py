"""The walk over one shard's rows: entries into lanes, pictures into the store, records out."""

import collections
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from farm import storage
from farm.dialects.native import parse_row
from farm.errors import FarmError, InternalError, LaneError
from farm.isolation import Lane, LanePool, Made, made_of, request_of
from farm.plan import fingerprint, make_plans
from farm.record import Artifact, Record, Status
from farm.row import Row
from farm.spec import Entry, ImageFormat, Job

_MESSAGE_CHARACTERS = 500
# So many sources are opened, and results stored, beside the entries that are in lanes.
_EXTRA_THREADS = 2
_RECENT_OUTCOMES = 20
_WATCH_SECONDS = 0.5
_BLOCKED_FRACTION = 0.8
_BLOCKED_LEAST = 3


class ShardWalk:
    """One walk over rows by a few threads.

    `drain_started` tells when the run's drain began, None while it goes on. With `is_final`, causes
    from outside fail entries instead of giving the shard up. After `run`, `blocked_by` is the cause
    for which it was given up.
    """

    def __init__(
        self,
        pool: LanePool,
        job: Job,
        rows: list[Row],
        *,
        worker: str,
        drain_started: Callable[[], float | None],
        is_final: bool,
    ) -> None:
        self._pool = pool
        self._worker = worker
        self._drain_started = drain_started
        self._job = job
        self._settings = job.settings
        self._rows = rows
        self._is_final = is_final or job.settings.pause_seconds == 0
        self._budget_ends = time.monotonic() + job.settings.shard_seconds
        self._lock = threading.Lock()
        self._records: dict[int, Record] = {}
        self._alone: list[tuple[int, Row, LaneError]] = []
        self._in_lanes: set[Lane] = set()
        self._recent: collections.deque[str | None] = collections.deque(maxlen=_RECENT_OUTCOMES)
        self.blocked_by: FarmError | None = None

    def run(self) -> list[Record]:
        """The records of all rows, in order; incomplete where `blocked_by` is set."""
        todo = iter(list(enumerate(self._rows)))
        threads = self._pool.lanes + _EXTRA_THREADS
        with ThreadPoolExecutor(threads, thread_name_prefix="farm-entry") as executor:
            self._await([executor.submit(self._take_rows, todo) for _ in range(threads)])
            self._await([executor.submit(self._retry_each_alone)])
        for index, row in enumerate(self._rows):
            self._records.setdefault(index, _deferred(row))
        return [self._records[index] for index in range(len(self._rows))]

    def _must_stop(self) -> bool:
        return (
            self.blocked_by is not None
            or self._drain_started() is not None
            or time.monotonic() > self._budget_ends
        )

    def _await(self, futures: list[Future[None]]) -> None:
        while wait(futures, _WATCH_SECONDS).not_done:
            self._drop_after_drain()
        for future in futures:
            future.result()

    def _drop_after_drain(self) -> None:
        began = self._drain_started()
        if began is not None and time.monotonic() > began + self._settings.drain_seconds:
            with self._lock:
                for lane in self._in_lanes:
                    lane.kill()

    def _take_rows(self, todo: Iterator[tuple[int, Row]]) -> None:
        # At least one row each, so that a budget that is too small still gets somewhere.
        while self._drain_started() is None:
            with self._lock:
                index, row = next(todo, (-1, None))
            if row is None:
                return
            record, error = self._attempt(row, is_alone=False)
            with self._lock:
                if isinstance(error, LaneError):
                    self._alone.append((index, row, error))
                else:
                    self._records[index] = record
                    self._notice(error)
            if self._must_stop():
                return

    def _notice(self, error: FarmError | None) -> None:
        """Gives the shard up when one cause from outside dominates the recent outcomes."""
        self._recent.append(error.code if error is not None and error.environment else None)
        if error is None or not error.environment or self._is_final:
            return
        alike = self._recent.count(error.code)
        if alike >= max(_BLOCKED_LEAST, _BLOCKED_FRACTION * len(self._recent)):
            self.blocked_by = self.blocked_by or error

    def _retry_each_alone(self) -> None:
        # At least one, whatever is left of the budget: else an entry that uses all of it up, time
        # and again, would be deferred for ever.
        for number, (index, row, first) in enumerate(self._alone):
            if (number and self._must_stop()) or self._drain_started() or self.blocked_by:
                return
            self._records[index] = self._retry_alone(row, first)

    def _retry_alone(self, row: Row, first: LaneError) -> Record:
        """The second and last try of an entry that ended its lane, with no other beside it."""
        record, second = self._attempt(row, is_alone=True)
        if isinstance(second, LaneError):
            if self._drain_started() is not None:
                return _deferred(row)
            return replace(record, status=Status.QUARANTINED, attempts=2, retryable=False)
        note = {"first_attempt": f"{first.code}: {first}"[:_MESSAGE_CHARACTERS]}
        return replace(record, attempts=2, notes=record.notes | note)

    def _attempt(self, row: Row, *, is_alone: bool) -> tuple[Record, FarmError | None]:
        """The record of one row, and its error: a LaneError where a lane was lost."""
        known = replace(_known(row), started=time.time(), worker=self._worker)
        try:
            if row.fields is None:
                return replace(known, status=Status.FAILED, error_code="invalid_entry",
                               message=(row.error or "")[:_MESSAGE_CHARACTERS]), None  # fmt: skip
            entry = parse_row(row.fields, number=row.number, job=self._job)
            known = replace(
                known,
                id=entry.id or "",
                tag=entry.tag,
                fingerprint=fingerprint(entry, row=row.number),
            )
            return self._make(entry, known, is_alone), None
        except FarmError as error:
            return _failed(known, error), error
        except Exception as error:  # noqa: BLE001 - one entry's defect must not end the shard
            ours = InternalError(f"{type(error).__name__}: {error}")
            return _failed(known, ours), ours

    def _make(self, entry: Entry, known: Record, is_alone: bool) -> Record:
        limits = self._settings.limits
        plans = make_plans(entry, known.row, None, limits=limits)
        # The worker's own: a lane that a hostile file took over may lie about anything.
        keys = {(plan.output, shot.index): shot.key for plan in plans for shot in plan.shots}
        began = time.perf_counter()
        with storage.open_source(entry.source, expected_size=entry.size, limits=limits) as source:
            fetched = time.perf_counter()
            request = request_of(
                "make",
                entry,
                row=known.row,
                limits=limits,
                size_bytes=source.size,
                name=known.source,
            )
            with self._pool.lease(fresh=is_alone) as lane, self._watched(lane):
                reply = lane.call(
                    request,
                    fd=source.fd,
                    read_at=source.read_at,
                    timeout_seconds=entry.timeout_seconds,
                )
                made = made_of(reply, keys)
            answered = time.perf_counter()
            # Of a local file only the lane knows; a remote one is read in larger blocks than asked.
            bytes_read = made.bytes_read if source.fd is not None else source.bytes_read
            requests = source.requests
        artifacts = _store(entry, keys, made, reply.payload)
        own_timings = {
            "fetch": (fetched - began) * 1e3,
            "store": (time.perf_counter() - answered) * 1e3,
        }
        return replace(
            known,
            status=Status.OK,
            engine=made.engine,
            engine_version=made.engine_version,
            fallback=made.fallback,
            warnings=tuple(made.warnings),
            artifacts=artifacts,
            bytes_read=bytes_read,
            requests=requests,
            timings_ms=made.timings_ms | own_timings,
            notes=made.notes,
        )

    def _watched(self, lane: Lane) -> "_InLane":
        return _InLane(self._lock, self._in_lanes, lane)


@dataclass(frozen=True, slots=True)
class _InLane:
    """Keeps a lane in the set of those that a drain may drop."""

    lock: threading.Lock
    lanes: set[Lane]
    lane: Lane

    def __enter__(self) -> None:
        with self.lock:
            self.lanes.add(self.lane)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.lanes.discard(self.lane)


def _known(row: Row) -> Record:
    source = row.fields.get("source") if row.fields is not None else None
    return Record(
        row=row.number,
        status=Status.FAILED,
        source=storage.redact(source) if isinstance(source, str) else "",
    )


def _deferred(row: Row) -> Record:
    return replace(_known(row), status=Status.DEFERRED, attempts=0)


def _failed(known: Record, error: FarmError) -> Record:
    return replace(
        known,
        status=Status.FAILED,
        error_code=error.code,
        message=str(error)[:_MESSAGE_CHARACTERS],
        retryable=error.retryable or error.environment,
    )


def _store(
    entry: Entry, keys: Mapping[tuple[int, int], str], made: Made, payload: bytes
) -> tuple[Artifact, ...]:
    """Stores the pictures and says where they are."""
    stored = []
    offset = 0
    for picture in made.thumbnails:
        data = payload[offset : offset + picture.size_bytes]
        offset += len(data)
        sha256 = hashlib.sha256(data).hexdigest()
        image_format = entry.outputs[picture.output].format
        uri = storage.join(entry.destination, keys[picture.output, picture.index])
        storage.put(uri, data, content_type=_CONTENT_TYPES[image_format], sha256=sha256)
        stored.append(
            Artifact(
                uri=storage.redact(uri),
                output=picture.output,
                index=picture.index,
                size_bytes=picture.size_bytes,
                sha256=sha256,
                width=picture.width,
                height=picture.height,
                format=image_format.value,
                pts_seconds=picture.pts_seconds,
            )
        )
    return tuple(stored)


_CONTENT_TYPES = {
    ImageFormat.JPG: "image/jpeg",
    ImageFormat.PNG: "image/png",
    ImageFormat.WEBP: "image/webp",
}
