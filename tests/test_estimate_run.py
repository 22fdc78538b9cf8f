"""Estimates of real files by real lanes: what a sample told, and what the whole then took."""

import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from farm import storage
from farm.estimate import estimate_from, kept_estimate
from farm.history import final_records, totals
from farm.ledger import Ledger
from farm.prices import Prices, Usage, cost_of
from farm.record import Status
from farm.samples.pictures import make_pictures
from tests.inline_run import lanes, run_inline
from tests.recipes import make_job, recipe, write_manifest
from tests.s3 import S3Server, s3_server

__all__ = ["lanes", "s3_server"]

ROWS = 300
SAMPLE = 80
PRICES = Prices(worker_hour=1.0, gb_read=1.0, get_thousand=1.0, put_thousand=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of eight kinds, mixed at random, and some files that are none."""
    folder = tmp_path_factory.mktemp("archive")
    kinds = [data for _, data in itertools.islice(make_pictures(), 8)]
    chooser = random.Random(1)
    rows = []
    for number in range(ROWS):
        data = b"no picture" if chooser.random() < 0.05 else chooser.choice(kinds)
        (folder / f"{number}.jpg").write_bytes(data)
        rows.append({"source": f"{number}.jpg"})
    write_manifest(folder / "list.jsonl", rows)
    return folder


def test_the_whole_is_within_what_the_sample_told(folder: Path, lanes: None) -> None:
    job = make_job(folder, outputs=({"width": 64}, {"width": 32, "format": "png"}))
    sampled = totals(run_inline(folder, job, sample=SAMPLE)).used
    ledger = Ledger(f"{job.destination}/_ledger", storage)
    told = estimate_from(ledger, job, sampled, workers=1, start_seconds=1.0)
    assert told is not None
    assert (told.sampled, told.rows, told.lanes) == (SAMPLE, ROWS, 2)
    ledger.put_estimate(told.to_fields())

    used = totals(run_inline(folder, job, force=True)).used
    assert used.entries == ROWS
    assert kept_estimate(ledger, job) == told
    for name in ("bytes_read", "requests", "files", "file_bytes"):
        figure = told.figure(lambda usage, name=name: getattr(usage, name), ROWS)
        assert figure.interval is not None
        low, high = figure.interval
        assert low <= getattr(used, name) <= high, name
        assert high - low < figure.value or not figure.value, name
    usage = told.usage(ROWS)
    assert usage.ledger_objects == used.ledger_objects
    assert usage.ledger_bytes == pytest.approx(used.ledger_bytes, rel=0.15)
    # How busy the machine is meanwhile is in no interval.
    for name in ("seconds", "worker_seconds", "lane_seconds", "busy_seconds"):
        assert getattr(usage, name) / 4 < getattr(used, name) < getattr(usage, name) * 4, name


def test_figures_are_what_the_disk_and_the_records_hold(folder: Path, lanes: None) -> None:
    job = make_job(folder, destination=str(folder / "again"), ledger=str(folder / "ledger"))
    ledger = run_inline(folder, job, limit=100)
    used = totals(ledger).used
    files = [path for path in (folder / "again").rglob("*") if path.is_file()]
    assert used.files == len(files)
    assert used.file_bytes == sum(path.stat().st_size for path in files)
    kept = [path for path in (folder / "ledger/pass-0001").rglob("*") if path.is_file()]
    assert used.ledger_objects == len(kept)
    assert used.ledger_bytes == sum(path.stat().st_size for path in kept)
    records = list(final_records(ledger))
    assert used.busy_seconds == pytest.approx(
        sum(record.timings_ms["lane"] for record in records) / 1e3, rel=1e-4
    )
    assert 0 < used.busy_seconds <= used.lane_seconds == pytest.approx(2 * used.worker_seconds)
    assert used.worker_seconds == pytest.approx(used.seconds)


def test_over_s3_puts_and_requests_are_counted(
    s3_server: S3Server, tmp_path: Path, lanes: None
) -> None:
    bucket = s3_server.new_bucket()
    rows = [{"source": f"{bucket}/in/{number}.syn"} for number in range(6)]
    for number, row in enumerate(rows):
        storage.put(row["source"], b"nothing" if number == 5 else recipe(seed=number))
    write_manifest(tmp_path / "list.jsonl", rows)
    job = make_job(tmp_path, destination=f"{bucket}/out", ledger=f"{bucket}/ledger")
    ledger = run_inline(tmp_path, job)
    used = totals(ledger).used
    assert totals(ledger).counts == {Status.OK: 5, Status.FAILED: 1}
    assert used.requests == 6  # small ones come with their first request, the bad one too
    assert used.bytes_read == sum(each.size for each in storage.list_files(f"{bucket}/in/"))
    assert used.files == len(list(storage.list_files(f"{bucket}/out/")))
    assert used.ledger_objects == len(list(storage.list_files(f"{bucket}/ledger/pass-0001/")))
    cost = cost_of(used, Prices(get_thousand=1.0, put_thousand=10.0))
    assert cost.total == pytest.approx((6 + 10 * (5 + used.ledger_objects)) / 1000)


@pytest.mark.cluster
def test_the_command_tells_before_and_after(tmp_path: Path) -> None:
    rows = 120
    for number in range(rows):
        (tmp_path / f"{number}.syn").write_bytes(recipe(seed=number))
    write_manifest(tmp_path / "list.jsonl", ({"source": f"{n}.syn"} for n in range(rows)))
    words = ["--manifest", "list.jsonl", "--destination", "out", "--output", "16x", "--lanes", "2"]
    words += ["--price", "worker_hour=0.5", "--price", "put_thousand=0.01"]

    def farm(*more: str) -> str:
        command = [sys.executable, "-m", "farm", "run", *words, *more]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    sampled = farm("--sample", "40", "--price", "currency=EUR")
    assert "40 entries" in sampled
    assert f"all {rows}, estimated" in sampled
    assert "estimated from 40 entries, on 1 worker with 2 lanes" in sampled
    assert "90 % intervals" in sampled
    kept = json.loads((tmp_path / "out/_ledger/estimate.json").read_text())
    assert (kept["rows"], kept["estimated"]["files"]) == (rows, rows)
    assert kept["start_seconds"] > 0.5

    whole = farm("--price", "currency=USD", "--price", "worker_hour=5")
    assert "80 entries" in whole
    assert "estimated before" in whole
    (files,) = (line.split() for line in whole.splitlines() if "files written" in line)
    assert files[-2:] == ["80", "80"]
    summary = json.loads((tmp_path / "out/_ledger/summary.json").read_text())
    measured = Usage(**summary["measured"])
    assert (measured.entries, measured.files) == (80, 80)
    assert summary["cost"]["currency"] == "USD"
    assert summary["cost"]["workers"] == pytest.approx(measured.worker_seconds / 3600 * 5)
    # Other prices are no reason to do anything again.
    assert "0 entries in" in farm("--price", "worker_hour=9")
