"""Buckets on a clock of their own, and gates on the real one."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from farm import throttle
from farm.errors import LaneCrashError
from farm.manners import Rates
from farm.throttle import Bucket, Gate, Throttle, Throttles


class Clock:
    """A time that passes on demand."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(throttle.time, "monotonic", made.monotonic)
    return made


class TestBucket:
    def test_a_burst_is_there_at_once(self, clock):
        bucket = Bucket(10)
        assert bucket.seconds_until(bucket.take(10)) == 0
        assert bucket.seconds_until(bucket.take(5)) == pytest.approx(0.5)

    def test_who_came_first_goes_first(self, clock):
        bucket = Bucket(10)
        first, second = bucket.take(20), bucket.take(20)
        assert bucket.seconds_until(first) == pytest.approx(1)
        assert bucket.seconds_until(second) == pytest.approx(3)
        clock.now += 1
        assert bucket.seconds_until(first) == 0
        assert bucket.seconds_until(second) == pytest.approx(2)

    def test_more_than_a_burst_is_waited_for(self, clock):
        bucket = Bucket(10)
        assert bucket.seconds_until(bucket.take(1000)) == pytest.approx(99)

    def test_idle_time_counts_for_no_more_than_a_burst(self, clock):
        bucket = Bucket(10)
        bucket.take(10)
        clock.now += 3600
        assert bucket.seconds_until(bucket.take(30)) == pytest.approx(2)

    def test_less_than_one_in_a_second(self, clock):
        bucket = Bucket(0.2)
        assert bucket.seconds_until(bucket.take(1)) == 0
        assert bucket.seconds_until(bucket.take(1)) == pytest.approx(5)

    def test_another_rate_holds_for_those_that_wait(self, clock):
        bucket = Bucket(10)
        number = bucket.take(110)
        clock.now += 5
        bucket.change(100)
        assert bucket.seconds_until(number) == pytest.approx(0.5)

    def test_over_time_it_is_the_rate(self, clock):
        bucket = Bucket(10)
        done = 0
        end = clock.now + 100
        while clock.now < end:
            clock.now += bucket.seconds_until(bucket.take(3))
            done += 3
        assert 1000 <= done <= 1016


class TestThrottle:
    def test_hosts_are_counted_apart(self, clock):
        both = Throttle(Rates(requests_per_second=2))
        assert both.requests_to("a") is both.requests_to("a")
        assert both.requests_to("a") is not both.requests_to("b")
        assert both.bytes is None

    def test_nothing_is_counted_that_is_not_limited(self):
        assert Throttle(Rates(bytes_per_second=5)).requests_to("a") is None

    def test_another_share_holds_for_all(self, clock):
        one = Throttle(Rates(10, 10))
        taken = [bucket.take(20) for bucket in (one.bytes, one.requests_to("a"))]
        one.change(Rates(20, 20))
        waits = [
            bucket.seconds_until(number)
            for bucket, number in zip((one.bytes, one.requests_to("a")), taken, strict=True)
        ]
        assert waits == pytest.approx([0.5, 0.5])

    def test_few_hosts_are_kept(self, monkeypatch):
        monkeypatch.setattr(throttle, "_MOST_HOSTS", 2)
        one = Throttle(Rates(requests_per_second=1))
        first = one.requests_to("a")
        for host in ("b", "a", "c"):
            one.requests_to(host)
        assert one.requests_to("a") is first
        assert len(one._hosts) == 2

    def test_each_run_has_its_own(self):
        all_runs = Throttles()
        assert all_runs.of("a") is None
        all_runs.begin("a", Rates(10))
        kept = all_runs.of("a")
        all_runs.begin("a", Rates(99))
        assert all_runs.of("a") is kept
        assert kept._rates == Rates(10)
        all_runs.set("a", Rates(5))
        assert kept._rates == Rates(5)
        all_runs.set("b", Rates(7))
        assert all_runs.of("b")._rates == Rates(7)


class TestGate:
    def test_readers_share_the_rate(self):
        shared = Throttle(Rates(bytes_per_second=1000))
        gates = [Gate(shared, held=lambda: None) for _ in range(4)]

        def read(gate):
            for _ in range(5):
                gate.read(100)

        began = time.monotonic()
        with ThreadPoolExecutor(4) as executor:
            list(executor.map(read, gates))
        seconds = time.monotonic() - began
        # 2000 bytes, of which 1000 are a burst.
        assert 0.9 <= seconds < 5
        assert all(0 <= gate.held_seconds <= seconds for gate in gates)
        assert max(gate.held_seconds for gate in gates) > 0.5

    def test_nobody_waits_where_nothing_is_limited(self):
        gate = Gate(Throttle(Rates()), held=pytest.fail)
        gate.read(1 << 40)
        gate.request("a")
        assert gate.held_seconds == 0

    def test_who_waits_can_be_called_off(self, monkeypatch):
        monkeypatch.setattr(throttle, "_STEP_SECONDS", 0.01)
        is_over = threading.Event()

        def held():
            if is_over.is_set():
                raise LaneCrashError("over")

        gate = Gate(Throttle(Rates(bytes_per_second=1)), held=held)
        threading.Timer(0.2, is_over.set).start()
        with pytest.raises(LaneCrashError, match="over"):
            gate.read(1_000_000)
        assert 0.1 < gate.held_seconds < 30
