"""A GPU's process with many seats, which computes on the CPU here: what it makes, how it dies."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from farm import shard
from farm.errors import (
    ClusterError,
    CorruptError,
    LaneCrashError,
    LaneError,
    LaneMemoryError,
    LaneTimeoutError,
    SourceUnavailableError,
)
from farm.isolation import LanePool, gpu_lane, wire
from farm.isolation.gpu_lane import start_gpus, working
from farm.isolation.seat import Seat
from farm.record import Status
from tests.isolation.test_lane import PNG, make
from tests.lanes import WRITING_RULES, children, is_running, request, wait_until
from tests.recipes import OUTPUT, make_job
from tests.test_shard import Drain, sources, walk

SEATS = 4


def new_pool(**options):
    defaults = {"lanes": 1, "rules": WRITING_RULES}
    return LanePool(**defaults | {"gpus": 1, "gpu_seats": SEATS} | options)


@pytest.fixture(scope="module")
def pretended():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARM_PRETEND_GPUS", "1")
        yield patch


@pytest.fixture(scope="module")
def lost():
    """The causes for which a GPU was given up."""
    return []


@pytest.fixture(scope="module")
def pool(pretended, lost):
    """One whose GPU may die as often as the tests like."""
    pretended.setattr(gpu_lane, "MOST_DEATHS", 1000)
    pool = new_pool(gpu_lost=lost.append)
    yield pool
    pool.close()


@pytest.fixture
def gpu(pool):
    (gpu,) = pool._gpus
    wait_until(lambda: gpu.is_ready and is_running(pid_of(gpu)), seconds=60)
    return gpu


def pid_of(gpu):
    return gpu._process.pid


def make_one(pool, **values):
    with pool.lease() as lane:
        return lane.pid, make(lane, **values)


class TestSeats:
    def test_they_are_lanes_to_whoever_leases(self, pool, gpu):
        assert pool.lanes == 1 + SEATS
        with contextlib.ExitStack() as held:
            leased = [held.enter_context(pool.lease()) for _ in range(1 + SEATS)]
            pids = [lane.pid for lane in leased]
            assert pids[:SEATS] == [pid_of(gpu)] * SEATS
            assert pids[SEATS] != pid_of(gpu)
            payloads = {make(lane).payload for lane in leased}
        assert len(payloads) == 1
        assert payloads.pop().startswith(PNG)

    def test_entries_in_them_are_worked_on_at_the_same_time(self, pool, gpu):
        began = time.monotonic()
        with ThreadPoolExecutor(SEATS) as executor:
            works = [executor.submit(make_one, pool, sleep=1.0) for _ in range(SEATS)]
            pids = {work.result()[0] for work in works}
        assert pids == {pid_of(gpu)}
        assert time.monotonic() - began < 0.75 * SEATS

    def test_who_works_alone_has_a_lane_of_the_cpu(self, pool, gpu):
        with pool.lease(alone=True) as lane:
            assert lane.pid != pid_of(gpu)
            assert not isinstance(lane, Seat)

    def test_one_is_kept_for_the_next_entry(self, pool, gpu):
        with pool.lease() as seat:
            make(seat)
        with pool.lease() as again:
            assert again is seat

    def test_an_error_of_the_entry_costs_nothing(self, pool, gpu):
        with pytest.raises(CorruptError, match="asks for an error"), pool.lease() as seat:
            make(seat, fault="error")
        with pool.lease() as again:
            assert again is seat

    def test_ranges_come_from_the_worker(self, pool, gpu):
        data = b"FARMSYN1 {}\n" + bytes(1000)
        with pool.lease() as seat:
            asked = request(len(data), outputs=({"width": 16, "format": "png"},))
            reply = seat.call(
                asked,
                read_at=lambda offset, length: data[offset : offset + length],
                timeout_seconds=20,
            )
            assert reply.payload.startswith(PNG)

            def fail(offset, length):
                raise SourceUnavailableError("HTTP 503")

            with pytest.raises(SourceUnavailableError):
                seat.call(request(100), read_at=fail, timeout_seconds=20)

    def test_a_defect_of_ours_costs_a_seat_and_not_the_process(self, pool, gpu):
        with pytest.raises(ZeroDivisionError), pool.lease() as seat:
            raise ZeroDivisionError
        assert not seat.is_alive
        assert make_one(pool)[0] == pid_of(gpu) == seat.pid

    def test_neither_descriptors_nor_threads_pile_up(self, pool, gpu):
        def held():
            return [len(os.listdir(f"/proc/{pid_of(gpu)}/{kind}")) for kind in ("fd", "task")]

        with contextlib.ExitStack() as leases:
            for _ in range(SEATS):
                leases.enter_context(pool.lease())
        wait_until(lambda: held()[1] == held()[1])
        before = held()
        for fault in (None, "error") * 3:
            with contextlib.suppress(CorruptError):
                make_one(pool, fault=fault)
        for _ in range(3):
            with contextlib.suppress(ZeroDivisionError), pool.lease() as seat:
                raise ZeroDivisionError
            assert not seat.is_alive
        make_one(pool)
        wait_until(lambda: held() <= before)


@pytest.mark.parametrize(
    ("code", "error"), [("out_of_memory", LaneMemoryError), ("lane_failed", LaneError)]
)
def test_what_the_gpu_cannot_do_for_one_entry_does_not_cost_the_others(code, error):
    process = SimpleNamespace(pid=0, was_ended=False)
    ours, theirs = socket.socketpair()
    seat = Seat(ours, process)
    with theirs:
        wire.send(theirs, {"op": "error", "code": code, "message": "no"})
        with pytest.raises(error, match=r"^no$"):
            seat.call({}, timeout_seconds=5)
    assert seat.is_alive
    assert not process.was_ended
    seat.close()


class TestDeath:
    def both(self, pool, gpu, *, seconds=20.0, **bad):
        """The errors of an entry that ends the process, and of another one beside it."""
        with ThreadPoolExecutor(2) as executor:
            other = executor.submit(make_one, pool, sleep=30.0)
            wait_until(lambda: pool._turns._taken == 1)
            time.sleep(0.2)
            with pytest.raises((LaneCrashError, LaneTimeoutError)) as own:
                make_one(pool, seconds=seconds, **bad)
            with pytest.raises(LaneCrashError) as others:
                other.result(timeout=20)
        return own.value, others.value

    def test_it_takes_all_along_once_and_the_cpu_goes_on(self, pool, gpu):
        pid, deaths = pid_of(gpu), gpu.deaths
        own, others = self.both(pool, gpu, fault="segfault")
        assert str(own) == str(others) == "the GPU's process died of SIGSEGV"
        lane, reply = make_one(pool)
        assert reply.payload.startswith(PNG)
        assert lane != pid
        wait_until(lambda: gpu.is_ready and pid_of(gpu) != pid, seconds=60)
        assert gpu.deaths == deaths + 1
        assert make_one(pool)[0] == pid_of(gpu)

    def test_an_entry_past_its_time_ends_it(self, pool, gpu):
        own, others = self.both(pool, gpu, fault="hang", seconds=1.0)
        assert isinstance(own, LaneTimeoutError)
        assert str(others) == "the GPU's process was ended because of one of the entries in it"

    def test_of_a_shard_only_the_entry_that_did_it_is_quarantined(self, pool, gpu, tmp_path):
        (tmp_path / "in").mkdir()
        deaths = gpu.deaths
        bad = {"fault": "memory", "fault_file": str(tmp_path / "strikes"), "fault_times": 9}
        rows = sources(tmp_path, *[{"sleep": 0.5, "seed": n} for n in range(3)], bad)
        _, records = walk(
            tmp_path, rows, pool=pool, job=make_job(tmp_path, outputs=(OUTPUT | {"count": 3},))
        )
        statuses = [record.status for record in records.values()]
        assert statuses == [Status.OK] * 3 + [Status.QUARANTINED]
        assert (tmp_path / "strikes").read_bytes() == b".."
        assert gpu.deaths == deaths + 1
        others = [records[row].notes.get("first_attempt") for row in (1, 2, 3)]
        assert "decoder_crash: the GPU's process used more memory than it may" in others
        assert records[4].error_code == "out_of_memory"

    def test_a_drain_drops_what_takes_too_long(self, pool, gpu, tmp_path, monkeypatch):
        (tmp_path / "in").mkdir()
        monkeypatch.setattr(shard, "_WATCH_SECONDS", 0.02)
        drain = Drain()
        timer = threading.Timer(0.5, drain.begin)
        timer.start()
        rows = sources(tmp_path, {"fault": "hang"}, {"fault": "spin"})
        _, records = walk(tmp_path, rows, pool=pool, drain=drain, drain_seconds=0.1)
        assert {record.status for record in records.values()} == {Status.DEFERRED}


def test_after_too_many_deaths_it_is_given_up_and_lanes_go_on(pool, gpu, lost, monkeypatch):
    """Here by an answer that cannot be true: the process lives, but is not asked again."""
    pid = pid_of(gpu)
    monkeypatch.setattr(gpu_lane, "MOST_DEATHS", gpu.deaths + 1)
    assert lost == []
    with pytest.raises(LaneCrashError, match="a lie"), pool.lease():
        raise LaneCrashError("a lie")
    wait_until(lambda: lost)
    (cause,) = lost
    assert f"GPU pretended-0 is given up after {gpu.deaths} deaths: the GPU's process" in cause
    assert not is_running(pid)
    lane, reply = make_one(pool)
    assert reply.payload.startswith(PNG)
    assert lane != pid
    assert not gpu.is_ready


def test_it_ends_with_its_worker(pretended):
    script = (
        "import os, signal\n"
        "from farm.isolation.gpu_lane import start_gpus\n"
        "(gpu,) = start_gpus(1, seats=1, memory_bytes=1 << 30, changed=int, lost=print)\n"
        "gpu.await_start()\n"
        "print(gpu.fault, flush=True)\n"
        "seat = gpu.seat()\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout.readline() == "None\n"
        (pid,) = children(worker.pid)
        worker.kill()
    wait_until(lambda: not is_running(pid))


class TestWhichGpus:
    def start(self, asked):
        return start_gpus(asked, seats=1, memory_bytes=1 << 30, changed=int, lost=print)

    def test_none_is_none(self, pretended):
        assert self.start(0) == []

    def test_more_than_there_are_is_an_error(self, pretended):
        with pytest.raises(ClusterError, match=r"expected 2 GPUs, found 1: pretended-0"):
            self.start(2)

    def test_where_all_are_none_a_warning_is_enough(self, monkeypatch, caplog):
        monkeypatch.delenv("FARM_PRETEND_GPUS", raising=False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert self.start("all") == []
        assert "no GPU was found: the CPU does all the work" in caplog.text

    def test_one_that_does_not_work_is_an_error_where_a_number_was_asked(self, monkeypatch, caplog):
        monkeypatch.delenv("FARM_PRETEND_GPUS", raising=False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-none")
        gpus = self.start(1)
        with pytest.raises(
            ClusterError, match=r"expected 1 GPUs that work, found 0: GPU GPU-none: the GPU's pro"
        ):
            working(gpus, asked=1)
        assert working(gpus, asked="all") == []
        assert "GPU GPU-none: the GPU's process cannot work: " in caplog.text
        assert "no GPU works: the CPU does all the work" in caplog.text


@pytest.mark.needs_cuda
def test_a_real_gpu_gets_ready_and_makes_the_same(monkeypatch):
    monkeypatch.delenv("FARM_PRETEND_GPUS", raising=False)
    pool = new_pool(gpus="all")
    try:
        assert pool._gpus
        with contextlib.ExitStack() as held:
            leased = [held.enter_context(pool.lease()) for _ in range(pool.lanes)]
            payloads = {make(lane, seconds=60).payload for lane in leased}
        assert len(payloads) == 1
    finally:
        pool.close()
