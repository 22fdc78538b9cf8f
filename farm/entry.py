"""One entry on the worker's side: its source opened, its pictures made in a lane and stored."""

import contextlib
import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from farm import storage
from farm.dialects.native import parse_row
from farm.errors import FarmError, InternalError, LaneCrashError
from farm.isolation import Lane, LanePool, Made, made_of, request_of
from farm.plan import Naming, fingerprint, make_plans
from farm.record import Artifact, Record, Status
from farm.row import Row
from farm.settings import GPU_ENGINES
from farm.spec import Entry, Job
from farm.template import file_format
from farm.throttle import Gate

MESSAGE_CHARACTERS = 500

_CONTENT_TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "vtt": "text/vtt",
    "mp4": "video/mp4",
}


@dataclass(frozen=True, slots=True)
class EntryWork:
    """What making entries takes; `watched` keeps an eye on a lane while it works.

    With `is_urgent` entries go before those of others that wait for a lane. `gate` gives what an
    entry has to pass when it reads its source, None where it may read as fast as it can.
    """

    pool: LanePool
    job: Job
    worker: str
    watched: Callable[[Lane], AbstractContextManager[None]]
    is_urgent: bool = False
    gate: Callable[[], Gate | None] = lambda: None

    def attempt(self, row: Row, *, is_alone: bool) -> tuple[Record, FarmError | None]:
        """The record of one row, and its error: a LaneError where a lane was lost.

        With `is_alone` no other lane of the pool works meanwhile.
        """
        facts = _known(row) | {"started": time.time(), "worker": self.worker}
        try:
            if row.fields is None:
                message = (row.error or "")[:MESSAGE_CHARACTERS]
                failed = Record(
                    **facts, status=Status.FAILED, error_code="invalid_entry", message=message
                )
                return failed, None
            entry, asked = self._asked(row)
            facts |= asked
            made = self._make(entry, row.number, facts, is_alone=is_alone)
            return Record(**facts | made, status=Status.OK), None
        except FarmError as error:
            return _failed(facts, error), error
        except Exception as error:  # noqa: BLE001 - one entry's defect must not end the shard
            ours = InternalError(f"{type(error).__name__}: {error}")
            return _failed(facts, ours), ours

    def given_up(self, row: Row, *, attempts: int) -> Record:
        """The record of a row that killed the workers of so many attempts: quarantine."""
        facts = _known(row) | {"started": time.time(), "worker": self.worker}
        with contextlib.suppress(FarmError):
            facts |= self._asked(row)[1]
        name = facts["source"] or f"row {row.number}"
        error = LaneCrashError(
            f"{name}: the workers of {attempts} attempts died, the last two while this was the "
            "only entry under way"
        )
        record = _failed(facts, error)
        return replace(record, status=Status.QUARANTINED, retryable=False, attempts=attempts)

    def _asked(self, row: Row) -> tuple[Entry, dict[str, Any]]:
        """The entry of a row that can be read, and what a record tells of it."""
        entry = parse_row(row.fields or {}, number=row.number, job=self.job)
        return entry, {
            "id": entry.id or "",
            "tag": entry.tag,
            "fingerprint": fingerprint(entry, row=row.number),
        }

    def _make(
        self, entry: Entry, row: int, facts: dict[str, Any], *, is_alone: bool
    ) -> dict[str, Any]:
        """What a record tells of an entry that was made."""
        limits = self.job.settings.limits
        # Refuses what can be refused before anything is read.
        make_plans(entry, row, None, limits=limits)
        # The worker's own: a lane that a hostile file took over may lie about anything.
        naming = Naming(entry, row, limits)
        began = time.perf_counter()
        opened = storage.open_source(
            entry.source, expected_size=entry.size, limits=limits, gate=self.gate()
        )
        with opened as source:
            fetched = time.perf_counter()
            made, payload = self._ask(naming, source, facts, is_alone=is_alone)
            answered = time.perf_counter()
            # Of a local file only the lane knows.
            bytes_read = source.bytes_read if source.requests else made.bytes_read
        artifacts = _store(naming, made, payload)
        own_timings = {
            "fetch": (fetched - began) * 1e3,
            "store": (time.perf_counter() - answered) * 1e3,
        }
        return {
            "engine": made.engine,
            "engine_version": made.engine_version,
            "fallback": made.fallback,
            "warnings": tuple(made.warnings),
            "artifacts": artifacts,
            "bytes_read": bytes_read,
            "timings_ms": made.timings_ms | facts["timings_ms"] | own_timings,
            "notes": made.notes,
        }

    def _ask(
        self, naming: Naming, source: storage.OpenedSource, facts: dict[str, Any], *, is_alone: bool
    ) -> tuple[Made, bytes]:
        """What a lane made, and its bytes; the facts get what that took, whatever comes of it."""
        entry, limits = naming.entry, self.job.settings.limits
        request = request_of(
            "make",
            entry,
            row=naming.row,
            limits=limits,
            size_bytes=source.size,
            name=facts["source"],
        )
        gpu = _names_gpu_engine(entry)
        lease = self.pool.lease(alone=is_alone, urgent=self.is_urgent, gpu=gpu)
        with lease as lane, self.watched(lane):
            began = time.perf_counter()
            try:
                reply = lane.call(
                    request,
                    fd=source.fd,
                    head=source.head,
                    read_at=source.read_at,
                    timeout_seconds=entry.timeout_seconds,
                    held_seconds=lambda: source.held_seconds,
                )
            finally:
                facts["timings_ms"] = {"lane": (time.perf_counter() - began) * 1e3}
                facts |= {"bytes_read": source.bytes_read, "requests": source.requests}
            return made_of(reply, naming, most=naming.most), reply.payload


def _names_gpu_engine(entry: Entry) -> bool:
    # Not every kind of output has an engine to name.
    return any(getattr(output, "engine", None) in GPU_ENGINES for output in entry.outputs)


def deferred(row: Row) -> Record:
    """The record of a row that is left for the next pass."""
    return Record(**_known(row), status=Status.DEFERRED, attempts=0)


def _known(row: Row) -> dict[str, Any]:
    """What a record tells in any case."""
    source = row.fields.get("source") if row.fields is not None else None
    return {
        "row": row.number,
        "source": storage.redact(source) if isinstance(source, str) else "",
    }


def _failed(facts: dict[str, Any], error: FarmError) -> Record:
    return Record(
        **facts,
        status=Status.FAILED,
        error_code=error.code,
        message=str(error)[:MESSAGE_CHARACTERS],
        retryable=error.retryable or error.environment,
    )


def _store(naming: Naming, made: Made, payload: bytes) -> tuple[Artifact, ...]:
    """Stores the files and says where they are."""
    entry = naming.entry
    stored = []
    offset = 0
    for file in made.files:
        data = payload[offset : offset + file.size_bytes]
        offset += len(data)
        sha256 = hashlib.sha256(data).hexdigest()
        made_format = file_format(entry.outputs[file.output], file.index)
        uri = storage.join(entry.destination, naming.key(file.output, file.index))
        storage.put(uri, data, content_type=_CONTENT_TYPES[made_format], sha256=sha256)
        stored.append(
            Artifact(
                uri=storage.redact(uri),
                output=file.output,
                index=file.index,
                size_bytes=file.size_bytes,
                sha256=sha256,
                width=file.width,
                height=file.height,
                format=made_format,
                pts_seconds=file.pts_seconds,
            )
        )
    return tuple(stored)
