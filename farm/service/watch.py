"""Lets requests wait for the end of tasks and jobs."""

import asyncio
import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable


class Watch:
    """Those who wait, by the id of what they wait for; `ended` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_closed = False
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = (
            defaultdict(set)
        )

    def close(self) -> None:
        """Lets nobody wait any more: the service ends."""
        self.is_closed = True
        with self._lock:
            ids = list(self._waiting)
        self.ended(ids)

    def ended(self, ids: Iterable[str]) -> None:
        """Wakes all who wait for one of these."""
        with self._lock:
            woken = [waiter for each in ids for waiter in self._waiting.get(each, ())]
        for loop, event in woken:
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits any more
                loop.call_soon_threadsafe(event.set)

    async def wait(self, id: str, *, has_ended: Callable[[], bool], timeout_seconds: float) -> bool:
        """Waits until `has_ended`, which is asked in a thread; False past the time.

        Also False once it is closed.
        """
        event = asyncio.Event()
        waiter = (asyncio.get_running_loop(), event)
        with self._lock:
            self._waiting[id].add(waiter)
        try:
            # Asked behind the entry above, so that no end falls between the two.
            if await asyncio.to_thread(has_ended):
                return True
            if self.is_closed:
                return False
            async with asyncio.timeout(timeout_seconds):
                await event.wait()
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiting[id].discard(waiter)
                if not self._waiting[id]:
                    del self._waiting[id]
        return not self.is_closed
