"""What machines are told of the service: its figures, and its log."""

import json
import re
from pathlib import Path

import pytest

from farm.errors import ClusterError
from farm.service.database import Database
from farm.service.figures import ServiceMetrics
from tests.scrape import figures, get, samples
from tests.service.live import LiveServer


class Cluster:
    """One that is given up when it is told so."""

    is_lost = False

    def slots(self) -> int:
        if self.is_lost:
            raise ClusterError("gone")
        return 3


class Service:
    """As much of a service as has figures."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder}/service.db")
        self.cluster = Cluster()


def test_figures_of_tasks_and_of_the_cluster(tmp_path: Path) -> None:
    service = Service(tmp_path)
    found = figures(ServiceMetrics(lambda: service))
    for status in ("waiting", "processing", "finished", "error"):
        assert found["farm_service_tasks", status] == 0
        assert found["farm_service_jobs", status] == 0
    assert found["farm_slots",] == 3
    service.cluster.is_lost = True
    assert ("farm_slots",) not in figures(ServiceMetrics(lambda: service))
    service.database.close()


def test_a_service_that_does_not_run_yet_has_a_version_only() -> None:
    found = figures(ServiceMetrics(lambda: None))
    assert [name for name, *_ in found] == ["farm_service_info"]


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_a_service_in_a_process_of_its_own(tmp_path: Path) -> None:
    server = LiveServer(tmp_path)
    server.options = ["--metrics", "0", "--log", "json"]
    try:
        server.start()
        url = re.search(r"figures for Prometheus: (\S+)", server.log_text)
        assert url is not None
        with server.client as client:
            payload = {"tasks": {"get": {"operation": "import/upload"}}}
            client.post("/v2/jobs", json=payload).raise_for_status()
            # They are of all callers: no key of one of them opens them.
            assert client.get("/metrics").status_code == 404
        page = samples(get(url[1]))
        assert page["farm_service_jobs", "waiting"] + page["farm_service_jobs", "processing"] == 1
        assert page["farm_slots",] == 1
        (group,) = json.loads(get(url[1].replace("/metrics", "/workers")))
        worker = samples(get(f"http://{group['targets'][0]}/metrics"))
        assert worker["farm_worker_under_way", "urgent_entries"] == 0
    finally:
        server.close()
    said = ("figures for Prometheus: ", "listening on ")
    lines = [line for line in server.log_text.splitlines() if not line.startswith(said)]
    assert all(json.loads(line)["time"].endswith("Z") for line in lines)
