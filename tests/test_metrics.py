"""The figures of a worker for Prometheus, and how figures are served."""

import json
import socket
import subprocess
import sys
import types
import urllib.error

import pytest
from prometheus_client import generate_latest

from farm import metrics
from farm.errors import UsageError
from farm.isolation import Load
from farm.meter import LaneEnd, Meter
from farm.metrics import gpu
from farm.metrics.server import MetricsServer, parse_address
from farm.metrics.worker import WorkerCollector
from farm.record import STAGES, Record, Status
from tests.scrape import figures, get


class FakeGpu:
    name, seats, deaths, is_ready = "GPU-1", 16, 2, True


class FakeWorker:
    """A worker whose lanes need not be there."""

    name = "host:1"

    def __init__(self, gpus=None, meter=None):
        self.meter = meter
        self.pool = types.SimpleNamespace(
            load=lambda: Load(
                lanes=4, lanes_busy=3, reserved=2, reserved_busy=1, seats_busy=gpus or {}, waiting=5
            )
        )
        self.under_way = {"shards": 2, "urgent_entries": 1}


class TestWorker:
    def test_lanes_and_queues(self):
        found = figures(WorkerCollector(FakeWorker()))
        assert found["farm_worker_lanes", "shared"] == 4
        assert found["farm_worker_lanes", "reserved"] == 2
        assert found["farm_worker_lanes_busy", "shared"] == 3
        assert found["farm_worker_lanes_busy", "reserved"] == 1
        assert found["farm_worker_entries_waiting",] == 5
        assert found["farm_worker_under_way", "shards"] == 2
        assert found["farm_worker_under_way", "urgent_entries"] == 1
        assert not any("gpu" in name or "entries_total" in name for name, *_ in found)

    def test_what_its_meter_counted(self):
        meter = Meter()
        meter.entry_ended(
            Record(1, Status.OK, bytes_read=7, timings_ms={"decode": 5.0, "store": 2e5})
        )
        meter.entry_ended(Record(2, Status.FAILED, error_code="corrupt"))
        meter.lane_ended(LaneEnd.TIMEOUT)
        found = figures(WorkerCollector(FakeWorker(meter=meter)))
        assert found["farm_worker_entries_total", "ok"] == 1
        assert found["farm_worker_failures_total", "corrupt"] == 1
        assert found["farm_worker_read_bytes_total",] == 7
        assert found["farm_worker_lane_ends_total", "timeout"] == 1
        for end in LaneEnd:
            assert ("farm_worker_lane_ends_total", end) in found
        bucket = "farm_worker_stage_seconds_bucket"
        assert found[bucket, "0.003", "decode"] == 0
        assert found[bucket, "0.01", "decode"] == found[bucket, "+Inf", "decode"] == 1
        assert found[bucket, "100.0", "store"] == 0
        assert found["farm_worker_stage_seconds_sum", "store"] == 200
        for stage in STAGES:
            assert ("farm_worker_stage_seconds_count", stage) in found

    def test_seats_of_gpus(self):
        found = figures(WorkerCollector(FakeWorker(gpus={FakeGpu(): 9})))
        assert found["farm_worker_gpu_seats", "GPU-1"] == 16
        assert found["farm_worker_gpu_seats_busy", "GPU-1"] == 9
        assert found["farm_worker_gpu_deaths_total", "GPU-1"] == 2
        assert found["farm_worker_gpu_ready", "GPU-1"] == 1

    def test_one_worker_of_a_process_is_on_dasks_page(self):
        metrics.publish(FakeWorker())
        try:
            assert b'farm_worker_info{version="' in generate_latest()
        finally:
            metrics.withdraw()
        metrics.withdraw()
        assert b"farm_worker_info" not in generate_latest()


class NvmlError(Exception):
    pass


