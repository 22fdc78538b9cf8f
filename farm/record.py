"""The record: what happened to one entry, in the columns in which it is stored."""

import json
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import pyarrow as pa

STAGES = ("fetch", "open", "decode", "resize", "encode", "store")
"""What is done with an entry, one after the other."""
# What the stages from `open` to `encode` take in all, and whatever a failed entry took.
_TIMINGS = (*STAGES, "lane")


class Status(StrEnum):
    """How an entry ended.

    `ok`: all pictures are stored. `failed`: an error, of the entry or its surroundings.
    `quarantined`: it ended its lane twice and is not tried again unchanged. `deferred`: not tried,
    left for the next pass by a budget or a drain.
    """

    OK = "ok"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One stored picture; `pts_seconds` is the frame's own time, None for a still."""

    uri: str
    output: int
    index: int
    size_bytes: int
    sha256: str
    width: int
    height: int
    format: str
    pts_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What happened to one entry; `row` is its number in the manifest.

    `fingerprint` is the hash of all that decides the entry's pixels, None where the row could not
    be read. `timings_ms` has a value for each stage that was reached, and for `lane`: how long a
    lane was busy with the entry, also where it failed.
    """

    row: int
    status: Status
    source: str = ""
    id: str = ""
    tag: str | None = None
    fingerprint: str | None = None
    error_code: str | None = None
    message: str | None = None
    retryable: bool = False
    attempts: int = 1
    engine: str | None = None
    engine_version: str | None = None
    fallback: str | None = None
    warnings: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    bytes_read: int = 0
    requests: int = 0
    timings_ms: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0
    worker: str = ""

    def to_row(self) -> dict[str, Any]:
        """The record as a row of `record_schema`."""
        # Not `asdict`, which copies every value of every picture.
        return _values(self, _RECORD_COLUMNS) | {
            "status": self.status.value,
            "warnings": list(self.warnings),
            "artifacts": [_values(artifact, _ARTIFACT_COLUMNS) for artifact in self.artifacts],
            "timings_ms": {name: self.timings_ms.get(name) for name in _TIMINGS},
            "notes": json.dumps(self.notes, sort_keys=True) if self.notes else None,
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The record that a stored row holds."""
        return cls(
            **row
            | {
                "status": Status(row["status"]),
                "warnings": tuple(row["warnings"]),
                "artifacts": tuple(Artifact(**artifact) for artifact in row["artifacts"]),
                "timings_ms": {k: v for k, v in row["timings_ms"].items() if v is not None},
                "notes": json.loads(row["notes"]) if row["notes"] else {},
            }
        )


_RECORD_COLUMNS = tuple(each.name for each in fields(Record))
_ARTIFACT_COLUMNS = tuple(each.name for each in fields(Artifact))


def _values(of: Record | Artifact, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(of, name) for name in names}


@cache
def record_schema() -> "pa.Schema":
    """The Parquet schema of results objects."""
    import pyarrow as pa

    artifact = pa.struct(
        [
            ("uri", pa.string()),
            ("output", pa.int32()),
            ("index", pa.int32()),
            ("size_bytes", pa.int64()),
            ("sha256", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("format", pa.string()),
            ("pts_seconds", pa.float64()),
        ]
    )
    return pa.schema(
        [
            ("row", pa.int64()),
            ("status", pa.string()),
            ("source", pa.string()),
            ("id", pa.string()),
            ("tag", pa.string()),
            ("fingerprint", pa.string()),
            ("error_code", pa.string()),
            ("message", pa.string()),
            ("retryable", pa.bool_()),
            ("attempts", pa.int32()),
            ("engine", pa.string()),
            ("engine_version", pa.string()),
            ("fallback", pa.string()),
            ("warnings", pa.list_(pa.string())),
            ("artifacts", pa.list_(artifact)),
            ("bytes_read", pa.int64()),
            ("requests", pa.int32()),
            ("timings_ms", pa.struct([(name, pa.float32()) for name in _TIMINGS])),
            ("notes", pa.string()),
            ("started", pa.float64()),
            ("worker", pa.string()),
        ]
    )
