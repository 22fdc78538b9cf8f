"""Row sets: sets of numbers, in bits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from farm.row_set import RowSet

NUMBERS = st.lists(st.integers(0, 40_000), max_size=20)


def array(numbers):
    return np.array(numbers, np.int64)


@given(st.lists(NUMBERS, max_size=4), NUMBERS, NUMBERS)
def test_it_is_a_set(added, others, asked):
    rows, other, model = RowSet(), RowSet(), set(others).union(*added)
    for numbers in added:
        rows.add(array(numbers))
    assert bool(rows) is any(added)
    other.add(array(others))
    rows.update(other)
    assert bool(rows) is bool(model)
    asked = [*asked, *model]
    assert rows.mask(array(asked)).tolist() == [number in model for number in asked]


def test_rows_of_a_hundred_million_entries_take_few_bytes():
    rows = RowSet()
    rows.add(array([100_000_000]))
    assert rows._bits.nbytes < 13e6
    assert rows.mask(array([100_000_000, 99_999_999, 200_000_000])).tolist() == [True, False, False]
