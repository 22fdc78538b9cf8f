"""What is shown where not all can be: no more than asked, nothing rare lost."""

import collections
import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farm.report.record_spool import Group
from farm.report.sample import by_code, quotas, spread

counts = st.integers(0, 50)


@given(counts, counts, counts, st.integers(1, 80))
def test_quotas_use_up_the_limit(failed: int, done: int, deferred: int, limit: int) -> None:
    whole = {Group.FAILED: failed, Group.DONE: done, Group.DEFERRED: deferred}
    found = quotas(whole, limit)
    assert sum(found.values()) == min(limit, sum(whole.values()))
    assert all(0 <= found[group] <= whole[group] for group in Group)
    assert found[Group.FAILED] >= min(failed, limit / 2)
    assert found[Group.DEFERRED] == 0 or found[Group.DONE] == done


def test_without_a_limit_all_is_shown() -> None:
    whole = {Group.FAILED: 3, Group.DONE: 10**6, Group.DEFERRED: 1}
    assert quotas(whole, None) == whole


@given(st.integers(1, 200), st.data())
def test_a_spread_is_even(count: int, data: Any) -> None:
    quota = data.draw(st.integers(0, count))
    rows = [
        record["row"] for record in spread(({"row": row} for row in range(count)), count, quota)
    ]
    assert len(rows) == quota
    gaps = {b - a for a, b in itertools.pairwise(rows)}
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(st.lists(st.sampled_from("abcde"), min_size=1), st.data())
def test_each_code_gets_its_share(codes: list[str], data: Any) -> None:
    quota = data.draw(st.integers(0, len(codes)))
    whole = collections.Counter(codes)
    chosen = list(by_code(({"error_code": code} for code in codes), whole, quota))
    taken = collections.Counter(record["error_code"] for record in chosen)
    assert taken.total() == quota
    # Whoever got less than another one had no more.
    most = max(taken.values(), default=0)
    assert all(taken[code] in (whole[code], most, most - 1) for code in whole)
    if quota >= len(whole):
        assert taken.keys() == whole.keys()


def test_a_failure_without_a_code_is_none_to_lose() -> None:
    assert list(by_code([{"error_code": None}], {"a": 1}, 1)) == [{"error_code": None}]
