"""The muster: who works for a command, and what they took so far."""

import time

import pytest

from farm.cli.muster import Muster
from farm.cluster import Outcome, OutcomeKind
from farm.effort import Effort
from farm.ledger import ShardRef
from farm.prices import Usage
from farm.progress import Progress
from farm.record import Artifact, Record, Status
from farm.summary import Summary

REF = ShardRef("l", 1, 0, 1, 0)


def summary(worker="h:1", seconds=5.0):
    files = (Artifact("/out/1.png", 0, 1, 700, "", 16, 12, "png"),)
    records = [
        Record(1, Status.OK, artifacts=files, bytes_read=100, requests=2),
        Record(2, Status.FAILED, error_code="corrupt", bytes_read=50, requests=1),
    ]
    return Summary.of("000000-0000", records, Effort(worker, time.time(), seconds, 4))


def test_it_counts_the_most_workers_there_were():
    muster = Muster()
    for slots in (1, 3, 2, 0):
        muster.progressed(Progress(None, 0, 0, 0, 0.0, None, 0, 1, slots=slots))
    assert muster.workers == 3


def test_it_adds_up_what_shards_took():
    muster = Muster()
    for done in (summary(), summary(), summary("h:2")):
        muster.settled(Outcome(REF, OutcomeKind.COMMITTED, done))
    used = muster.used()
    assert used == Usage(
        entries=6,
        seconds=pytest.approx(5.0, abs=1.0),
        worker_seconds=pytest.approx(10.0, abs=1.0),
        lane_seconds=pytest.approx(40.0, abs=4.0),
        bytes_read=450,
        requests=9,
        files=3,
        file_bytes=2100,
        ledger_objects=3,
    )


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(REF, OutcomeKind.LOST, reason="died"),
        Outcome(REF, OutcomeKind.BLOCKED, Summary("s", committed=False, blocked_by="disk_full")),
        Outcome(REF, OutcomeKind.COMMITTED, Summary("s", committed=False, was_done=True)),
    ],
)
def test_what_another_attempt_did_is_counted_there(outcome):
    muster = Muster()
    muster.settled(outcome)
    assert muster.used() == Usage()


def test_a_cluster_is_started_by_the_clock():
    muster = Muster()

    class Slow:
        dashboard = None

    def start():
        time.sleep(0.05)
        return Slow()

    assert isinstance(muster.opened(start), Slow)
    assert muster.start_seconds >= 0.05
