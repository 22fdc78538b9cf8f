"""A shard whose entries wait for a rate: it is not stuck, and a drain does not wait for them."""

import threading
import time

from farm import shard
from farm.manners import Rates
from farm.record import Status
from farm.row import Row
from farm.shard import ShardWalk
from farm.throttle import Throttle
from tests.lanes import shared_pool
from tests.recipes import make_job, write_source


def new_walk(folder, count, *, drain_ends=lambda: None):
    rows = [Row(n, {"source": str(write_source(folder / f"{n}.syn"))}) for n in range(1, count + 1)]
    return ShardWalk(
        shared_pool(), make_job(folder), rows, worker="here:1", drain_ends=drain_ends, is_final=True
    )


def test_its_entries_are_made_all_the_same(tmp_path):
    walk = new_walk(tmp_path, 6)
    size = (tmp_path / "1.syn").stat().st_size
    walk.throttle = Throttle(Rates(bytes_per_second=2 * size))
    began = time.monotonic()
    records = walk.run()
    assert {record.status for record in records} == {Status.OK}
    # Two of six are there at once.
    assert 1.8 <= time.monotonic() - began < 60


def test_who_waits_is_no_longer_quiet_than_a_step(tmp_path):
    walk = new_walk(tmp_path, 2)
    walk.throttle = Throttle(Rates(bytes_per_second=10))
    walk.pace._allowed_seconds = 0
    heard = []
    over = threading.Event()

    def listen():
        while not over.wait(0.05):
            heard.append(walk.pace.overdue_seconds)

    listener = threading.Thread(target=listen)
    listener.start()
    began = time.monotonic()
    walk.run()
    seconds = time.monotonic() - began
    over.set()
    listener.join()
    assert seconds > 4
    assert max(heard) < seconds / 2


def test_those_that_wait_are_dropped_with_those_in_lanes(tmp_path, monkeypatch):
    monkeypatch.setattr(shard, "_WATCH_SECONDS", 0.02)
    ends = time.monotonic() + 1
    walk = new_walk(tmp_path, 4, drain_ends=lambda: ends if time.monotonic() > ends - 0.5 else None)
    walk.throttle = Throttle(Rates(bytes_per_second=0.01))
    records = walk.run()
    assert time.monotonic() < ends + 60
    assert {record.status for record in records} == {Status.DEFERRED}
