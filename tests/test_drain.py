"""Drains of single runs, and of a worker that leaves."""

import time

from farm.drain import Drains


def test_without_a_drain_nothing_ends():
    drains = Drains()
    assert drains.ends("run", 30) is None
    assert not drains.is_of("run")
    assert not drains.is_of_all


def test_one_of_a_run_is_no_affair_of_another():
    drains = Drains()
    drains.begin("run")
    assert drains.is_of("run")
    assert drains.ends("other", 30) is None
    assert not drains.is_of_all


def test_the_clock_runs_from_the_first():
    drains = Drains()
    drains.begin("run")
    ends = drains.ends("run", 30)
    assert ends is not None
    assert 29 < ends - time.monotonic() <= 30
    drains.begin("run")
    assert drains.ends("run", 30) == ends


def test_a_worker_that_leaves_drains_all_runs():
    drains = Drains()
    drains.begin_all(5)
    drains.begin_all(500)
    assert drains.is_of("any")
    ends = drains.ends("any", 30)
    assert ends is not None
    assert ends - time.monotonic() <= 5


def test_the_earlier_end_counts():
    drains = Drains()
    drains.begin("hasty")
    drains.begin_all(100)
    hasty, other = drains.ends("hasty", 1), drains.ends("other", 1)
    assert hasty is not None
    assert other is not None
    assert hasty < other