@pytest.fixture
def driver(monkeypatch):
    """A stand-in for NVIDIA's library, in which one of two GPUs has fallen off the bus."""

    def by_uuid(name):
        if name != "GPU-1":
            raise NvmlError("GPU is lost")
        return name

    library = types.SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=by_uuid,
        nvmlDeviceGetHandleByIndex=lambda number: f"GPU-{number}",
        nvmlDeviceGetUtilizationRates=lambda handle: types.SimpleNamespace(gpu=50, memory=20),
        nvmlDeviceGetDecoderUtilization=lambda handle: [75, 166_000],
        nvmlDeviceGetEncoderUtilization=lambda handle: [25, 166_000],
        nvmlDeviceGetMemoryInfo=lambda handle: types.SimpleNamespace(used=1 << 30),
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    gpu._library.cache_clear()
    yield library
    gpu._library.cache_clear()


class TestGpuUse:
    def test_it_is_told_of_those_that_answer(self, driver):
        found = {
            (sample.name, sample.labels["gpu"]): sample.value
            for family in gpu.gpu_use(["GPU-1", "GPU-2", "0", "pretended-0"])
            for sample in family.samples
        }
        for name in ("GPU-1", "0"):
            assert found["farm_worker_gpu_busy_ratio", name] == 0.5
            assert found["farm_worker_gpu_decoder_busy_ratio", name] == 0.75
            assert found["farm_worker_gpu_encoder_busy_ratio", name] == 0.25
            assert found["farm_worker_gpu_memory_used_bytes", name] == 1 << 30
        assert {name for _, name in found} == {"GPU-1", "0"}

    def test_nothing_is_told_without_a_driver(self, driver):
        def fail():
            raise NvmlError("no driver")

        driver.nvmlInit = fail
        assert list(gpu.gpu_use(["GPU-1"])) == []

    def test_nothing_is_told_without_the_library(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pynvml", None)
        gpu._library.cache_clear()
        assert list(gpu.gpu_use(["GPU-1"])) == []
        gpu._library.cache_clear()


class TestServer:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("9108", ("127.0.0.1", 9108)),
            ("0.0.0.0:0", ("0.0.0.0", 0)),
            ("metrics.example:80", ("metrics.example", 80)),
            ("[::1]:9108", ("::1", 9108)),
        ],
    )
    def test_addresses(self, text, address):
        assert parse_address(text) == address

    @pytest.mark.parametrize("text", ["", "here", "9108:", "1:65536", "-1", "1.5", "²"])
    def test_what_is_no_address(self, text):
        with pytest.raises(UsageError, match=r"expected \[HOST:\]PORT, such as 9108, received"):
            parse_address(text)

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_figures_and_workers(self, host):
        if host == "::1" and not has_ipv6():
            pytest.skip("no IPv6 here")
        pages = ["10.0.0.2:8001", "10.0.0.1:8001"]
        worker = WorkerCollector(FakeWorker())
        with MetricsServer((host, 0), worker, workers=lambda: pages) as server:
            assert 'farm_worker_info{version="' in get(server.url)
            workers = get(server.url.replace("/metrics", "/workers"))
            assert json.loads(workers) == [{"targets": sorted(pages), "labels": {}}]
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(server.url.replace("/metrics", "/other"))
        with pytest.raises(urllib.error.URLError):
            get(server.url)

    def test_a_port_that_is_taken(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
                MetricsServer(("127.0.0.1", port))


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_without_the_extra_it_is_named_and_nothing_is_published(monkeypatch):
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'thumbfarm\[metrics\]'"):
        metrics.require()
    metrics.publish(FakeWorker())
    assert b"farm_worker_info" not in generate_latest()


def test_all_else_works_without_the_library() -> None:
    script = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "import farm.run, farm.cluster.plugin, farm.cli.run_monitor, farm.service.app\n"
        "from farm.cli.monitoring import Monitoring\n"
        "Monitoring().begin()\n"
        "from farm import metrics\n"
        "assert not metrics.is_installed()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
