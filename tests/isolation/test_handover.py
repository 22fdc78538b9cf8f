"""A zygote that waits for its worker: taken once, by one pool, and gone with it."""

import os
import stat
from pathlib import Path

import pytest

from farm.isolation import EarlyZygote, LanePool
from farm.isolation.handover import take_over
from tests.isolation.test_lane import PNG, make
from tests.lanes import RULES, children, is_running, open_fds, wait_until


@pytest.fixture
def early():
    early = EarlyZygote(RULES)
    yield early
    early.close()


def new_pool(address: str) -> LanePool:
    return LanePool(lanes=1, rules=RULES, zygote_address=address)


def test_a_pool_forks_its_lanes_from_it_and_ends_it(early):
    pool = new_pool(early.address)
    with pool.lease() as lane:
        assert make(lane).payload.startswith(PNG)
    assert lane.pid in children(early._process.pid)
    assert take_over(early.address) is None
    pool.close()
    wait_until(lambda: not is_running(lane.pid))
    # No zombie is left either.
    wait_until(lambda: not Path(f"/proc/{early._process.pid}").exists())
    assert early._process.returncode == 0


def test_nobody_else_may_take_it(early):
    folder = Path(early.address).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_untaken_it_ends_and_leaves_nothing():
    before = open_fds()
    early = EarlyZygote(RULES)
    early.close()
    early.close()
    assert not is_running(early._process.pid)
    assert not Path(early.address).parent.exists()
    assert open_fds() == before


def test_where_there_is_none_a_pool_starts_its_own(tmp_path):
    pool = new_pool(str(tmp_path / "none"))
    try:
        assert pool._zygote._process.pid in children(os.getpid())
    finally:
        pool.close()
