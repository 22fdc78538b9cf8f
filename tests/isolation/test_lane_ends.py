"""Why lanes end, as a worker's meter counts it, and how many places are taken meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from farm.errors import LaneCrashError, LaneTimeoutError
from farm.isolation import LanePool
from farm.meter import Meter
from tests.isolation.test_lane import make
from tests.lanes import RULES, wait_until


@pytest.fixture(scope="module")
def metered():
    """A pool of two lanes and one reserved, and its meter."""
    meter = Meter()
    pool = LanePool(lanes=2, reserved=1, rules=RULES, meter=meter)
    yield pool, meter
    pool.close()


@pytest.fixture
def pool(metered):
    return metered[0]


@pytest.fixture
def ends(metered):
    """What tells the ends since the test began, those of no lane left out."""
    meter = metered[1]
    before = meter.read().lane_ends

    def since():
        now = meter.read().lane_ends
        return {end: new for end in now if (new := now[end] - before.get(end, 0))}

    return since


def test_a_lane_that_answers_goes_on(pool, ends):
    with pool.lease() as lane:
        make(lane)
    with pool.lease() as lane:
        make(lane)
    assert ends() == {}


def test_one_that_dies_crashed(pool, ends):
    with pytest.raises(LaneCrashError), pool.lease() as lane:
        make(lane, fault="exit")
    assert ends() == {"crash": 1}


def test_one_whose_time_is_up(pool, ends):
    with pytest.raises(LaneTimeoutError), pool.lease() as lane:
        make(lane, seconds=0.3, sleep=30.0)
    assert ends() == {"timeout": 1}


def test_one_that_a_drain_drops_was_killed(pool, ends):
    with pytest.raises(LaneCrashError), pool.lease() as lane:
        drop_under_way(lane)
    assert ends() == {"killed": 1}


def drop_under_way(lane):
    with ThreadPoolExecutor(1) as executor:
        working = executor.submit(make, lane, sleep=30.0)
        wait_until(working.running)
        lane.kill()
        working.result(timeout=20)


@pytest.mark.parametrize(
    ("bound", "end"),
    [({"entries": 1}, "entries"), ({"seconds": 0.0}, "age")],
)
def test_one_that_is_worn(pool, ends, monkeypatch, bound, end):
    monkeypatch.setattr(pool, "_rules", replace(RULES, **bound))
    with pool.lease() as lane:
        make(lane)
    assert ends() == {end: 1}


def test_one_that_has_grown(pool, ends, monkeypatch):
    monkeypatch.setattr(pool, "_rules", replace(RULES, resident_bytes=1))
    monkeypatch.setattr("farm.isolation.lane._ENTRIES_BETWEEN_LOOKS", 1)
    with pool.lease() as lane:
        make(lane)
    assert ends() == {"memory": 1}


def test_one_whose_place_a_fresh_one_takes(pool, ends):
    with pool.lease() as lane:
        make(lane)
    with pool.lease(alone=True) as fresh:
        make(fresh)
    assert ends() == {"lone": 1}


def test_those_of_a_zygote_that_died(pool, ends):
    with pool.lease() as lane, pool.lease() as other:
        make(lane)
        make(other)
    pool._zygote._process.kill()
    wait_until(lambda: not pool._zygote.is_alive)
    with pool.lease() as lane:
        make(lane)
    assert ends()["zygote"] >= 2


def test_places_that_are_taken_and_entries_that_wait(pool):
    idle = pool.load()
    assert (idle.lanes, idle.lanes_busy, idle.reserved, idle.reserved_busy) == (2, 0, 1, 0)
    assert (idle.seats_busy, idle.waiting) == ({}, 0)
    done = threading.Event()

    def hold(urgent):
        with pool.lease(urgent=urgent):
            assert done.wait(30)

    with ThreadPoolExecutor(4) as executor:
        held = [executor.submit(hold, False) for _ in range(3)]
        wait_until(lambda: pool.load().waiting == 1)
        held.append(executor.submit(hold, True))
        wait_until(lambda: pool.load().reserved_busy == 1)
        busy = pool.load()
        done.set()
        for each in held:
            each.result(timeout=30)
    assert (busy.lanes_busy, busy.reserved_busy, busy.waiting) == (2, 1, 1)
    assert pool.load() == idle
