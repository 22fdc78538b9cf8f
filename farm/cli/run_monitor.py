"""What machines are told of a run while it lasts: its name in all log lines, and its figures."""

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from farm import journal
from farm.cli.monitoring import Monitoring
from farm.cluster import Outcome
from farm.lease import Lease
from farm.observer import Event
from farm.progress import Progress

if TYPE_CHECKING:
    from farm.cluster.dask import DaskCluster
    from farm.run_metrics import RunMetrics


class RunMonitor:
    """An observer that keeps the figures of a run where they are asked for.

    `run` is the run's name, from the holder of its lease: workers and logs know it by that.
    """

    def __init__(
        self, monitoring: Monitoring, lease: Lease, *, notice: Callable[[str], object]
    ) -> None:
        self.run = f"farm-{lease.claim.holder.run[:12]}"
        self._monitoring = monitoring
        self._lease = lease
        self._notice = notice
        self._cluster: DaskCluster | None = None
        self._figures: RunMetrics | None = None
        self._open = contextlib.ExitStack()

    def opened(self, cluster: "DaskCluster") -> None:
        """Takes note of the cluster, whose workers have figures of their own."""
        self._cluster = cluster

    def _workers(self) -> tuple[str, ...]:
        return () if self._cluster is None else self._cluster.roster.pages

    def _collector(self) -> "RunMetrics":
        from farm.run_metrics import RunMetrics

        return RunMetrics(self.run, beat=lambda: self._lease.claim.beat)

    def progressed(self, progress: Progress) -> None:
        """Tells the figures."""
        if self._figures is not None:
            self._figures.progressed(progress)

    def noticed(self, message: str, *, event: Event = Event.NOTICE, shard: str = "") -> None:
        """Tells the figures."""
        if self._figures is not None:
            self._figures.noticed(message, event=event, shard=shard)

    def settled(self, outcome: Outcome) -> None:
        """Tells the figures."""
        if self._figures is not None:
            self._figures.settled(outcome)

    def __enter__(self) -> Self:
        journal.bind(run=self.run)
        figures = self._monitoring.figures(
            self._collector, notice=self._notice, workers=self._workers
        )
        self._figures = self._open.enter_context(figures)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
