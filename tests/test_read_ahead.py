"""Reading ahead: in order, bounded, and over as soon as nobody wants more."""

import threading
import time

import pytest

from farm.read_ahead import read_ahead


def test_answers_come_in_the_order_of_the_items():
    def read(number):
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    assert list(read_ahead(read, range(50), depth=8)) == [n * n for n in range(50)]
    assert list(read_ahead(read, [])) == []


def test_reads_wait_beside_one_another():
    gate = threading.Barrier(5, timeout=30)
    assert list(read_ahead(lambda _: gate.wait() >= 0, range(5), depth=5)) == [True] * 5


def test_no_more_is_read_than_may_be_ahead():
    taken, read = [], []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    answers = read_ahead(lambda number: read.append(number), items(), depth=4)
    next(answers)
    assert len(taken) == 4
    answers.close()
    assert len(read) <= 4


def test_the_first_error_in_order_ends_it():
    def read(number):
        if number == 3:
            raise OSError("gone")
        return number

    answers = read_ahead(read, range(1000), depth=4)
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        next(answers)
