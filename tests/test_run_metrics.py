"""The figures of a run for Prometheus."""

import pytest

import farm
from farm.cluster import Outcome, OutcomeKind
from farm.ledger import ShardRef
from farm.observer import Event
from farm.progress import Progress
from farm.record import Status
from farm.run_metrics import RunMetrics
from farm.summary import Summary
from tests.scrape import figures

REF = ShardRef("/out/_ledger", 1, 0, 1, 0)


@pytest.fixture
def run():
    return RunMetrics("farm-1", beat=lambda: 1)


def test_all_statuses_and_outcomes_are_there_from_the_start(run):
    found = figures(run)
    assert found["farm_run_info", "farm-1", farm.__version__] == 1
    for status in Status:
        assert found["farm_entries_total", status] == 0
    for kind in OutcomeKind:
        assert found["farm_shard_attempts_total", kind] == 0
    assert not any(name == "farm_shards" for name, *_ in found)


def test_committed_shards_count_and_others_do_not(run):
    good = Summary(
        "s", True, counts={"ok": 3, "failed": 2}, codes={"corrupt": 2},
        pictures=4, bytes_read=100, bytes_written=10,
    )  # fmt: skip
    run.settled(Outcome(REF, OutcomeKind.COMMITTED, good))
    run.settled(Outcome(REF, OutcomeKind.COMMITTED, good))
    run.settled(Outcome(REF, OutcomeKind.COMMITTED, Summary("s", False, was_done=True)))
    run.settled(Outcome(REF, OutcomeKind.BLOCKED, Summary("s", False, blocked_by="disk_full")))
    run.settled(Outcome(REF, OutcomeKind.LOST))
    found = figures(run)
    assert found["farm_entries_total", "ok"] == 6
    assert found["farm_failures_total", "corrupt"] == 4
    assert found["farm_pictures_total",] == 8
    assert found["farm_read_bytes_total",] == 200
    assert found["farm_written_bytes_total",] == 20
    assert found["farm_shard_attempts_total", "committed"] == 3
    assert found["farm_shard_attempts_total", "blocked"] == 1
    assert found["farm_shard_attempts_total", "lost"] == 1


def test_what_is_not_known_has_no_figure(run):
    run.progressed(Progress(None, 5, 0, 5, 0.0, None, 3, 2, shards_todo=7, slots=4))
    found = figures(run)
    assert found["farm_shards", "todo"] == 7
    assert found["farm_shards", "in_flight"] == 3
    assert found["farm_slots",] == 4
    assert found["farm_pass_number",] == 2
    assert found["farm_pass_entries",] == 5
    assert ("farm_pass_rows",) not in found
    assert ("farm_remaining_seconds",) not in found
    run.progressed(Progress(9, 5, 0, 5, 2.0, 2.0, 3, 2))
    found = figures(run)
    assert (found["farm_pass_rows",], found["farm_remaining_seconds",]) == (9, 2)


def test_it_tells_what_the_run_is_at(run):
    def state():
        found = figures(run).items()
        return [labels[0] for (name, *labels), value in found if name == "farm_run_state" and value]

    assert state() == ["running"]
    for event, expected in [
        (Event.PAUSED, "paused"), (Event.NOTICE, "paused"), (Event.RESUMED, "running"),
        (Event.DRAINING, "draining"),
    ]:  # fmt: skip
        run.noticed("said", event=event)
        assert state() == [expected]


def test_the_heartbeat_ages_until_the_next_one(monkeypatch):
    now, beat = [100.0], [0]
    monkeypatch.setattr("farm.run_metrics.time.monotonic", lambda: now[0])
    run = RunMetrics("farm-1", beat=lambda: beat[0])
    name = ("farm_lease_heartbeat_age_seconds",)
    assert figures(run)[name] == 0
    now[0] += 12
    assert figures(run)[name] == 12
    beat[0] += 1
    assert figures(run)[name] == 0
