"""The figures of the service for Prometheus: its tasks and jobs, and what works on them."""

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Table, func, select

import farm
from farm.errors import ClusterError
from farm.metrics.family import gauge, gauges, info
from farm.service.database import Database
from farm.service.model import Status, jobs, tasks
from farm.service.service import Service


class ServiceMetrics(Collector):
    """Asks the running service, None before it runs, whenever somebody wants its figures.

    They are of all callers together: nothing tells one key from another.
    """

    def __init__(self, service: Callable[[], Service | None]) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """All families; see docs/metrics.md."""
        yield info("farm_service", "Which service this is.", {"version": farm.__version__})
        service = self._service()
        if service is None:
            return
        counted = {"tasks": tasks, "jobs": jobs}
        for name, table in counted.items():
            counts = _by_status(service.database, table)
            yield gauges(
                f"farm_service_{name}", f"The {name} that are kept, by status.", "status", counts
            )
        yield gauge("farm_slots", "Shards that can be worked on at once.", _slots(service))


def _by_status(database: Database, table: Table) -> dict[str, float]:
    with database.read() as connection:
        counts = select(table.c.status, func.count()).group_by(table.c.status)
        found = {row[0]: row[1] for row in connection.execute(counts)}
    return {status.value: found.get(status.value, 0) for status in Status}


def _slots(service: Service) -> int | None:
    """None once the cluster is given up."""
    try:
        return service.cluster.slots()
    except ClusterError:
        return None
