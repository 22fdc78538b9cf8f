"""Options: their bounds, and how many failures a run tolerates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import InvalidJobError
from farm.options import RunOptions


@pytest.mark.parametrize("text", ["", "x", "-1", "5 %", "1.5", "%", "5%%"])
def test_a_bound_that_is_no_number_is_explained(text):
    with pytest.raises(InvalidJobError, match=r"max-failures: expected a number or a percentage"):
        RunOptions(max_failures=text)


@pytest.mark.parametrize("field", ["limit", "sample"])
def test_nothing_at_all_is_no_choice(field):
    with pytest.raises(InvalidJobError, match=f"{field}: expected at least 1, received 0"):
        RunOptions(**{field: 0})
    assert RunOptions(**{field: 1})


def test_passes_may_be_none_but_not_fewer():
    assert RunOptions(passes=0).passes == 0
    with pytest.raises(InvalidJobError, match="passes: expected at least 0, received -1"):
        RunOptions(passes=-1)


def test_limit_and_sample_are_not_both_given():
    with pytest.raises(InvalidJobError, match="expected limit or sample, received both"):
        RunOptions(limit=1, sample=1)


def test_any_number_of_failures_is_allowed_unless_bounded():
    assert RunOptions().allows(10**9, 10**9)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_number_bounds_failures(most, failures):
    assert RunOptions(max_failures=str(most)).allows(failures, 10**6) is (failures <= most)


def test_a_percentage_is_judged_from_a_hundred_entries_on():
    options = RunOptions(max_failures="5%")
    assert options.allows(99, 99)
    assert options.allows(5, 100)
    assert not options.allows(6, 100)
    assert options.allows(50, 1000)
    assert not options.allows(51, 1000)


def test_no_failure_at_all_may_be_asked_for():
    assert RunOptions(max_failures="0").allows(0, 10)
    assert not RunOptions(max_failures="0").allows(1, 10)
    assert not RunOptions(max_failures="0%").allows(1, 1000)
