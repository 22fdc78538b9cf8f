"""The status of a run: what it tells of itself to whoever can read its ledger.

    LEDGER/status.json    the newest one; rewritten every 10 s by the run that holds the lease

Commands show it, and the next run counts on from it. Nothing depends on it: what is true are the
results; see `lookout`.
"""

import collections
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from farm import storage
from farm.errors import LaneError, RunConflictError, SourceNotFoundError
from farm.history import Totals, retryable_codes
from farm.holder import Holder
from farm.ledger import PassReason
from farm.ledger_form import read_json, to_json
from farm.pace import EntryUnderWay
from farm.record import Status

# Whose entries a derived pass takes up.
_TAKEN_UP = {
    PassReason.RETRY: Status.FAILED,
    PassReason.RETRYABLE: Status.FAILED,
    PassReason.DEFERRED: Status.DEFERRED,
    PassReason.REPAIR: Status.OK,
}


class LiveState(StrEnum):
    """What a run is at.

    `new`: none has begun. `paused`: no shard is sent, by a wish or while the surroundings fail.
    `stopped`: it ended before all was done; the same command goes on. `gone`: it ended without
    saying so.
    """

    NEW = "new"
    PLANNING = "planning"
    RUNNING = "running"
    PAUSED = "paused"
    DRAINING = "draining"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    GONE = "gone"

    @property
    def is_alive(self) -> bool:
        """Whether there is a run that works, or will when it may."""
        return self in (self.PLANNING, self.RUNNING, self.PAUSED, self.DRAINING)


class Example(BaseModel):
    """One failed entry, for all with its code."""

    model_config = ConfigDict(frozen=True)

    row: int
    source: str
    message: str


class PassFigures(BaseModel):
    """What one pass has done so far; `rows` is None while it is being planned.

    With `is_estimate` some of its shards were counted by what others hold.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    reason: PassReason
    rows: int | None = None
    shards: int = 0
    counts: dict[str, int] = {}
    codes: dict[str, int] = {}
    pictures: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    is_estimate: bool = False

    @property
    def entries(self) -> int:
        """Entries that this pass settled, deferred ones too."""
        return sum(self.counts.values())

    def plus(self, more: "PassFigures", *, times: float = 1.0) -> "PassFigures":
        """These and `more`, which stands for so many times what it holds."""

        def both(mine: dict[str, int], others: dict[str, int]) -> dict[str, int]:
            summed = collections.Counter(mine)
            summed.update({name: round(count * times) for name, count in others.items()})
            return dict(summed.most_common())

        return self.model_copy(
            update={
                "shards": self.shards + round(more.shards * times),
                "counts": both(self.counts, more.counts),
                "codes": both(self.codes, more.codes),
                "pictures": self.pictures + round(more.pictures * times),
                "bytes_read": self.bytes_read + round(more.bytes_read * times),
                "bytes_written": self.bytes_written + round(more.bytes_written * times),
                "is_estimate": self.is_estimate or more.is_estimate or times != 1.0,
            }
        )


class RunStatus(BaseModel):
    """All that is told of a run.

    `heard` names the last wish that it took note of, `beat` counts its statuses. `entries`,
    `counts` and `codes` are those of the newest pass over the manifest and all derived from it;
    `entries_per_second` is the rate of the last five minutes. `age_seconds` is for how long nothing
    newer has come, as of reading.
    """

    model_config = ConfigDict(frozen=True)

    state: LiveState
    reason: str = ""
    ledger: str = ""
    lease: int = 0
    holder: Holder | None = None
    started: str = ""
    seconds: float = 0.0
    beat: int = 0
    heard: str | None = None
    passes: tuple[PassFigures, ...] = ()
    entries: int = 0
    carried: int = 0
    counts: dict[str, int] = {}
    codes: dict[str, int] = {}
    examples: dict[str, Example] = {}
    pictures: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    shards_in_flight: int = 0
    shards_todo: int = 0
    slots: int = 0
    entries_per_second: float = 0.0
    seconds_left: float | None = None
    oldest: EntryUnderWay | None = None
    cost: dict[str, Any] | None = None
    age_seconds: float | None = None

    def with_passes(self, passes: Iterable[PassFigures], carried: int = 0) -> "RunStatus":
        """This with the figures of these passes and the sums over them."""
        figures = tuple(passes)
        counts = _standing_counts(figures)
        return self.model_copy(
            update={
                "passes": figures,
                "entries": sum(counts.values()) + carried,
                "carried": carried,
                "counts": counts,
                "codes": _standing_codes(figures),
                "pictures": sum(one.pictures for one in figures),
                "bytes_read": sum(one.bytes_read for one in figures),
                "bytes_written": sum(one.bytes_written for one in figures),
            }
        )

    def with_totals(self, totals: Totals) -> "RunStatus":
        """This with what was counted from all records when the run was over."""
        names = ("entries", "carried", "counts", "codes", "pictures", "bytes_read", "bytes_written")
        return self.model_copy(update={name: getattr(totals, name) for name in names})


def _standing_counts(passes: Iterable[PassFigures]) -> dict[str, int]:
    """Entries by how they ended last: what a derived pass settles was something else before."""
    counts: collections.Counter[str] = collections.Counter()
    for one in passes:
        counts.update(one.counts)
        if one.reason in _TAKEN_UP:
            counts[_TAKEN_UP[one.reason].value] -= one.entries
    return dict((+counts).most_common())


def _standing_codes(passes: Iterable[PassFigures]) -> dict[str, int]:
    """Failures by code, without those that a later pass takes up."""
    codes: collections.Counter[str] = collections.Counter()
    # Who ended lanes is in quarantine, which no pass takes up.
    quarantine = {error.code for error in LaneError.__subclasses__()}
    for one in passes:
        if one.reason is PassReason.RETRY:
            _drop(codes, set(codes) - quarantine)
        elif one.reason is PassReason.RETRYABLE:
            _drop(codes, retryable_codes() - quarantine)
        codes.update(one.codes)
    return dict(codes.most_common())


def _drop(codes: "collections.Counter[str]", gone: Iterable[str]) -> None:
    for code in gone:
        codes.pop(code, None)


def put_status(ledger: str, status: RunStatus) -> None:
    """Stores a status, over the one before."""
    fields = status.model_dump(mode="json", exclude={"age_seconds"})
    storage.put(status_uri(ledger), to_json(fields))


def read_status(ledger: str) -> RunStatus | None:
    """The stored status, None where there is none.

    Raises RunConflictError for one that this version cannot read.
    """
    uri = status_uri(ledger)
    try:
        return RunStatus.model_validate(read_json(storage.get(uri), uri))
    except SourceNotFoundError:
        return None
    except (ValidationError, ValueError, AttributeError):
        raise RunConflictError(f"{uri} is not what a run of this version writes") from None


def status_uri(ledger: str) -> str:
    """Where the status of a ledger's run is."""
    return storage.join(ledger, "status.json")
