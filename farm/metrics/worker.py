"""The figures of one worker: its entries, lanes, stages and GPUs."""

import itertools
from collections.abc import Iterator, Mapping

from prometheus_client import REGISTRY
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

import farm
from farm.isolation import Load
from farm.meter import STAGE_BOUNDS_SECONDS, LaneEnd, Reading, StageTimes
from farm.metrics.family import counter, counters, gauge, gauges, info
from farm.metrics.gpu import gpu_use
from farm.record import Status
from farm.worker import Worker


class WorkerCollector(Collector):
    """Asks a worker for its figures whenever somebody wants them."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[Metric]:
        """All families; see docs/metrics.md."""
        names = {"worker": self._worker.name, "version": farm.__version__}
        yield info("farm_worker", "Which worker this is.", names)
        if self._worker.meter is not None:
            yield from _counted(self._worker.meter.read())
        load = self._worker.pool.load()
        yield from _places(load, self._worker.under_way)
        yield from _gpus(load)

    def describe(self) -> list[Metric]:
        """Nothing: registering asks for no figures."""
        return []

    def open(self) -> None:
        """Adds it to the page that Dask serves on every worker: http://WORKER/metrics."""
        REGISTRY.register(self)

    def close(self) -> None:
        """Takes it from there."""
        REGISTRY.unregister(self)


def _counted(reading: Reading) -> Iterator[Metric]:
    yield counters(
        "farm_worker_entries", "Entries that ended here.", "status", reading.entries, known=Status
    )
    yield counters(
        "farm_worker_failures", "Entries that failed here, by code.", "code", reading.failures
    )
    yield counter("farm_worker_pictures", "Pictures that were stored.", reading.pictures)
    yield counter("farm_worker_read_bytes", "Bytes read of sources.", reading.bytes_read)
    yield counter("farm_worker_written_bytes", "Bytes of stored pictures.", reading.bytes_written)
    yield counters(
        "farm_worker_lane_ends",
        "Lanes that ended, by cause.",
        "cause",
        reading.lane_ends,
        known=LaneEnd,
    )
    yield _stage_seconds(reading.stages)


def _stage_seconds(stages: Mapping[str, StageTimes]) -> Metric:
    family = HistogramMetricFamily(
        "farm_worker_stage_seconds", "How long entries took, by stage.", labels=["stage"]
    )
    bounds = [*map(str, STAGE_BOUNDS_SECONDS), "+Inf"]
    for stage, times in stages.items():
        buckets = list(zip(bounds, itertools.accumulate(times.counts), strict=True))
        family.add_metric([stage], buckets, times.seconds)
    return family


def _places(load: Load, under_way: Mapping[str, int]) -> Iterator[Metric]:
    yield gauges(
        "farm_worker_lanes",
        "Lanes of the CPU that may work at once.",
        "kind",
        {"shared": load.lanes, "reserved": load.reserved},
    )
    yield gauges(
        "farm_worker_lanes_busy",
        "Lanes of the CPU that have an entry.",
        "kind",
        {"shared": load.lanes_busy, "reserved": load.reserved_busy},
    )
    yield gauge("farm_worker_entries_waiting", "Entries that wait for a lane.", load.waiting)
    yield gauges("farm_worker_under_way", "What is worked on.", "kind", under_way)


def _gpus(load: Load) -> Iterator[Metric]:
    """Of each GPU that the worker uses; no family where it uses none."""
    gpus = load.seats_busy
    if not gpus:
        return
    yield gauges(
        "farm_worker_gpu_ready",
        "Whether a GPU's process is at work.",
        "gpu",
        {gpu.name: float(gpu.is_ready) for gpu in gpus},
    )
    yield gauges(
        "farm_worker_gpu_seats",
        "Entries that a GPU may work on at once.",
        "gpu",
        {gpu.name: gpu.seats for gpu in gpus},
    )
    yield gauges(
        "farm_worker_gpu_seats_busy",
        "Entries that a GPU works on.",
        "gpu",
        {gpu.name: busy for gpu, busy in gpus.items()},
    )
    yield counters(
        "farm_worker_gpu_deaths",
        "Deaths of a GPU's process.",
        "gpu",
        {gpu.name: gpu.deaths for gpu in gpus},
    )
    yield from gpu_use([gpu.name for gpu in gpus])
