"""A real run that machines watch: its figures, its log, and what is written about both."""

import json
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from farm import journal
from farm.meter import LaneEnd
from farm.metrics import gpu
from farm.metrics.worker import WorkerCollector
from farm.observer import Event
from farm.service.figures import ServiceMetrics
from tests.lanes import wait_until
from tests.recipes import write_manifest, write_source
from tests.scrape import get, samples
from tests.service.test_figures import Service
from tests.test_metrics import FakeGpu, FakeWorker

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = (ROOT / "docs/metrics.md").read_text("utf-8")
BOARD = json.loads((ROOT / "configs/grafana/thumbfarm.json").read_text("utf-8"))
GOOD, SLEEP_SECONDS = 60, 0.4
# The one of another job: what is there on any page of prometheus_client.
COMMON = {"process_resident_memory_bytes"}


@dataclass(frozen=True)
class Watched:
    """What a run said: two pages while it ran, and its lines."""

    run: str
    worker: str
    lines: list[dict]
    text: str


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A run over good entries and two bad ones, on an embedded cluster."""
    folder = tmp_path_factory.mktemp("watched")
    write_source(folder / "bad.syn", fault="error")
    rows = [{"source": "bad.syn"}, {"source": "none.syn?token=hunter2"}]
    for number in range(GOOD):
        path = write_source(folder / f"{number}.syn", sleep=SLEEP_SECONDS, seed=number)
        rows.append({"source": path.name})
    write_manifest(folder / "list.jsonl", rows)
    words = ["--manifest", "list.jsonl", "--destination", "out", "--output", "16x", "--lanes", "2"]
    command = [sys.executable, "-m", "farm", "run", *words, "--log", "json", "--metrics", "0"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.extend(running.stderr), daemon=True)
        reader.start()
        try:
            run, worker = _scrape(said)
            text = running.stdout.read()
        finally:
            running.terminate()
        reader.join(60)
    return Watched(run, worker, [json.loads(line) for line in said], text)


def _scrape(said: list[str]) -> tuple[str, str]:
    """The pages of the run and of its worker, as soon as entries have failed and shards ended."""
    pages: dict[str, str] = {}
    figures_at = re.compile(r"figures for Prometheus: (http\S+/metrics)")

    def is_told() -> bool:
        found = figures_at.search("".join(said))
        if found is None:
            return False
        url = found[1]
        run = get(url)
        (group,) = json.loads(get(url.replace("/metrics", "/workers")))
        if samples(run).get(("farm_failures_total", "corrupt")) != 1 or not group["targets"]:
            return False
        pages["run"] = run
        pages["worker"] = get(f"http://{group['targets'][0]}/metrics")
        return True

    wait_until(is_told, seconds=240)
    return pages["run"], pages["worker"]


def _page(collector: Collector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


@pytest.fixture(scope="module")
def families(
    watched: Watched, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str, frozenset[str]]]:
    """All metrics by name, with type and labels: of the run, its worker, a GPU and a service."""
    service = Service(tmp_path_factory.mktemp("service"))
    texts = [watched.run, watched.worker, _page(WorkerCollector(FakeWorker({FakeGpu(): 1})))]
    texts.append(_page(ServiceMetrics(lambda: service)))
    service.database.close()
    found = [each for text in texts for each in text_string_to_metric_families(text)]
    found += [_gpu_family(name) for name in gpu.FAMILIES]
    known: dict[str, tuple[str, frozenset[str]]] = {}
    for family in found:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        known[name] = (family.type, labels | known.get(name, ("", frozenset()))[1])
    return {name: (kind, frozenset(labels)) for name, (kind, labels) in known.items()}


def _gpu_family(name: str) -> Metric:
    family = Metric(name, "", "gauge")
    family.add_sample(name, {"gpu": "GPU-1"}, 0)
    return family


class TestLog:
    def test_a_run_tells_its_beginning_its_progress_and_its_end(self, watched: Watched) -> None:
        events = [line["event"] for line in watched.lines]
        for event in ("pass_started", "progress", "shard_committed", "entry_failed", "run_ended"):
            assert event in events
        end = watched.lines[events.index("run_ended")]
        assert (end["state"], end["entries"]) == ("done", GOOD + 2)
        assert end["counts"] == {"ok": GOOD, "failed": 2}
        assert end["codes"] == {"corrupt": 1, "source_not_found": 1}
        assert "done" in watched.text

    def test_all_lines_of_a_run_name_it_alike_whoever_writes_them(self, watched: Watched) -> None:
        runs = {line["run"] for line in watched.lines if line["event"] != "log"}
        (run,) = runs
        assert f'farm_run_info{{run="{run}"' in watched.run
        workers = {line["worker"] for line in watched.lines if line["event"] == "entry_failed"}
        (worker,) = workers
        assert f'worker="{worker}"' in watched.worker

    def test_a_failed_entry_is_named_and_no_secret_is(self, watched: Watched) -> None:
        failed = {line["code"]: line for line in watched.lines if line["event"] == "entry_failed"}
        assert failed["corrupt"]["row"] == 1
        assert failed["corrupt"]["source"].endswith("bad.syn")
        assert failed["source_not_found"]["shard"] == "000000-0000"
        assert failed["source_not_found"]["source"].endswith("none.syn?token=***")
        assert "hunter2" not in json.dumps(watched.lines)

    def test_events_and_fields_are_documented(self, watched: Watched) -> None:
        section = DOCUMENT.partition("## Logs")[2]
        events, _, fields = section.partition("Lines have those of the following fields")
        documented = _first_cells(fields)
        assert sorted(documented) == sorted(journal.FIELDS)
        told = set(_first_cells(events))
        assert {line["event"] for line in watched.lines} <= told
        assert {event.value for event in Event} <= told
        always = {"time", "level", "event", "message"}
        assert {name for line in watched.lines for name in line} <= always | set(documented)

    def test_the_example_is_a_line_as_they_are(self, watched: Watched) -> None:
        (example,) = re.findall(r"```json\n(.*)\n```", DOCUMENT)
        line = next(line for line in watched.lines if line["event"] == "entry_failed")
        assert list(json.loads(example)) == list(line)


class TestFigures:
    def test_run_and_worker_count_alike(self, watched: Watched) -> None:
        run, worker = samples(watched.run), samples(watched.worker)
        assert run["farm_entries_total", "failed"] == 2
        assert run["farm_entries_total", "ok"] >= 14
        assert run["farm_pictures_total",] == run["farm_entries_total", "ok"]
        assert run["farm_slots",] == 1
        assert run["farm_lease_heartbeat_age_seconds",] < 60
        assert worker["farm_worker_entries_total", "ok"] >= run["farm_entries_total", "ok"]
        assert worker["farm_worker_failures_total", "source_not_found"] == 1
        assert worker["farm_worker_lanes", "shared"] == 2
        count = worker["farm_worker_stage_seconds_count", "decode"]
        assert worker["farm_worker_stage_seconds_sum", "decode"] >= SLEEP_SECONDS * count > 0

    def test_dasks_own_figures_are_there_too(self, watched: Watched) -> None:
        assert "dask_worker_threads" in watched.worker

    def test_every_metric_is_documented_with_type_and_labels(self, families: dict) -> None:
        rows = re.findall(r"^\| `(farm_\w+)` \| (\w+) \|([^|]*)\|", DOCUMENT, re.MULTILINE)
        documented = {
            name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows
        }
        ours = {name: told for name, told in families.items() if name.startswith("farm_")}
        assert documented == ours

    def test_every_end_of_a_lane_is_explained(self) -> None:
        section = DOCUMENT.partition("| cause |")[2].partition("## ")[0]
        assert sorted(_first_cells(section)) == sorted(LaneEnd)


class TestDashboard:
    def test_it_is_one_that_grafana_loads(self) -> None:
        assert BOARD["schemaVersion"] == 39
        assert BOARD["uid"] == "thumbfarm"
        kinds = {panel["type"] for panel in BOARD["panels"]}
        assert kinds <= {"row", "stat", "gauge", "timeseries"}
        ids = [panel["id"] for panel in BOARD["panels"]]
        assert len(set(ids)) == len(ids)
        variables = {each["name"]: each for each in BOARD["templating"]["list"]}
        assert variables["datasource"]["type"] == "datasource"
        assert variables["datasource"]["query"] == "prometheus"
        for panel in BOARD["panels"]:
            if panel["type"] != "row":
                assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
                assert panel["title"]
                assert panel["description"]
                assert panel["targets"]
                letters = [target["refId"] for target in panel["targets"]]
                assert len(set(letters)) == len(letters)

    def test_no_panel_covers_another(self) -> None:
        taken: set[tuple[int, int]] = set()
        for panel in BOARD["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert not cells & taken, panel["title"]
            taken |= cells

    def test_expressions_name_metrics_and_labels_that_there_are(self, families: dict) -> None:
        expressions = [
            target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", ())
        ]
        assert len(expressions) > 30
        for expression in expressions:
            _check(expression, families)

    def test_variables_name_metrics_that_there_are(self, families: dict) -> None:
        for variable in BOARD["templating"]["list"]:
            if variable["type"] == "query":
                (name,) = re.findall(r"label_values\((\w+), instance\)", variable["definition"])
                assert name in families


def _check(expression: str, families: dict) -> None:
    """Fails where it names a metric or label that nobody serves, or the rate of what may fall."""
    names = _names(expression)
    assert names, expression
    labels = {"instance", "le"}
    for name in names:
        family = re.sub("_(bucket|sum|count)$", "", name)
        kind, own = families[name] if name in families else families[family]
        labels |= own
        if name not in COMMON:
            assert name.startswith("farm_")
        is_rate = re.search(rf"(rate|increase)\({name}\b", expression) is not None
        assert not is_rate or kind in ("counter", "histogram")
    assert set(_labels(expression)) <= labels


_SELECTOR = re.compile(r"\{[^}]*\}")
_LISTED = re.compile(r"\b(?:by|on) \(([^)]*)\)")
_WORDS = {"and", "by", "on", "sum", "max", "topk"}


def _names(expression: str) -> set[str]:
    """The metrics of an expression in PromQL."""
    bare = _LISTED.sub("", _SELECTOR.sub("", expression))
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    return {
        name for name in re.findall(r"[a-z_:][\w:]*(?!\w|\()", bare) if name not in _WORDS
    }  # fmt: skip


def _labels(expression: str) -> list[str]:
    """The labels that an expression names, to select or to sum by."""
    selected = [name for each in _SELECTOR.findall(expression) for name in
                re.findall(r"(\w+)(?:=|!)", each)]  # fmt: skip
    return selected + [name.strip() for each in _LISTED.findall(expression)
                       for name in each.split(",")]  # fmt: skip


def _first_cells(text: str) -> list[str]:
    """The words in code style in the first cell of each row."""
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]
