"""Lanes: they answer, and whatever a decoder does to one of them stays within it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from farm.errors import (
    ClusterError,
    CorruptError,
    InternalError,
    LaneCrashError,
    LaneMemoryError,
    LaneTimeoutError,
    SourceError,
    SourceUnavailableError,
)
from farm.isolation import Lane, LanePool, request_of, wire
from farm.isolation import lane as lane_module
from farm.settings import Limits
from farm.spec import Entry
from tests.lanes import (
    RULES,
    children,
    is_running,
    open_fds,
    request,
    shared_pool,
    wait_until,
)
from tests.recipes import recipe

ASKED = [
    {"width": 320},
    {"position": "-2", "accuracy": "exact", "format": "png", "compression": 0},
    {"count": 3, "max_drift": 0.0, "fidelity": "best", "previews": True, "filename": "{id}-%d.jpg"},
    {"width": 9, "height": 9, "fit": "pad", "background": "#ff0000", "format": "webp", "method": 0},
]


@pytest.mark.parametrize("output", ASKED)
@pytest.mark.parametrize("limits", [Limits(), Limits(frames=7, duration_seconds=1.5)])
def test_a_request_tells_a_lane_all_that_is_asked(output, limits):
    entry = Entry.model_validate(
        {"source": "/a.mp4", "destination": "/out", "outputs": [output], "id": "e", "size": 0}
    )
    told = request_of("make", entry, row=1, limits=limits, size_bytes=0, name="a.mp4")
    read = json.loads(json.dumps(told))
    assert Entry.model_validate(read["entry"]) == entry
    assert Limits.model_validate(read["limits"]) == limits


PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def pool() -> LanePool:
    return shared_pool()


def zygote_pid(pool):
    return pool._zygote._process.pid


def make(lane, *, seconds=20.0, **values):
    """The lane's reply for a recipe, read from a descriptor."""
    data = recipe(**values)
    with open(os.memfd_create("source"), "w+b") as file:
        file.write(data)
        file.flush()
        asked = request(len(data), outputs=({"width": 16, "format": "png"},))
        return lane.call(asked, fd=file.fileno(), timeout_seconds=seconds)


class TestAnswers:
    def test_pictures_and_facts(self, pool):
        with pool.lease() as lane:
            reply = make(lane)
        (fact,) = reply.header["files"]
        assert reply.header["op"] == "made"
        assert (fact["output"], fact["index"], fact["width"], fact["height"]) == (0, 1, 16, 12)
        assert fact["size_bytes"] == len(reply.payload)
        assert reply.payload.startswith(PNG)
        assert reply.header["bytes_read"] > 0

    def test_ranges_from_the_worker_give_the_same_as_a_descriptor(self, pool):
        data, asked = recipe(), []

        def read_at(offset, length):
            asked.append((offset, length))
            return data[offset : offset + length]

        with pool.lease() as lane:
            by_fd = make(lane)
            asking = request(len(data), outputs=({"width": 16, "format": "png"},))
            by_range = lane.call(asking, read_at=read_at, timeout_seconds=20)
        assert by_range.payload == by_fd.payload
        assert by_range.header["bytes_read"] == sum(length for _, length in asked)

    def test_the_head_may_come_with_the_request(self, pool):
        data = recipe()
        asking = request(len(data), outputs=({"width": 16, "format": "png"},))
        with pool.lease() as lane:
            by_fd = make(lane)
            by_head = lane.call(asking, head=data, timeout_seconds=20)
        assert by_head.payload == by_fd.payload
        assert by_head.header["bytes_read"] == len(data)

    def test_a_lane_is_kept_for_the_next_entry(self, pool):
        with pool.lease() as lane:
            make(lane)
        with pool.lease() as again:
            make(again)
        assert lane is again

    def test_an_error_of_the_entry_is_raised_here_and_costs_no_lane(self, pool):
        with pytest.raises(CorruptError, match=r"a\.syn: the recipe asks for an error"):  # noqa: SIM117
            with pool.lease() as lane:
                make(lane, fault="error")
        with pool.lease() as again:
            make(again)
        assert lane is again

    def test_the_error_of_a_read_comes_back_as_it_was(self, pool):
        def read_at(offset, length):
            raise SourceUnavailableError("cannot read 's3://b/k': HTTP 503")

        with pool.lease() as lane:
            with pytest.raises(SourceUnavailableError, match="HTTP 503"):
                lane.call(request(100), read_at=read_at, timeout_seconds=20)
            assert lane.is_alive
            assert make(lane).payload.startswith(PNG)

    def test_descriptors_do_not_pile_up_on_either_side(self, pool):
        with pool.lease() as lane:
            make(lane)
            before = open_fds(), len(os.listdir(f"/proc/{lane.pid}/fd"))
            for fault in (None, "error"):
                for _ in range(5):
                    with contextlib.suppress(CorruptError):
                        make(lane, fault=fault)
            assert (open_fds(), len(os.listdir(f"/proc/{lane.pid}/fd"))) == before


