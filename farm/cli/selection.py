"""Which records of a ledger a person asks for, and the few that are worth a look."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from farm.errors import InvalidJobError, error_classes
from farm.history import final_tables
from farm.ledger import Ledger
from farm.record import STAGES, Status


@dataclass(frozen=True, slots=True)
class Selection:
    """Records of one status, or with one error code, or all."""

    status: Status | None = None
    code: str | None = None

    @classmethod
    def of(cls, status: str | None, code: str | None) -> Self:
        """The selection that a command's options name; raises InvalidJobError for unknown ones."""
        if status is not None and status not in set(Status):
            raise InvalidJobError(
                f"--status: expected one of {', '.join(Status)}; received {status!r}"
            )
        if code is not None and code not in error_classes():
            raise InvalidJobError(
                f"--code: expected one of {', '.join(error_classes())}; received {code!r}"
            )
        return cls(None if status is None else Status(status), code)

    @property
    def is_everything(self) -> bool:
        """Whether all records are meant."""
        return self.status is None and self.code is None

    def filter(self, table: pa.Table) -> pa.Table:
        """The rows of a table, with `status` and `error_code`, that are meant."""
        if self.status is not None:
            table = table.filter(pc.equal(table["status"], self.status.value))
        if self.code is not None:
            table = table.filter(pc.equal(table["error_code"], self.code))
        return table


def chosen_tables(
    ledger: Ledger, selection: Selection, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """The newest records that are meant, as tables, newest pass first."""
    wanted = None if columns is None else [*columns, "status", "error_code"]
    return (selection.filter(table) for table in final_tables(ledger, wanted))


def chosen(ledger: Ledger, selection: Selection, columns: list[str]) -> Iterator[dict[str, Any]]:
    """The newest records that are meant, some columns of each, newest pass first."""
    for table in chosen_tables(ledger, selection, columns):
        yield from table.to_pylist()


def examples(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """One record of each error code."""
    found: dict[str, dict[str, Any]] = {}
    for record in chosen(ledger, Selection(), ["row", "source", "message"]):
        if record["error_code"] is not None:
            found.setdefault(record["error_code"], record)
    return found


def slowest(ledger: Ledger, selection: Selection, count: int) -> list[tuple[float, dict[str, Any]]]:
    """The records that took longest, with how many milliseconds that was."""
    records = chosen(ledger, selection, ["row", "source", "timings_ms"])
    timed = ((_milliseconds(record["timings_ms"]), record) for record in records)
    return heapq.nlargest(count, timed, key=lambda pair: pair[0])


def _milliseconds(timings: dict[str, float | None]) -> float:
    """What an entry took; of one that failed no stage is known, but its time in a lane."""
    return max(sum(timings.get(stage) or 0.0 for stage in STAGES), timings.get("lane") or 0.0)
