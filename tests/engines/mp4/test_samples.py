"""Questions to a table of samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.engines.mp4.samples import Samples, joined


def samples(
    pts: list[int], syncs: set[int] | None = None, discards: frozenset[int] = frozenset()
) -> Samples:
    count = len(pts)
    syncs = {0} if syncs is None else syncs
    ints = np.arange(count, dtype=np.int64)
    return Samples(
        offset=100 * ints,
        size=ints + 1,
        dts=ints,
        pts=np.array(pts, np.int64),
        duration=np.ones(count, np.int64),
        is_sync=np.array([index in syncs for index in range(count)], np.bool_),
        is_discard=np.array([index in discards for index in range(count)], np.bool_),
        entry=np.zeros(count, np.int32),
    )


# Two groups in decoding order; the second is open: its first two others are shown before it.
OPEN = samples([0, 30, 10, 20, 60, 40, 50, 70], syncs={0, 4})


@pytest.mark.parametrize(("ticks", "key"), [(-5, 0), (0, 0), (45, 0), (59, 0), (60, 4), (1000, 4)])
def test_the_key_is_the_sync_sample_presented_last(ticks: int, key: int) -> None:
    assert OPEN.key_at(ticks) == key


def test_there_is_no_key_without_sync_samples() -> None:
    assert samples([0, 1], syncs=set()).key_at(5) is None


def test_before_all_keys_the_first_presented_serves() -> None:
    assert samples([30, 10], syncs={0, 1}).key_at(5) == 1


def test_a_group_ends_at_the_next_sync_sample() -> None:
    assert OPEN.group(0) == range(4)
    assert OPEN.group(4) == range(4, 8)
    assert (OPEN.next_sync(0), OPEN.next_sync(3), OPEN.next_sync(4)) == (4, 4, None)


def test_shown_order_is_that_of_presentation() -> None:
    assert OPEN.shown_order().tolist() == [0, 2, 3, 1, 5, 6, 4, 7]


def test_what_is_not_shown_is_left_out() -> None:
    cut = samples([0, 30, 10, 20], discards=frozenset({0, 2}))
    assert cut.shown_order().tolist() == [3, 1]
    assert cut.shown_at(5) == 3
    assert samples([0], discards=frozenset({0})).shown_at(0) is None


@given(
    st.lists(st.integers(-1000, 1000), min_size=1, max_size=30, unique=True),
    st.sets(st.integers(0, 29), min_size=1),
    st.integers(-1100, 1100),
)
def test_searches_agree_with_looking_at_each(pts: list[int], syncs: set[int], ticks: int) -> None:
    table = samples(pts, syncs)
    keys = [index for index in sorted(syncs) if index < len(pts)]
    in_time = [index for index in keys if pts[index] <= ticks]
    key = table.key_at(ticks)
    if in_time:
        assert key == max(in_time, key=pts.__getitem__)
    else:
        assert key == min(keys, key=pts.__getitem__, default=None)
    shown = [index for index, time in enumerate(pts) if time <= ticks]
    best = max(shown, key=pts.__getitem__) if shown else pts.index(min(pts))
    assert table.shown_at(ticks) == best


def test_parts_are_joined_column_by_column() -> None:
    both = joined([samples([1, 2]), samples([5], syncs=set())])
    assert both.pts.tolist() == [1, 2, 5]
    assert both.size.tolist() == [1, 2, 1]
    assert both.syncs.tolist() == [0]
