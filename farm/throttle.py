"""Keeps what a worker reads below its share of a run's rates, by having readers wait."""

import collections
import threading
import time
from collections.abc import Callable

from farm.manners import Rates

# What was not used in so long a time may be used at once.
_BURST_SECONDS = 1.0
_STEP_SECONDS = 0.5
_MOST_HOSTS = 1024


class Bucket:
    """Tokens that come at a rate, and who takes them, in turn; from any thread.

    Whoever takes some gets a number: it is their turn when so many tokens have ever come. A rate
    that changes holds for those that wait, too.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._come = self._burst
        self._taken = 0.0
        self._looked = time.monotonic()

    @property
    def _burst(self) -> float:
        return max(1.0, self._rate * _BURST_SECONDS)

    def change(self, rate: float) -> None:
        """Sets how many tokens come in a second."""
        with self._lock:
            self._look()
            self._rate = rate

    def take(self, amount: float) -> float:
        """Takes tokens, be they there or not; the number to wait for."""
        with self._lock:
            self._look()
            self._taken += amount
            return self._taken

    def seconds_until(self, number: float) -> float:
        """How long it takes until so many tokens have come; 0 where they have."""
        with self._lock:
            self._look()
            return max(0.0, (number - self._come) / self._rate)

    def _look(self) -> None:
        now = time.monotonic()
        came = self._come + (now - self._looked) * self._rate
        self._come = min(came, self._taken + self._burst)
        self._looked = now


class Throttle:
    """What one worker may read for one run; from any thread."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._lock = threading.Lock()
        rate = rates.bytes_per_second
        self.bytes = Bucket(rate) if rate is not None else None
        # The host that was asked last at last.
        self._hosts: collections.OrderedDict[str, Bucket] = collections.OrderedDict()

    def change(self, rates: Rates) -> None:
        """Sets another share of the same rates."""
        with self._lock:
            self._rates = rates
            if self.bytes is not None and rates.bytes_per_second is not None:
                self.bytes.change(rates.bytes_per_second)
            if rates.requests_per_second is not None:
                for bucket in self._hosts.values():
                    bucket.change(rates.requests_per_second)

    def requests_to(self, host: str) -> Bucket | None:
        """The requests to a host, None where they are not limited."""
        rate = self._rates.requests_per_second
        if rate is None:
            return None
        with self._lock:
            bucket = self._hosts.pop(host, None) or Bucket(rate)
            self._hosts[host] = bucket
            # One that was not asked for long has a burst again, as a new one has.
            while len(self._hosts) > _MOST_HOSTS:
                self._hosts.popitem(last=False)
            return bucket


class Throttles:
    """The throttles of a worker's runs; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._throttles: dict[str, Throttle] = {}

    def of(self, run: str) -> Throttle | None:
        """That of a run; None where it may read as much as it can."""
        return self._throttles.get(run)

    def begin(self, run: str, rates: Rates) -> None:
        """Sets what a run may read here, unless that was set before."""
        with self._lock:
            self._throttles.setdefault(run, Throttle(rates))

    def set(self, run: str, rates: Rates) -> None:
        """Sets what a run may read here, its shards under way too."""
        with self._lock:
            throttle = self._throttles.get(run)
            if throttle is None:
                self._throttles[run] = Throttle(rates)
            else:
                throttle.change(rates)


class Gate:
    """What the reader of one source has to pass; used by one thread at a time.

    `held` is called about twice a second while it waits, and may raise to end that.
    `held_seconds` is how long it has waited in all.
    """

    def __init__(self, throttle: Throttle, *, held: Callable[[], object]) -> None:
        self.held_seconds = 0.0
        self._throttle = throttle
        self._held = held

    def request(self, host: str) -> None:
        """Waits until one more request may be sent to a host."""
        self._pass(self._throttle.requests_to(host), 1)

    def read(self, length: int) -> None:
        """Waits until so many bytes more may be read."""
        self._pass(self._throttle.bytes, length)

    def _pass(self, bucket: Bucket | None, amount: int) -> None:
        if bucket is None:
            return
        number = bucket.take(amount)
        began = time.monotonic()
        try:
            while (left := bucket.seconds_until(number)) > 0:
                self._held()
                time.sleep(min(left, _STEP_SECONDS))
        finally:
            self.held_seconds += time.monotonic() - began
