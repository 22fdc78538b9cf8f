"""When a shard that is quiet is overdue."""

import pytest

from farm import pace
from farm.pace import Pace
from farm.row import Row
from farm.spec import Job


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def job(*timeouts):
    return Job(manifest="m", outputs=tuple({"width": 16, "timeout": each} for each in timeouts))


@pytest.mark.parametrize(
    ("own", "fields", "allowed"),
    [
        ((10, 20), {}, 40),
        ((10,), {"outputs": [{"timeout": 50}, {"timeout": 5}]}, 100),
        ((10,), {"outputs": [{"width": 16}]}, 600),
        ((10,), {"outputs": [{"timeout": "soon"}, {"timeout": float("nan")}, 3]}, 600),
        ((10,), {"outputs": "x"}, 20),
        ((10,), None, 20),
        ((), {}, 600),
    ],
)
def test_quiet_is_allowed_for_two_of_the_longest_time_limit(clock, own, fields, allowed):
    found = Pace(job(*own), [Row(1, {}), Row(2, fields)])
    assert found.overdue_seconds == 0
    clock[0] += 1e6
    assert found.overdue_seconds == 0, "nothing has begun"
    found.step()
    clock[0] += allowed
    assert found.overdue_seconds == 0
    clock[0] += 7
    assert found.overdue_seconds == 7
    found.step()
    assert found.overdue_seconds == -allowed


def test_the_oldest_of_those_under_way_is_told(clock):
    found = Pace(job(10), [])
    assert found.oldest() is None
    first, second = Row(1, {}), Row(2, {})
    with found.under_way(first):
        clock[0] += 5
        with found.under_way(second):
            clock[0] += 2
            assert found.oldest() == (7, first)
        assert found.overdue_seconds == -20, "an end is a step"
    assert found.oldest() is None
    with pytest.raises(OSError, match="gone"), found.under_way(second):
        raise OSError("gone")
    assert found.oldest() is None