class TestDeath:
    @pytest.mark.parametrize(
        ("fault", "error", "message"),
        [
            ("segfault", LaneCrashError, "the decoder's process died of SIGSEGV"),
            ("abort", LaneCrashError, "the decoder's process died of SIGABRT"),
            ("exit", LaneCrashError, "the decoder's process ended with exit code 3"),
            ("memory", LaneMemoryError, "more memory than a lane may have"),
        ],
    )
    def test_its_cause_is_told_and_the_next_entry_has_another_lane(
        self, pool, fault, error, message
    ):
        with pytest.raises(error, match=message):  # noqa: SIM117
            with pool.lease() as lane:
                make(lane, fault=fault)
        assert not lane.is_alive
        wait_until(lambda: not is_running(lane.pid))
        with pool.lease() as other:
            assert other.pid != lane.pid
            assert make(other).payload.startswith(PNG)

    @pytest.mark.parametrize("fault", ["hang", "spin"])
    def test_an_entry_past_its_time_is_killed(self, pool, fault):
        began = time.monotonic()
        with pytest.raises(LaneTimeoutError, match=r"took longer than 0\.3 s"):  # noqa: SIM117
            with pool.lease() as lane:
                make(lane, fault=fault, seconds=0.3)
        assert 0.25 < time.monotonic() - began < 5
        wait_until(lambda: not is_running(lane.pid))

    def test_another_thread_may_kill_it_during_a_call(self, pool):
        with pool.lease() as lane, ThreadPoolExecutor(1) as executor:
            call = executor.submit(make, lane, fault="hang")
            time.sleep(0.2)
            assert not call.done()
            lane.kill()
            with pytest.raises(LaneCrashError, match="SIGKILL"):
                call.result(timeout=5)

    def test_a_defect_of_ours_leaves_no_lane_in_an_unknown_state(self, pool):
        with pytest.raises(RuntimeError, match="ours"), pool.lease() as lane:
            raise RuntimeError("ours")
        assert not lane.is_alive
        wait_until(lambda: not is_running(lane.pid))

    def test_it_ends_when_the_worker_is_gone(self, pool):
        with pool.lease() as lane:
            make(lane)
            lane._sock.shutdown(socket.SHUT_RDWR)
            wait_until(lambda: not is_running(lane.pid))
            with pytest.raises(LaneCrashError):
                make(lane)

    def test_whatever_it_started_dies_with_it(self):
        script = "sleep 60 & echo $!; wait"
        with subprocess.Popen(["sh", "-c", script], process_group=0, stdout=subprocess.PIPE) as sh:
            child = int(sh.stdout.readline())
            ours, theirs = socket.socketpair()
            with theirs:
                Lane(sh.pid, ours, Exits(None)).close()
            assert sh.wait(timeout=5) == -signal.SIGKILL
        wait_until(lambda: not is_running(child))


