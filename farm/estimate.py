"""What a whole manifest will take, told from a random sample of its entries."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from farm.history import chain
from farm.ledger import Ledger
from farm.ledger_growth import LedgerGrowth, growth_of
from farm.passes import whole_fingerprint
from farm.prices import Usage
from farm.spec import Job
from farm.usage import COLUMNS, lane_ms

CONFIDENCE = 0.9
"""How often an interval holds the truth, where entries are all that differs."""
_LEAST_ENTRIES = 30
# With fewer, lanes that wait for the last entries weigh too much.
_LEAST_ENTRIES_A_LANE = 4

_FIGURES = ("lane_seconds", "busy_seconds", "bytes_read", "requests", "files", "file_bytes")


@dataclass(frozen=True, slots=True)
class Figure:
    """An estimated figure and its interval, which is None where there were too few entries."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an entry of a manifest takes, from `sampled` of its `rows`, None where nobody counted.

    `fingerprint` is that of the run over all of it. `means` and `covariance`, of `sampled` entries,
    are those of the figures that an entry has. `workers` with `lanes` each are those that the run
    had, `start_seconds` what they took to be ready.
    """

    fingerprint: str
    sampled: int
    rows: int | None
    means: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    workers: int
    lanes: float
    start_seconds: float
    growth: LedgerGrowth

    @property
    def least_entries(self) -> int:
        """How many entries it takes to tell how sure an estimate is."""
        return max(_LEAST_ENTRIES, math.ceil(_LEAST_ENTRIES_A_LANE * self.workers * self.lanes))

    def usage(self, entries: int) -> Usage:
        """What so many entries will take."""
        return self._usage(self.means, entries)

    def figure(self, of: Callable[[Usage], float], entries: int) -> Figure:
        """A figure of that usage, linear in it, and how sure it is.

        The interval is that of the mean of a random sample without replacement, by the normal
        distribution (Cochran, Sampling Techniques, chapter 2).
        """
        value = of(self.usage(entries))
        if self.sampled < self.least_entries:
            return Figure(value, None)
        zero = (0.0,) * len(_FIGURES)
        base = of(self._usage(zero, entries))
        weights = np.array(
            [
                of(self._usage((*zero[:index], 1.0, *zero[index + 1 :]), entries)) - base
                for index in range(len(_FIGURES))
            ]
        )
        variance = float(weights @ np.array(self.covariance) @ weights) / self.sampled
        left = 1.0 if self.rows is None else max(0.0, 1 - self.sampled / self.rows)
        reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(max(0.0, variance) * left)
        return Figure(value, (max(0.0, value - reach), value + reach))

    def _usage(self, each: tuple[float, ...], entries: int) -> Usage:
        figures = {name: mean * entries for name, mean in zip(_FIGURES, each, strict=True)}
        worker_seconds = figures["lane_seconds"] / self.lanes
        return Usage(
            entries=entries,
            seconds=worker_seconds / self.workers,
            worker_seconds=worker_seconds,
            ledger_objects=self.growth.objects(entries),
            ledger_bytes=self.growth.size_bytes(entries),
            **figures,
        )

    def to_fields(self) -> dict[str, Any]:
        """The estimate as the ledger keeps it, with what people and dashboards want of it."""
        whole = {} if self.rows is None else {"estimated": asdict(self.usage(self.rows))}
        return asdict(self) | whole

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """The estimate that the ledger kept."""
        own = {name: fields[name] for name in cls.__slots__}
        return cls(
            **own
            | {
                "means": tuple(own["means"]),
                "covariance": tuple(map(tuple, own["covariance"])),
                "growth": LedgerGrowth(**own["growth"]),
            }
        )


def estimate_from(
    ledger: Ledger, job: Job, used: Usage, *, workers: int, start_seconds: float
) -> Estimate | None:
    """What the finished run of a sample tells of the whole; None where no entry was made.

    `used` is what it took, on so many workers, which took `start_seconds` to be ready.
    """
    passes = chain(ledger.passes())
    entries = _entries(table for one in passes for table in ledger.tables(one.number, _COLUMNS))
    sampled = len(entries)
    if not sampled:
        return None
    root = passes[0]
    seal = ledger.read_seal(root.number)
    matrix = _with_lane_seconds(entries, used.lane_seconds)
    spread = np.cov(matrix, rowvar=False) if sampled > 1 else np.zeros((len(_FIGURES),) * 2)
    return Estimate(
        fingerprint=whole_fingerprint(job, root.manifest),
        sampled=sampled,
        rows=seal.drawn_from if seal is not None else None,
        means=tuple(matrix.mean(axis=0).tolist()),
        covariance=tuple(map(tuple, spread.tolist())),
        workers=max(1, workers),
        lanes=used.lane_seconds / used.worker_seconds if used.worker_seconds else 1.0,
        start_seconds=start_seconds,
        growth=growth_of(ledger, root.number, job.settings),
    )


def kept_estimate(ledger: Ledger, job: Job) -> Estimate | None:
    """What the newest sample told of this job, over the manifest as it was when last run."""
    passes = chain(ledger.passes())
    fields = ledger.read_estimate()
    if not passes or fields is None:
        return None
    is_of_this = fields["fingerprint"] == whole_fingerprint(job, passes[0].manifest)
    return Estimate.from_fields(fields) if is_of_this else None


_COLUMNS = ["row", *COLUMNS]
_OWN_FIGURES = _FIGURES[1:]


def _entries(tables: Iterable[pa.Table]) -> NDArray[np.float64]:
    """What each entry took in all of its records, float64 [N, figures but the first]."""
    rows, figures = [], []
    for table in tables:
        artifacts = table["artifacts"].combine_chunks()
        sizes = pc.struct_field(pc.list_flatten(artifacts), "size_bytes").to_numpy(False)
        parents = pc.list_parent_indices(artifacts).to_numpy(False)
        busy_ms = pc.fill_null(lane_ms(table), 0.0).to_numpy()
        rows.append(table["row"].to_numpy())
        figures.append(
            np.column_stack(
                [
                    busy_ms / 1e3,
                    table["bytes_read"].to_numpy(),
                    table["requests"].to_numpy(),
                    pc.list_value_length(artifacts).to_numpy(False),
                    np.bincount(parents, weights=sizes, minlength=len(table)),
                ]
            )
        )
    if not rows:
        return np.empty((0, len(_OWN_FIGURES)))
    numbers, places = np.unique(np.concatenate(rows), return_inverse=True)
    entries = np.zeros((len(numbers), len(_OWN_FIGURES)))
    np.add.at(entries, places, np.concatenate(figures))
    return entries


def _with_lane_seconds(entries: NDArray[np.float64], lane_seconds: float) -> NDArray[np.float64]:
    """The same with the share of each in the time of all lanes, by how long it kept one busy."""
    busy = entries[:, _OWN_FIGURES.index("busy_seconds")]
    share = busy / busy.sum() if busy.sum() else np.full(len(busy), 1 / len(busy))
    return np.column_stack([share * lane_seconds, entries])
