"""Usage: what passes used, whether or not it was done again later."""

import uuid

import pytest

from farm import ledger_form, storage
from farm.effort import Effort
from farm.history import totals
from farm.ledger import Ledger, PassReason
from farm.prices import Usage
from farm.record import Artifact, Record, Status
from farm.usage import COLUMNS, UsageTally
from tests.test_history import add_pass


def record(row, *, files=1, status=Status.OK, **fields):
    artifacts = tuple(
        Artifact(f"/out/{row}-{n}.png", 0, n, 10 * n, "", 16, 12, "png")
        for n in range(1, files + 1)
    )
    return Record(row=row, status=status, artifacts=artifacts, **fields)


def table(records, effort=None, columns=COLUMNS):
    return ledger_form.read_table(ledger_form.results(records, effort), columns, "here")


def test_it_adds_up_what_all_records_used():
    tally = UsageTally()
    ok = record(1, files=2, bytes_read=100, requests=3, timings_ms={"lane": 500.0, "store": 9e9})
    failed = record(
        2, files=0, status=Status.FAILED, bytes_read=50, requests=1, timings_ms={"lane": 1500.0}
    )
    tally.add(table([ok, failed], Effort("h:1", 1000.0, 2.0, 2)))
    tally.add(table([record(3)], Effort("h:2", 1001.0, 2.0, 2)))
    assert tally.usage(3, [(4, 1000), (5, 2000)]) == Usage(
        entries=3,
        seconds=3.0,
        worker_seconds=4.0,
        lane_seconds=8.0,
        busy_seconds=2.0,
        bytes_read=150,
        requests=4,
        files=3,
        file_bytes=40,
        ledger_objects=9,
        ledger_bytes=3000,
    )


def test_of_nothing_it_is_nothing():
    assert UsageTally().usage(0, []) == Usage()
    tally = UsageTally()
    tally.add(table([]))
    assert tally.usage(0, []) == Usage()


def test_an_older_farm_told_no_times():
    tally = UsageTally()
    columns = [name for name in COLUMNS if "lane" not in name]
    tally.add(table([record(1, bytes_read=7, timings_ms={"lane": 5.0})], columns=columns))
    used = tally.usage(1, [])
    assert (used.bytes_read, used.busy_seconds, used.seconds) == (7, 0.0, 0.0)


def test_what_was_tried_in_vain_was_used_too():
    ledger = Ledger(f"memory://{uuid.uuid4()}/l", storage)
    tried = {"status": Status.FAILED, "files": 0, "error_code": "timeout", "requests": 2}
    add_pass(ledger, PassReason.NEW, [[record(1, requests=1), record(2, **tried)]])
    add_pass(ledger, PassReason.RETRYABLE, [[record(2, requests=5)]])
    found = totals(ledger)
    assert (found.entries, found.pictures) == (2, 2)
    assert (found.used.entries, found.used.requests, found.used.files) == (2, 8, 2)
    assert found.used.ledger_objects == 2 * 4  # pass.json, a part, plan.json and a shard
    assert found.figures()["measured"]["requests"] == 8


def test_what_was_left_for_later_is_no_entry_yet():
    ledger = Ledger(f"memory://{uuid.uuid4()}/l", storage)
    deferred = record(2, status=Status.DEFERRED, files=0)
    add_pass(ledger, PassReason.NEW, [[record(1), deferred]], carried=7)
    assert totals(ledger).used.entries == 1


@pytest.mark.parametrize("columns", [["row"], ["row", "status"]])
def test_an_effort_comes_with_whatever_columns(columns):
    effort = Effort("h:1", 1.5, 2.5, 3)
    assert ledger_form.effort_of(table([record(1)], effort, columns)) == effort