class TestIsolation:
    def test_signals_of_a_terminal_or_a_supervisor_are_not_its_own(self, pool):
        with pool.lease() as lane:
            make(lane)
            for pid in (lane.pid, zygote_pid(pool)):
                os.kill(pid, signal.SIGINT)
                os.kill(pid, signal.SIGTERM)
            assert make(lane).payload.startswith(PNG)
            assert os.getsid(lane.pid) != os.getsid(0)
            assert os.getpgid(lane.pid) == lane.pid

    @pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
    def test_its_limits(self, pool):
        with pool.lease() as lane:
            make(lane)
            process = Path(f"/proc/{lane.pid}")
            assert (process / "oom_score_adj").read_text().strip() == "1000"
            limits = (process / "limits").read_text().splitlines()
            allowed = next(line for line in limits if line.startswith("Max address space")).split()
            assert int(allowed[3]) > RULES.memory_bytes
            core = next(line for line in limits if line.startswith("Max core")).split()
            assert core[4] == "0"
            for stream in (0, 1, 2):
                assert os.readlink(process / f"fd/{stream}") == "/dev/null"

    def test_it_is_single_threaded_and_holds_no_socket_of_another(self, pool):
        with pool.lease() as lane, pool.lease() as other:
            make(lane)
            make(other)
            for one in (lane, other):
                assert len(os.listdir(f"/proc/{one.pid}/task")) == 1
                links = [os.readlink(f"/proc/{one.pid}/fd/{fd}") for fd in range(3, 32)
                         if os.path.lexists(f"/proc/{one.pid}/fd/{fd}")]  # fmt: skip
                assert len([link for link in links if link.startswith("socket:")]) == 1


class Exits:
    """A zygote that knows one exit code."""

    def __init__(self, exit_code):
        self._exit_code = exit_code

    def exit_code(self, pid, *, wait_seconds):
        return self._exit_code


class TestLies:
    """A lane that a hostile file took over says what it likes."""

    @pytest.fixture
    def liar(self):
        ours, theirs = socket.socketpair()
        lane = Lane(0, ours, Exits(0))
        with theirs:
            yield lane, theirs
            lane.close()

    @pytest.mark.parametrize(
        "read",
        [
            {"offset": 0, "length": 0},
            {"offset": 0, "length": (64 << 20) + 1},
            {"offset": -1, "length": 1},
            {"offset": "0", "length": 1},
            {"offset": 0},
            {},
        ],
    )
    def test_a_read_out_of_bounds(self, liar, read):
        lane, theirs = liar
        wire.send(theirs, {"op": "read"} | read)
        with pytest.raises(LaneCrashError, match="impossible answer: read of"):
            lane.call({}, read_at=lambda offset, length: b"", timeout_seconds=5)
        assert not lane.is_alive

    def test_a_read_of_a_source_that_it_holds_itself(self, liar):
        lane, theirs = liar
        wire.send(theirs, {"op": "read", "offset": 0, "length": 1})
        with pytest.raises(LaneCrashError, match="impossible answer"):
            lane.call({}, timeout_seconds=5)

    @pytest.mark.parametrize("data", [b"\xff" * 12, b"\0\0\0\2" + bytes(8) + b"[]"])
    def test_what_is_no_message(self, liar, data):
        lane, theirs = liar
        theirs.sendall(data)
        with pytest.raises(LaneCrashError, match="impossible answer"):
            lane.call({}, timeout_seconds=5)
        assert not lane.is_alive

    def test_success_after_a_read_that_failed(self, liar):
        lane, theirs = liar
        wire.send(theirs, {"op": "read", "offset": 0, "length": 1})
        wire.send(theirs, {"op": "made"})

        def read_at(offset, length):
            raise SourceError("gone")

        with pytest.raises(SourceError, match="gone"):
            lane.call({}, read_at=read_at, timeout_seconds=5)

    def test_an_endless_stream_of_reads_ends_with_the_time(self, liar):
        lane, theirs = liar

        def ask():
            with contextlib.suppress(OSError, EOFError):
                while True:
                    wire.send(theirs, {"op": "read", "offset": 0, "length": 1})
                    wire.receive(theirs)

        asker = threading.Thread(target=ask)
        asker.start()
        with pytest.raises(LaneTimeoutError):
            lane.call({}, read_at=lambda offset, length: b"x", timeout_seconds=0.2)
        asker.join(5)
        assert not asker.is_alive()

    def test_half_a_character_does_not_reach_a_record(self, liar):
        lane, theirs = liar
        wire.send(theirs, {"op": "error", "code": "corrupt", "message": "a\ud800b"})
        with pytest.raises(CorruptError, match=r"^a\?b$"):
            lane.call({}, timeout_seconds=5)

    def test_an_error_that_nobody_knows_is_a_defect(self, liar):
        lane, theirs = liar
        wire.send(theirs, {"op": "error", "code": "no_such_code", "message": "x" * 5000})
        with pytest.raises(InternalError, match=r"^x{1000}$"):
            lane.call({}, timeout_seconds=5)


