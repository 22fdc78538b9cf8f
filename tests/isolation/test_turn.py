"""Whose turn it is: seats of GPUs first, then lanes; who works alone goes before all others."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from farm.isolation.turn import Turns
from tests.lanes import wait_until


class Gpu(SimpleNamespace):
    """A GPU that is ready, or not, as told."""

    __hash__ = object.__hash__


def make_turns(*, lanes, **seats):
    turns = Turns(lanes)
    gpus = {name: Gpu(seats=count, is_ready=True) for name, count in seats.items()}
    for gpu in gpus.values():
        turns.admit(gpu)
    return turns, gpus


def test_seats_go_first_and_the_freest_gpu_before_others():
    turns, gpus = make_turns(lanes=2, a=1, b=2)
    with contextlib.ExitStack() as held:
        got = [held.enter_context(turns.turn(alone=False)) for _ in range(5)]
    assert got[0] is gpus["b"]
    assert {id(got[1]), id(got[2])} == {id(gpus["a"]), id(gpus["b"])}
    assert got[3:] == [None, None]


def test_a_gpu_that_is_not_ready_has_none():
    turns, gpus = make_turns(lanes=2, a=1)
    gpus["a"].is_ready = False
    with turns.turn(alone=False) as one, turns.turn(alone=False) as other:
        assert (one, other) == (None, None)


def test_one_that_waits_is_told_when_a_gpu_gets_ready():
    turns, gpus = make_turns(lanes=1, a=1)
    gpus["a"].is_ready = False
    with ThreadPoolExecutor(1) as executor, turns.turn(alone=False):
        waiting = turns.turn(alone=False)
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
        with turns.turn(alone=False) as first:
            assert first is gpus["a"]
            alone = executor.submit(work, alone=True)
            wait_until(lambda: turns._waiting_alone)
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
    with turns.turn(alone=False) as gpu:
        assert gpu is None
