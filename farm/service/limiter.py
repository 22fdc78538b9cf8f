"""How many jobs and tasks each caller may create in a minute."""

import threading
import time
from collections import deque
from dataclasses import dataclass

_WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left to a caller; `retry_after_seconds` is 0 while anything is."""

    limit: int
    remaining: int
    retry_after_seconds: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """As the callers read it."""
        told = {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(self.remaining)}
        if self.retry_after_seconds:
            told["Retry-After"] = str(self.retry_after_seconds)
        return told


class Limiter:
    """Counts what each key created within the last minute, in this process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def take(self, key_id: str) -> Allowance:
        """One creation of a key, where it has one left."""
        now = time.monotonic()
        with self._lock:
            times = self._times.setdefault(key_id, deque())
            while times and now - times[0] >= _WINDOW_SECONDS:
                times.popleft()
            if len(times) >= self._limit:
                wait = max(1, int(_WINDOW_SECONDS - (now - times[0]) + 0.999))
                return Allowance(self._limit, 0, wait)
            times.append(now)
            return Allowance(self._limit, self._limit - len(times))
