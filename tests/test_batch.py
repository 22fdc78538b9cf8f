"""Batches: all are answered, each by its own answer, and a fault costs the ask that it is of."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.batch import Batcher, CountError


def ask_all(batcher: Batcher[int, str], asks: Sequence[int]) -> dict[int, str | Exception]:
    """What each ask came to, all asked at once."""
    gate = threading.Barrier(len(asks))

    def one(ask: int) -> str | Exception:
        gate.wait()
        try:
            return batcher.ask(ask)
        except Exception as error:  # noqa: BLE001 - it is what is looked at
            return error

    with ThreadPoolExecutor(len(asks)) as threads:
        return dict(zip(asks, threads.map(one, asks), strict=True))


def gathering(make: Callable[[Sequence[int]], Sequence[str | Exception]], **bounds: int):
    """A batcher whose first batch is a gate behind which all other asks gather, and its batches."""
    batches: list[list[int]] = []

    def recorded(asks: Sequence[int]) -> Sequence[str | Exception]:
        batches.append(list(asks))
        return make(asks)

    return Batcher[int, str](recorded, **{"most": 100} | bounds), batches


def words(asks: Sequence[int]) -> list[str]:
    return [f"<{ask}>" for ask in asks]


def test_one_asker_waits_for_nobody() -> None:
    batcher, batches = gathering(words)
    assert [batcher.ask(1), batcher.ask(2)] == ["<1>", "<2>"]
    assert batches == [[1], [2]]


def test_what_is_asked_meanwhile_is_one_batch() -> None:
    is_held, go_on = threading.Event(), threading.Event()

    def make(asks: Sequence[int]) -> list[str]:
        if 0 in asks:
            is_held.set()
            assert go_on.wait(10)
        return words(asks)

    batcher, batches = gathering(make)
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(batcher.ask, 0)
        assert is_held.wait(10)
        others = [threads.submit(batcher.ask, ask) for ask in range(1, 9)]
        while len(batcher._waiting) < 8:
            pass
        go_on.set()
        assert first.result() == "<0>"
        assert [other.result() for other in others] == words(range(1, 9))
    assert batches[0] == [0]
    assert sorted(batches[1]) == list(range(1, 9))
    assert len(batches) == 2


@pytest.mark.parametrize("bounds", [{"most": 3}, {"most_bytes": 30}])
def test_batches_are_bounded(bounds: dict[str, int]) -> None:
    batches: list[int] = []

    def make(asks: Sequence[int]) -> list[str]:
        batches.append(len(asks))
        return words(asks)

    batcher = Batcher[int, str](make, **{"most": 100, "size_of": lambda _: 10} | bounds)
    assert ask_all(batcher, range(20)) == {ask: f"<{ask}>" for ask in range(20)}
    assert max(batches) <= 3
    assert sum(batches) == 20


def test_one_larger_than_all_that_is_allowed_is_made_alone() -> None:
    batcher = Batcher[int, str](words, most=10, most_bytes=5, size_of=lambda ask: ask)
    assert batcher.ask(1000) == "<1000>"


class FaultError(Exception):
    pass


def raises(asks: Sequence[int], bad: set[int]) -> list[str | Exception]:
    if bad & set(asks):
        raise FaultError("all of it")
    return list(words(asks))


def fails_one(asks: Sequence[int], bad: set[int]) -> list[str | Exception]:
    return [FaultError("just this") if ask in bad else f"<{ask}>" for ask in asks]


def answers_nothing(asks: Sequence[int], bad: set[int]) -> list[str | Exception]:
    return [None if ask in bad else f"<{ask}>" for ask in asks]


def loses_one(asks: Sequence[int], bad: set[int]) -> list[str | Exception]:
    return [f"<{ask}>" for ask in asks if ask not in bad]


def gives_one_more(asks: Sequence[int], bad: set[int]) -> list[str | Exception]:
    return [*words(asks), *(["<stale>"] if bad & set(asks) else [])]


def runs_out_of_memory(asks: Sequence[int], bad: set[int]) -> list[str | Exception]:
    if bad & set(asks):
        raise MemoryError
    return list(words(asks))


FAULTS = {
    raises: FaultError,
    fails_one: FaultError,
    answers_nothing: CountError,
    loses_one: CountError,
    gives_one_more: CountError,
    runs_out_of_memory: MemoryError,
}


@pytest.mark.parametrize("fault", FAULTS)
@given(bad=st.sets(st.integers(0, 15)), most=st.integers(1, 16))
def test_a_fault_costs_its_own_ask_only(fault, bad: set[int], most: int) -> None:
    batcher = Batcher[int, str](lambda asks: fault(asks, bad), most=most)
    for ask, got in ask_all(batcher, range(16)).items():
        if ask in bad:
            assert isinstance(got, FAULTS[fault])
        else:
            assert got == f"<{ask}>"


@pytest.mark.parametrize("count", [8, 15])
def test_too_large_a_batch_is_halved_and_later_ones_are_smaller(count: int) -> None:
    sizes: list[int] = []
    rounds: list[list[int]] = []
    is_held, go_on = threading.Event(), threading.Event()

    def make(asks: Sequence[int]) -> list[str]:
        if 0 in asks:
            is_held.set()
            assert go_on.wait(10)
        sizes.append(len(asks))
        if len(asks) > 2:
            raise MemoryError
        return words(asks)

    batcher = Batcher[int, str](make, most=64, most_bytes=1000, size_of=lambda _: 10)
    for _ in range(2):
        with ThreadPoolExecutor(count + 1) as threads:
            asked = [threads.submit(batcher.ask, 0)]
            assert is_held.wait(10)
            asked += [threads.submit(batcher.ask, ask) for ask in range(1, count + 1)]
            while len(batcher._waiting) < count:
                pass
            go_on.set()
            assert [each.result() for each in asked] == words(range(count + 1))
        is_held.clear()
        go_on.clear()
        rounds.append(sizes[:])
        sizes.clear()
    assert rounds[0][:2] == [1, count]
    # The second time, nothing is tried that is known to be too large.
    assert max(rounds[1]) <= 2


def test_one_that_memory_has_no_room_for_leaves_the_bound() -> None:
    def make(asks: Sequence[int]) -> list[str]:
        if 7 in asks:
            raise MemoryError
        return words(asks)

    batcher = Batcher[int, str](make, most=64, most_bytes=1000, size_of=lambda _: 10)
    with pytest.raises(MemoryError):
        batcher.ask(7)
    assert batcher._most_bytes == 1000


def test_a_batch_that_is_broken_off_leaves_nobody_waiting() -> None:
    def make(asks: Sequence[int]) -> list[str]:
        raise KeyboardInterrupt

    batcher = Batcher[int, str](make, most=10)
    with pytest.raises(KeyboardInterrupt):
        batcher.ask(1)
    with pytest.raises(KeyboardInterrupt):
        batcher.ask(2)
