"""Reserved lanes and wanted seats, with real processes."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from farm.entry import EntryWork
from farm.isolation.seat import Seat
from farm.row import Row
from tests.isolation.test_gpu import new_pool
from tests.isolation.test_lane import make
from tests.lanes import children, wait_until
from tests.recipes import OUTPUT, make_job, write_source


@pytest.fixture(scope="module")
def pool():
    pool = new_pool(gpus=0, reserved=1)
    yield pool
    pool.close()


def lanes_of(pool):
    return children(pool._zygote._process.pid)


def test_they_are_not_counted_and_made_when_first_needed(pool):
    assert pool.lanes == 1
    with pool.lease(urgent=True) as lane:
        make(lane)
    assert len(lanes_of(pool)) == 1
    with pool.lease() as lane, pool.lease(urgent=True) as reserved:
        assert make(lane).payload == make(reserved).payload
        assert len(lanes_of(pool)) == 2
    with pool.lease(urgent=True):
        assert len(lanes_of(pool)) == 2


def test_an_urgent_entry_ends_while_another_is_in_the_only_lane(pool):
    with ThreadPoolExecutor(1) as executor, pool.lease() as lane:
        slow = executor.submit(make, lane, sleep=2.0)
        for _ in range(3):
            with pool.lease(urgent=True) as reserved:
                make(reserved)
        assert not slow.done()
        slow.result()


def test_a_lone_turn_has_a_fresh_lane_and_a_reserved_one_beside_it(pool):
    with pool.lease(alone=True) as lone, pool.lease(urgent=True) as reserved:
        assert lone.entries_done == 0
        assert lone.pid != reserved.pid
        make(lone)
        make(reserved)
    wait_until(lambda: len(lanes_of(pool)) <= 2)


def lanes_used(pool, folder, row, **output):
    """The lanes that an entry was given."""
    used = []

    @contextlib.contextmanager
    def watched(lane):
        used.append(lane)
        yield

    job = make_job(folder, outputs=(OUTPUT | output,))
    EntryWork(pool, job, "here", watched).attempt(row, is_alone=False)
    return used


def test_who_wants_a_gpu_has_a_seat_alone_or_not(monkeypatch, tmp_path):
    monkeypatch.setenv("FARM_PRETEND_GPUS", "1")
    pool = new_pool(gpu_seats=1)
    row = Row(1, {"source": str(write_source(tmp_path / "a.syn"))})
    try:
        with ThreadPoolExecutor(1) as executor, pool.lease():
            # The only seat is taken: one entry has a lane, the other waits for the seat.
            named = executor.submit(lanes_used, pool, tmp_path, row, engine="nvdec")
            assert not isinstance(lanes_used(pool, tmp_path, row)[0], Seat)
            assert not named.done()
        assert isinstance(named.result()[0], Seat)
        with pool.lease(alone=True, gpu=True) as lane:
            assert isinstance(lane, Seat)
            make(lane)
    finally:
        pool.close()


def test_without_a_gpu_it_is_a_lane_of_the_cpu(pool):
    with pool.lease(gpu=True) as lane:
        make(lane)
