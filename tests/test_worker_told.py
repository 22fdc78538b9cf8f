"""What a worker tells of its entries and shards: to its meter, and to the log."""

import time

import pytest

from farm import storage, worker
from farm.errors import DiskFullError
from farm.meter import Meter
from farm.record import STAGES
from farm.settings import Limits, Settings
from farm.spec import Entry
from farm.worker import Worker
from tests.json_log import logged_json
from tests.lanes import shared_pool
from tests.recipes import write_source
from tests.test_worker import attempt, planned

MIXED = [{}, {"fault": "error"}, {"fault": "exit"}, {"seed": 1}]


@pytest.fixture
def metered(monkeypatch):
    """A worker over the shared lanes, with a meter."""
    monkeypatch.setattr(worker, "LanePool", lambda **_: shared_pool())
    return Worker(Settings(), meter=Meter())


def told(lines, event):
    return [line for line in lines() if line["event"] == event]


def test_each_entry_counts_once_whatever_becomes_of_it(metered, tmp_path):
    summary = attempt(metered, planned(tmp_path, MIXED))
    reading = metered.meter.read()
    assert reading.entries == summary.counts == {"ok": 2, "failed": 1, "quarantined": 1}
    assert reading.failures == summary.codes == {"corrupt": 1, "decoder_crash": 1}
    assert reading.pictures == summary.pictures == 2
    assert reading.bytes_read == summary.bytes_read
    assert reading.bytes_written == summary.bytes_written
    assert all(sum(reading.stages[stage].counts) >= 2 for stage in STAGES)


def test_deferred_entries_count_when_their_shard_is_committed(metered, tmp_path):
    ref = planned(tmp_path, [{"sleep": 1.0}, *[{}] * 5], shard_seconds=0.01)
    summary = attempt(metered, ref)
    assert summary.counts["deferred"] > 0
    assert metered.meter.read().entries == summary.counts


def test_a_shard_that_is_given_up_counts_what_ended(metered, tmp_path, monkeypatch):
    ref = planned(tmp_path, [{}] * 8)

    def refuse(*arguments, **options):
        raise DiskFullError("no space is left")

    monkeypatch.setattr(storage, "put", refuse)
    with logged_json() as lines:
        summary = attempt(metered, ref)
        (line,) = told(lines, "shard_blocked")
    assert summary.blocked_by == "disk_full"
    assert (line["code"], line["shard"], line["run"]) == ("disk_full", "000000-0000", "run")
    entries = metered.meter.read().entries
    assert set(entries) == {"failed"}
    assert 3 <= entries["failed"] <= 8


def test_failures_and_shards_are_logged_with_all_that_names_them(metered, tmp_path):
    ref = planned(tmp_path, MIXED)
    began = time.time()
    with logged_json() as lines:
        attempt(metered, ref, run="farm-run")
        attempt(metered, ref, run="farm-run")
        failed = {line["code"]: line for line in told(lines, "entry_failed")}
        (committed,) = told(lines, "shard_committed")
        (known,) = told(lines, "shard_known")
    assert failed.keys() == {"corrupt", "decoder_crash"}
    for line in (*failed.values(), committed, known):
        assert line["run"] == "farm-run"
        assert (line["pass_number"], line["shard"]) == (1, "000000-0000")
        assert line["worker"] == metered.name
    assert failed["corrupt"]["row"] == 2
    assert failed["corrupt"]["id"]
    assert failed["decoder_crash"]["status"] == "quarantined"
    assert failed["decoder_crash"]["attempts"] == 2
    assert committed["counts"] == {"ok": 2, "failed": 1, "quarantined": 1}
    assert 0 < committed["seconds"] <= time.time() - began


def test_urgent_entries_count_too_and_belong_to_no_run(metered, tmp_path):
    outputs = ({"width": 16, "format": "png"},)
    for number, values in enumerate(({}, {"fault": "error"})):
        source = write_source(tmp_path / f"{number}.syn", **values)
        entry = Entry(
            source=str(source), id=f"u{number}", destination=str(tmp_path), outputs=outputs
        )
        with logged_json() as lines:
            metered.run_entry(entry, Limits(), str(number))
            failed = told(lines, "entry_failed")
    assert metered.meter.read().entries == {"ok": 1, "failed": 1}
    (line,) = failed
    assert (line["id"], line["code"]) == ("u1", "corrupt")
    assert "run" not in line


def test_nobody_is_told_of_what_nobody_asks_for(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(worker, "LanePool", lambda **_: shared_pool())
    attempt(Worker(Settings()), planned(tmp_path, MIXED))
    assert not [record for record in caplog.records if record.name == "farm.journal"]
