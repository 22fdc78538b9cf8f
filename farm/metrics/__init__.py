"""Figures for Prometheus: those of a worker on Dask's own page, those of a command on a port.

Needs prometheus-client, of the extra `metrics`; without it nothing is counted.
"""

import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING

from farm.errors import UsageError

if TYPE_CHECKING:
    from farm.metrics.worker import WorkerCollector
    from farm.worker import Worker

_lock = threading.Lock()
_published: "WorkerCollector | None" = None


def is_installed() -> bool:
    """Whether figures can be served here."""
    return find_spec("prometheus_client") is not None


def require() -> None:
    """Raises UsageError where figures cannot be served."""
    if not is_installed():
        raise UsageError("--metrics: expected the extra metrics: pip install 'thumbfarm[metrics]'")


def publish(worker: "Worker") -> None:
    """Adds a worker's figures to the page that Dask serves on each: http://WORKER/metrics.

    One worker of a process; nothing happens where figures cannot be served.
    """
    global _published
    if not is_installed():
        return
    from farm.metrics.worker import WorkerCollector

    with _lock:
        _published = WorkerCollector(worker)
        _published.open()


def withdraw() -> None:
    """Takes away what was published."""
    global _published
    with _lock:
        if _published is not None:
            _published.close()
        _published = None
