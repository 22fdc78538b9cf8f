"""Whose turn it is: the urgent's, the lone one's, all others'; seats of GPUs first, then lanes."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from farm.isolation import turn
from farm.isolation.turn import Turns
from tests.lanes import wait_until


class Gpu(SimpleNamespace):
    """A GPU that is ready, or not, as told."""

    __hash__ = object.__hash__


def make_turns(*, lanes, reserved=0, **seats):
    turns = Turns(lanes, reserved=reserved)
    gpus = {name: Gpu(seats=count, is_ready=True, fault=None) for name, count in seats.items()}
    for gpu in gpus.values():
        turns.admit(gpu)
    return turns, gpus


def test_seats_go_first_and_the_freest_gpu_before_others():
    turns, gpus = make_turns(lanes=2, a=1, b=2)
    with contextlib.ExitStack() as held:
        got = [held.enter_context(turns.turn()) for _ in range(5)]
    assert got[0] is gpus["b"]
    assert {id(got[1]), id(got[2])} == {id(gpus["a"]), id(gpus["b"])}
    assert got[3:] == [None, None]


def test_a_gpu_that_is_not_ready_has_none():
    turns, gpus = make_turns(lanes=2, a=1)
    gpus["a"].is_ready = False
    with turns.turn() as one, turns.turn() as other:
        assert (one, other) == (None, None)


def test_one_that_waits_is_told_when_a_gpu_gets_ready():
    turns, gpus = make_turns(lanes=1, a=1)
    gpus["a"].is_ready = False
    with ThreadPoolExecutor(1) as executor, turns.turn():
        waiting = turns.turn()
        begun = executor.submit(waiting.__enter__)
        gpus["a"].is_ready = True
        turns.look_again()
        assert begun.result(timeout=10) is gpus["a"]
        waiting.__exit__(None, None, None)


def test_alone_means_without_seats_too():
    turns, gpus = make_turns(lanes=1, a=2)
    over = threading.Event()
    begun = []

    def work(*, alone):
        with turns.turn(alone=alone) as gpu:
            begun.append((alone, gpu))
            assert not alone or over.wait(20)

    with ThreadPoolExecutor(2) as executor:
        with turns.turn() as first:
            assert first is gpus["a"]
            alone = executor.submit(work, alone=True)
            wait_until(lambda: turns._waiting)
            other = executor.submit(work, alone=False)
            assert begun == []
        wait_until(lambda: begun == [(True, None)])
        over.set()
        alone.result(timeout=20)
        other.result(timeout=20)
    assert begun == [(True, None), (False, gpus["a"])]


def test_a_turn_that_ends_badly_ends():
    turns, _ = make_turns(lanes=1)
    for alone in (True, False, True):
        with contextlib.suppress(ValueError), turns.turn(alone=alone):
            raise ValueError
    with turns.turn() as gpu:
        assert gpu is None


class Line:
    """Those that ask for turns one after the other, each in a thread, and who has begun."""

    def __init__(self, turns):
        self._turns = turns
        self._over = {}
        self.began = []
        self._executor = ThreadPoolExecutor(16)
        self._works = []

    def ask(self, name, **wish):
        """Returns when it waits or has begun."""
        before = len(self.began) + len(self._turns._waiting)
        self._over[name] = threading.Event()
        self._works.append(self._executor.submit(self._work, name, wish))
        wait_until(lambda: len(self.began) + len(self._turns._waiting) > before)

    def _work(self, name, wish):
        with self._turns.turn(**wish):
            self.began.append(name)
            assert self._over[name].wait(20)

    def end(self, name, *, then):
        """Ends a turn, after which these have begun, in this order."""
        expected = [*self.began, *then]
        self._over[name].set()
        wait_until(lambda: len(self.began) >= len(expected))
        assert self.began == expected

    def close(self):
        for over in self._over.values():
            over.set()
        for work in self._works:
            work.result(timeout=20)
        self._executor.shutdown()


@pytest.fixture
def line():
    """Makes lines, and ends them with the test."""
    with contextlib.ExitStack() as stack:

        def make(turns):
            made = Line(turns)
            stack.callback(made.close)
            return made

        yield make


class TestUrgent:
    def test_it_goes_before_all_that_wait_and_not_before_those_that_work(self, line):
        one = line(make_turns(lanes=1)[0])
        one.ask("working")
        one.ask("first")
        one.ask("alone", alone=True)
        one.ask("urgent", urgent=True)
        one.ask("urgent too", urgent=True)
        assert one.began == ["working"]
        one.end("working", then=["urgent"])
        one.end("urgent", then=["urgent too"])
        one.end("urgent too", then=["alone"])
        one.end("alone", then=["first"])

    def test_reserved_lanes_are_for_them_only_and_taken_last(self, line):
        turns, _ = make_turns(lanes=1, reserved=1)
        one = line(turns)
        one.ask("urgent", urgent=True)
        one.ask("urgent too", urgent=True)
        one.ask("another")
        assert one.began == ["urgent", "urgent too"]
        one.end("urgent too", then=[])
        assert len(turns._waiting) == 1
        one.end("urgent", then=["another"])

    def test_those_on_reserved_lanes_and_a_lone_one_do_not_know_each_other(self, line):
        one = line(make_turns(lanes=2, reserved=1)[0])
        one.ask("filling", urgent=True)
        one.ask("filling too")
        one.ask("reserved", urgent=True)
        one.ask("alone", alone=True)
        one.end("filling", then=[])
        one.end("filling too", then=["alone"])
        one.end("reserved", then=[])
        one.ask("urgent", urgent=True)
        one.ask("waiting", urgent=True)
        assert one.began[-2:] == ["alone", "urgent"]
        # A turn beside the lone one ended: that is no reason to begin on a lane.
        one.end("urgent", then=["waiting"])
        one.ask("last", urgent=True)
        assert one.began[-1] == "waiting"
        one.end("alone", then=["last"])

    def test_one_that_works_alone_waits_for_the_lanes_and_goes_before_others(self, line):
        one = line(make_turns(lanes=2)[0])
        one.ask("working")
        one.ask("waiting", alone=True)
        one.ask("alone", alone=True, urgent=True)
        one.ask("urgent", urgent=True)
        assert one.began == ["working"]
        one.end("working", then=["alone"])
        one.end("alone", then=["urgent"])
        one.end("urgent", then=["waiting"])

    def test_a_lone_one_has_waited_long_enough_some_day(self, line, monkeypatch):
        monkeypatch.setattr(turn, "LONE_PATIENCE_SECONDS", 0.05)
        one = line(make_turns(lanes=2)[0])
        one.ask("working", urgent=True)
        one.ask("alone", alone=True)
        one.ask("in time", urgent=True)
        assert one.began == ["working", "in time"]
        time.sleep(0.1)
        one.ask("too late", urgent=True)
        one.end("working", then=[])
        one.end("in time", then=["alone"])
        one.end("alone", then=["too late"])


class TestSeatWanted:
    def test_it_waits_for_a_seat_though_there_are_lanes(self, line):
        turns, gpus = make_turns(lanes=2, a=1)
        one = line(turns)
        one.ask("seated")
        one.ask("waiting", gpu=True)
        one.ask("on a lane")
        assert one.began == ["seated", "on a lane"]
        gpus["a"].is_ready = False
        one.end("seated", then=[])
        gpus["a"].is_ready = True
        turns.look_again()
        wait_until(lambda: one.began == ["seated", "on a lane", "waiting"])

    def test_alone_it_is_a_seat_too(self):
        turns, gpus = make_turns(lanes=1, a=1)
        with turns.turn(alone=True, gpu=True) as gpu:
            assert gpu is gpus["a"]

    def test_without_a_gpu_it_is_a_lane(self):
        turns, _ = make_turns(lanes=1)
        with turns.turn(gpu=True) as gpu:
            assert gpu is None

    def test_when_the_last_gpu_is_given_up_it_is_a_lane(self, line):
        turns, gpus = make_turns(lanes=1, a=1)
        one = line(turns)
        one.ask("seated")
        one.ask("waiting", gpu=True)
        gpus["a"].is_ready, gpus["a"].fault = False, "it died"
        turns.look_again()
        wait_until(lambda: one.began == ["seated", "waiting"])


def test_one_that_is_interrupted_while_it_waits_is_forgotten(monkeypatch):
    turns, _ = make_turns(lanes=1)
    with turns.turn():
        monkeypatch.setattr(threading.Event, "wait", lambda *_: (_ for _ in ()).throw(KeyError))
        with pytest.raises(KeyError), turns.turn():
            pass
        monkeypatch.undo()
    with turns.turn() as gpu:
        assert gpu is None
