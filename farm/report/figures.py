"""What a report says in numbers: all records counted, in memory that does not grow with them."""

import collections
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from farm.record import STAGES, Status
from farm.report.histogram import DurationHistogram, EventCounts

# Names come from isolated processes that a file may have taken over: their number is bounded.
_MOST_NAMES = 64
OTHER = "other"


@dataclass(slots=True)
class Figures:
    """Counts, sums and distributions over all records that were added."""

    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    codes: collections.Counter[str] = field(default_factory=collections.Counter)
    engines: collections.Counter[str] = field(default_factory=collections.Counter)
    warnings: collections.Counter[str] = field(default_factory=collections.Counter)
    files: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    retried: int = 0
    stages: dict[str, DurationHistogram] = field(
        default_factory=lambda: {stage: DurationHistogram() for stage in STAGES}
    )
    latencies: dict[str, DurationHistogram] = field(default_factory=dict)
    begun: EventCounts = field(default_factory=EventCounts)

    def add(self, table: pa.Table) -> None:
        """Adds a table of records."""
        if not table.num_rows:
            return
        self._count(table)
        statuses = table["status"]
        is_done = pc.equal(statuses, Status.OK.value).to_numpy()
        failures = pa.array([Status.FAILED.value, Status.QUARANTINED.value])
        is_failed = pc.is_in(statuses, value_set=failures).to_numpy()
        self.begun.add(table["started"].to_numpy(), is_failed)
        self._time(table, is_done)

    @property
    def entries(self) -> int:
        """How many records were added."""
        return self.statuses.total()

    @property
    def failures(self) -> int:
        """How many of them failed, those in quarantine included."""
        return self.statuses[Status.FAILED] + self.statuses[Status.QUARANTINED]

    @property
    def spent_ms(self) -> float:
        """The time that all stages of all entries took together, in milliseconds."""
        return sum(histogram.sum_ms for histogram in self.stages.values())

    def _count(self, table: pa.Table) -> None:
        self.statuses.update(table["status"].to_pylist())
        count_names(self.codes, filter(None, table["error_code"].to_pylist()))
        count_names(self.engines, filter(None, table["engine"].to_pylist()))
        for warnings in filter(None, table["warnings"].to_pylist()):
            count_names(self.warnings, {warning_kind(warning) for warning in warnings})
        artifacts = pc.list_flatten(table["artifacts"].combine_chunks())
        self.files += len(artifacts)
        self.bytes_written += pc.sum(pc.struct_field(artifacts, "size_bytes")).as_py() or 0
        self.bytes_read += pc.sum(table["bytes_read"]).as_py() or 0
        self.retried += pc.sum(pc.greater(table["attempts"], 1)).as_py() or 0

    def _time(self, table: pa.Table, is_done: NDArray[np.bool_]) -> None:
        """Failures end in whatever stage they meet: only entries that are done are timed."""
        timings = table["timings_ms"].combine_chunks()
        total = np.zeros(table.num_rows)
        for stage in STAGES:
            values = pc.struct_field(timings, stage).to_numpy(zero_copy_only=False)
            values = values.astype(np.float64)
            self.stages[stage].add(values[is_done])
            total += np.where(np.isfinite(values), values, 0.0)
        engines = np.array([name or "" for name in table["engine"].to_pylist()])
        for name in set(engines[is_done].tolist()) - {""}:
            known = name if self.engines[name] else OTHER
            histogram = self.latencies.setdefault(known, DurationHistogram())
            histogram.add(total[is_done & (engines == name)])


def warning_kind(warning: str) -> str:
    """What a warning is about; what a library says in its own words is one kind."""
    return warning.partition(":")[0]


def count_names(counter: collections.Counter[str], names: Iterable[str]) -> None:
    """Counts names; past the first 64 new ones count as `other`."""
    for name in names:
        is_known = name in counter or len(counter) < _MOST_NAMES
        counter[name if is_known else OTHER] += 1