class TestPool:
    def test_no_more_lanes_work_at_once_than_were_granted(self, pool):
        with ThreadPoolExecutor(1) as executor, contextlib.ExitStack() as held:
            for _ in range(pool.lanes):
                held.enter_context(pool.lease())
            waiting = pool.lease()
            third = executor.submit(waiting.__enter__)
            time.sleep(0.1)
            assert not third.done()
            held.close()
            assert third.result(timeout=5).is_alive
            waiting.__exit__(None, None, None)

    def test_a_fresh_lane_has_seen_no_entry_and_takes_the_place_of_another(self, pool):
        with pool.lease() as lane, pool.lease() as other:
            make(lane)
            make(other)
        with pool.lease(alone=True) as fresh:
            assert fresh.entries_done == 0
            assert fresh.pid not in (lane.pid, other.pid)
            wait_until(lambda: len(children(zygote_pid(pool))) == pool.lanes)

    def test_one_that_works_alone_waits_for_the_others_and_they_for_it(self, pool):
        begun, done = [], threading.Event()

        def work(name, *, alone):
            with pool.lease(alone=alone):
                begun.append(name)
                assert not alone or done.wait(20)

        with ThreadPoolExecutor(3) as executor:
            with pool.lease():
                alone = executor.submit(work, "alone", alone=True)
                wait_until(lambda: pool._turns._waiting)
                # There is a lane to be had, but who waits for all of them goes first.
                others = [executor.submit(work, "other", alone=False) for _ in range(2)]
                time.sleep(0.1)
                assert begun == []
            wait_until(lambda: begun)
            time.sleep(0.1)
            assert begun == ["alone"]
            done.set()
            for each in (alone, *others):
                each.result(timeout=20)
        assert begun == ["alone", "other", "other"]

    def test_a_lane_is_replaced_when_it_is_used_up(self, pool, monkeypatch):
        monkeypatch.setattr(pool, "_rules", replace(RULES, entries=2))
        seen = []
        for _ in range(4):
            with pool.lease(alone=not seen) as lane:
                make(lane)
            seen.append(lane.pid)
        assert seen[0] == seen[1] != seen[2] == seen[3]
        wait_until(lambda: not is_running(seen[0]))

    @pytest.mark.parametrize("worn", [{"seconds": 1e-3}, {"resident_bytes": 1}])
    def test_a_lane_is_replaced_when_it_is_old_or_has_grown(self, pool, monkeypatch, worn):
        monkeypatch.setattr(pool, "_rules", replace(RULES, **worn))
        monkeypatch.setattr(lane_module, "_ENTRIES_BETWEEN_LOOKS", 1)
        with pool.lease(alone=True) as lane:
            make(lane)
            assert lane_module.resident_bytes(lane.pid) > 1 << 20
        wait_until(lambda: not is_running(lane.pid))

    def test_lanes_die_with_their_zygote_and_the_pool_starts_another(self, pool):
        with pool.lease() as lane:
            make(lane)
        zygote = zygote_pid(pool)
        os.kill(zygote, signal.SIGKILL)
        wait_until(lambda: not is_running(lane.pid))
        wait_until(lambda: not pool._zygote.is_alive)
        with pool.lease() as other:
            assert make(other).payload.startswith(PNG)
        assert zygote_pid(pool) != zygote
        assert not is_running(zygote)

    def test_closing_ends_all(self, pool):
        with pool.lease() as lane, pool.lease() as other:
            make(lane)
            make(other)
        pids = [lane.pid, other.pid, zygote_pid(pool)]
        pool.close()
        wait_until(lambda: not any(map(is_running, pids)))
        pool.close()

    def test_a_zygote_that_cannot_start_says_where_to_look(self, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(ClusterError, match=r"did not start \(exit code 1\).*farm doctor"):
            LanePool(lanes=1, rules=RULES)
