"""One urgent entry: made like a shard's, and cancelled at any moment."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from farm.errors import LaneCrashError, LaneTimeoutError
from farm.isolation import Reply
from farm.record import Status
from farm.settings import Limits
from farm.spec import Entry
from farm.urgent import UrgentEntry
from tests.recipes import OUTPUT, write_source

DIED = LaneCrashError("the decoder's process died of SIGSEGV")
FACTS = {
    "files": [
        {"output": 0, "index": 1, "width": 1, "height": 1, "size_bytes": 3, "pts_seconds": 0.0}
    ],
    "engine": "synthetic",
    "engine_version": "1",
    "fallback": None,
    "warnings": [],
    "notes": {},
    "timings_ms": {},
    "bytes_read": 9,
}


@dataclass
class ScriptedLane:
    """A lane that answers as `script(lane)` says."""

    script: object
    is_shared: bool
    killed: threading.Event = field(default_factory=threading.Event)

    def call(self, request, **_):
        self.script(self)
        return Reply({"op": "made", **FACTS}, b"png")

    def kill(self):
        self.killed.set()


@dataclass
class ScriptedPool:
    """Lanes without processes; `asked` is how each was leased."""

    script: object
    is_shared: bool = False
    asked: list = field(default_factory=list)
    before: object = lambda: None

    @contextlib.contextmanager
    def lease(self, **asked):
        self.asked.append(asked)
        self.before()
        yield ScriptedLane(self.script, self.is_shared)


@pytest.fixture
def make(tmp_path):
    def made(pool, **output):
        source = write_source(tmp_path / "a.syn")
        entry = Entry(
            source=str(source),
            id="a",
            destination=str(tmp_path / "out"),
            outputs=(OUTPUT | output,),
        )
        return UrgentEntry(pool, entry, limits=Limits(), worker="here:1")

    return made


def stored(folder):
    return list((folder / "out").rglob("*.png"))


def test_it_goes_first_and_its_record_is_like_any_other(make, tmp_path):
    pool = ScriptedPool(lambda lane: None)
    record = make(pool).run()
    assert pool.asked == [{"alone": False, "urgent": True, "gpu": False}]
    assert (record.status, record.id, record.worker) == (Status.OK, "a", "here:1")
    assert len(record.fingerprint) == 32
    assert len(stored(tmp_path)) == 1


@pytest.mark.parametrize(("engine", "gpu"), [("nvdec", True), ("dali", True), ("pyav", False)])
def test_an_engine_made_for_gpus_wants_a_seat(make, engine, gpu):
    pool = ScriptedPool(lambda lane: None)
    make(pool, engine=engine).run()
    assert pool.asked[0]["gpu"] is gpu


def test_the_second_try_is_alone_and_urgent(make):
    errors = [DIED, LaneTimeoutError("took longer than 1 s")]

    def fail(lane):
        raise errors.pop(0)

    pool = ScriptedPool(fail)
    record = make(pool).run()
    assert [asked["alone"] for asked in pool.asked] == [False, True]
    assert all(asked["urgent"] for asked in pool.asked)
    assert (record.status, record.error_code, record.attempts) == (Status.QUARANTINED, "timeout", 2)


def test_one_that_is_cancelled_before_it_begins_asks_for_nothing(make):
    pool = ScriptedPool(lambda lane: None)
    work = make(pool)
    work.cancel()
    assert work.run().status is Status.DEFERRED
    assert pool.asked == []


def test_one_that_is_cancelled_while_it_waits_for_a_lane_does_not_use_it(make, tmp_path):
    used = []
    pool = ScriptedPool(used.append)
    work = make(pool)
    pool.before = work.cancel
    assert work.run().status is Status.DEFERRED
    assert (used, stored(tmp_path)) == ([], [])


def test_one_that_is_cancelled_in_its_lane_ends_it_and_is_not_tried_again(make, tmp_path):
    begun = threading.Event()

    def hang(lane):
        begun.set()
        assert lane.killed.wait(20)
        raise DIED

    pool = ScriptedPool(hang)
    work = make(pool)
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(work.run)
        assert begun.wait(20)
        work.cancel()
        assert running.result(timeout=20).status is Status.DEFERRED
    assert len(pool.asked) == 1
    assert stored(tmp_path) == []


def test_a_seat_is_left_to_its_work_which_is_in_vain(make, tmp_path):
    lanes = []

    def work_on(lane):
        lanes.append(lane)
        work.cancel()

    work = make(ScriptedPool(work_on, is_shared=True))
    assert work.run().status is Status.DEFERRED
    assert not lanes[0].killed.is_set()
    assert stored(tmp_path) == []


def test_one_that_was_made_already_stays_made(make):
    work = make(ScriptedPool(lambda lane: None))
    record = work.run()
    work.cancel()
    assert record.status is Status.OK


def test_what_a_lane_may_use_is_the_callers(make, tmp_path):
    pool = ScriptedPool(lambda lane: None)
    source = write_source(tmp_path / "b.syn")
    outputs = (OUTPUT, OUTPUT | {"filename": "x.png"})
    entry = Entry(source=str(source), destination=str(tmp_path / "out"), outputs=outputs)
    record = UrgentEntry(pool, entry, limits=Limits(outputs=1), worker="w").run()
    assert (record.status, record.error_code) == (Status.FAILED, "too_many_outputs")
