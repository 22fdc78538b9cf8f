"""Cutting: shards keep all rows, within their bounds, and can be counted without them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.cut import count_parts, count_shards, cut_shards, shards_in_part
from farm.row import Row
from tests.recipes import plan_rows

SIZES = st.lists(st.none() | st.integers(0, 50), max_size=60)


@given(SIZES, st.integers(1, 40), st.integers(1, 100))
def test_shards_keep_all_rows_in_order_within_both_bounds(sizes, entries, size):
    rows = [Row(n, {"source": "a", "size": each}) for n, each in enumerate(sizes)]
    shards = list(cut_shards(rows, most_entries=entries, most_bytes=size))
    assert list(itertools.chain.from_iterable(shards)) == rows
    for shard in shards:
        assert 1 <= len(shard) <= entries
        assert len(shard) == 1 or sum(row.fields["size"] or 0 for row in shard) <= size


@given(SIZES, st.integers(1, 40), st.integers(1, 100))
def test_they_are_as_few_as_the_bounds_allow(sizes, entries, size):
    rows = [Row(n, {"source": "a", "size": each}) for n, each in enumerate(sizes)]
    shards = list(cut_shards(rows, most_entries=entries, most_bytes=size))
    for shard, after in itertools.pairwise(shards):
        together = sum(row.fields["size"] or 0 for row in [*shard, after[0]])
        assert len(shard) >= min(16, entries) or together > size


def test_small_shards_come_first():
    shards = cut_shards(plan_rows(5000), most_entries=100, most_bytes=1 << 40)
    assert [len(shard) for shard in shards][:14] == [16] * 4 + [32] * 4 + [64] * 4 + [100] * 2


@pytest.mark.parametrize("size", ["12", -5, 2.5, [1]])
def test_a_size_that_makes_no_sense_weighs_nothing(size):
    rows = [Row(n, {"source": "a", "size": size}) for n in range(3)] + [Row(4, None, "bad")]
    assert len(list(cut_shards(rows, most_entries=9, most_bytes=1))) == 1


@given(st.integers(0, 5000), st.integers(1, 600))
def test_shards_are_counted_without_rows(rows, most):
    cut = cut_shards(plan_rows(rows), most_entries=most, most_bytes=1 << 60)
    assert count_shards(rows, most_entries=most) == sum(1 for _ in cut)


@given(st.integers(0, 1000))
def test_parts_are_counted_without_shards(shards):
    parts, left = 0, shards
    while left > 0:
        left -= shards_in_part(parts)
        parts += 1
    assert count_parts(shards) == parts
