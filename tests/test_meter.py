"""The meter of a worker."""

import math
import threading

import pytest

from farm.meter import STAGE_BOUNDS_SECONDS, LaneEnd, Meter
from farm.record import STAGES, Artifact, Record, Status


def record(**values):
    return Record(row=1, **{"status": Status.OK} | values)


def artifact(size_bytes):
    return Artifact("/out/1.png", 0, 0, size_bytes, "", 1, 1, "png")


@pytest.fixture
def meter():
    return Meter()


def test_nothing_has_been_counted_at_first(meter):
    reading = meter.read()
    assert (reading.entries, reading.failures, reading.lane_ends) == ({}, {}, {})
    assert (reading.pictures, reading.bytes_read, reading.bytes_written) == (0, 0, 0)
    assert list(reading.stages) == list(STAGES)
    assert {(sum(times.counts), times.seconds) for times in reading.stages.values()} == {(0, 0)}


def test_entries_failures_and_bytes_are_counted(meter):
    meter.entry_ended(record(artifacts=(artifact(5), artifact(6)), bytes_read=100))
    meter.entry_ended(record(artifacts=(artifact(7),), bytes_read=10))
    meter.entry_ended(record(status=Status.FAILED, error_code="corrupt", bytes_read=1))
    meter.entry_ended(record(status=Status.QUARANTINED, error_code="timeout"))
    meter.entry_ended(record(status=Status.DEFERRED))
    reading = meter.read()
    assert reading.entries == {"ok": 2, "failed": 1, "quarantined": 1, "deferred": 1}
    assert reading.failures == {"corrupt": 1, "timeout": 1}
    assert (reading.pictures, reading.bytes_read, reading.bytes_written) == (3, 111, 18)


@pytest.mark.parametrize(
    ("milliseconds", "place"), [(0.0, 0), (1.0, 0), (1.5, 1), (100_000.0, -2), (100_001.0, -1)]
)
def test_times_fall_into_the_class_whose_bound_they_do_not_pass(meter, milliseconds, place):
    meter.entry_ended(record(timings_ms={"decode": milliseconds}))
    times = meter.read().stages["decode"]
    assert len(times.counts) == len(STAGE_BOUNDS_SECONDS) + 1
    assert times.counts[place] == sum(times.counts) == 1
    assert times.seconds == milliseconds / 1e3


@pytest.mark.parametrize("timings", [{"decode": math.nan}, {"decode": math.inf}, {"decode": -1.0},
                                     {"x" * 100: 5.0}])  # fmt: skip
def test_times_that_no_lane_can_mean_are_not_counted(meter, timings):
    meter.entry_ended(record(timings_ms=timings))
    stages = meter.read().stages
    assert list(stages) == list(STAGES)
    assert sum(times.seconds + sum(times.counts) for times in stages.values()) == 0


def test_lanes_are_counted_by_their_end(meter):
    for end in (LaneEnd.AGE, LaneEnd.CRASH, LaneEnd.AGE):
        meter.lane_ended(end)
    assert meter.read().lane_ends == {"age": 2, "crash": 1}


def test_threads_do_not_lose_each_others_counts(meter):
    done = record(timings_ms=dict.fromkeys(STAGES, 1.0), bytes_read=1)

    def count():
        for _ in range(500):
            meter.entry_ended(done)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reading = meter.read()
    assert reading.entries == {"ok": 2000}
    assert reading.bytes_read == 2000
    assert {times.counts[0] for times in reading.stages.values()} == {2000}
