"""Urgent entries over Dask: sent to the worker that has most room, beside its tasks.

They are no tasks of Dask's, because a worker computes no more of these at once than it has threads,
whatever their priority, and a shard holds one for minutes. A coroutine that is run on the worker's
loop begins at once. So placing them, and noticing that a worker is gone, is done here.
"""

import asyncio
import collections
import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from farm import storage
from farm.cluster.plugin import ENTRY_SLOT, cancel_entry, run_entry
from farm.cluster.port import EntryHandle
from farm.errors import ClusterError
from farm.record import Record, Status
from farm.settings import Limits
from farm.spec import Entry

_MOST_ATTEMPTS = 4
# Each has a connection to the scheduler and one from there to its worker; Dask has 512 of them.
_MOST_UNDER_WAY = 256
_LOOK_SECONDS = 1.0
_NO_SLOT_SECONDS = 180.0
_CANCEL_SECONDS = 5.0
_CLOSED = "the cluster was closed"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One entry that has not ended."""

    handle: EntryHandle
    entry: Entry
    limits: Limits


class UrgentEntries:
    """The urgent entries of a run or service: as many under way as its workers have slots for.

    The others wait here, first come, first served. Where the scheduler is lost, `release` lets go
    of its client, and `adopt` goes on with another. What begins with an underscore happens on the
    client's event loop, but for `_call`.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._name = name
        self._serial = itertools.count(1)
        self._failure: ClusterError | None = None
        self._asked: dict[str, _Asked] = {}
        self._works: dict[str, asyncio.Task[None]] = {}
        self.adopt(client)

    def adopt(self, client: Any) -> None:
        """Sends all that has not ended by a client that is connected."""
        self._line = asyncio.Lock()
        self._freed = asyncio.Event()
        self._under_way: collections.Counter[str] = collections.Counter()
        self._slots: dict[str, int] = {}
        self._looked = 0.0
        self._seen_slots = time.monotonic()
        self._client = client
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._is_released = False
        for key in list(self._asked):
            self._call(self._begin, key)

    def submit(self, entry: Entry, limits: Limits) -> EntryHandle:
        """Starts one; from any thread."""
        key = f"{self._name}-entry-{next(self._serial)}"
        handle = EntryHandle(key, cancelled=lambda: self._call(self._cancel, key))
        self._asked[key] = _Asked(handle, entry, limits)
        handle.future.add_done_callback(lambda _: self._asked.pop(key, None))
        if self._failure is not None:
            handle.settle(self._failure)
        self._call(self._begin, key)
        return handle

    def _call(self, function: Callable[[str], object], key: str) -> None:
        """Has the loop call a function, soon; does nothing where the loop is gone."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, key)

    def _begin(self, key: str) -> None:
        asked = self._asked.get(key)
        # What is asked while there is no client begins when there is one.
        if asked is None or self._is_released or key in self._works:
            return
        work = self._loop.create_task(self._carry(asked))
        self._works[key] = work
        work.add_done_callback(lambda done: self._forget(key, done))

    def _forget(self, key: str, work: "asyncio.Task[None]") -> None:
        if self._works.get(key) is work:
            del self._works[key]

    def _cancel(self, key: str) -> None:
        if (work := self._works.get(key)) is not None:
            work.cancel()

    def release(self) -> None:
        """Lets go of the client; what has not ended waits for another one."""
        self._is_released = True
        self._sync(self._end)
        # What the loop did not come to.
        self._works = {}

    def fail(self, error: ClusterError) -> None:
        """Ends all that has not ended, and all that comes, for want of a cluster."""
        self._failure = error
        for asked in list(self._asked.values()):
            asked.handle.settle(error)

    def close(self) -> None:
        """Ends all that are under way."""
        self.fail(ClusterError(_CLOSED))
        self._sync(self._end)

    def _sync(self, function: Callable[[], Any]) -> None:
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            self._client.sync(function, callback_timeout=2 * _CANCEL_SECONDS)

    async def _end(self) -> None:
        works = list(self._works.values())
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    async def _carry(self, asked: _Asked) -> None:
        handle = asked.handle
        try:
            handle.settle(await self._record(handle.key, asked.entry, asked.limits))
        except ClusterError as error:
            handle.settle(error)
        except Exception as error:  # noqa: BLE001 - whoever waits for the future must hear of it
            handle.settle(ClusterError(f"it could not be sent: {type(error).__name__}: {error}"))
        finally:
            # Where it was cancelled from elsewhere, as Dask does when the client is closed.
            if not self._is_released:
                handle.settle(ClusterError(_CLOSED))

    async def _record(self, key: str, entry: Entry, limits: Limits) -> Record:
        """What became of the entry, tried again where its worker died or left."""
        cause = ""
        for attempt in range(_MOST_ATTEMPTS):
            if attempt:
                # By then the scheduler knows what has become of the worker.
                await asyncio.sleep(_LOOK_SECONDS)
            address = await self._place()
            try:
                end = await self._ask(address, f"{key}-{attempt}", entry, limits)
            finally:
                self._under_way[address] -= 1
                self._freed.set()
            if isinstance(end, Record):
                if end.status is not Status.DEFERRED:
                    return end
                end = "the worker was closed"
            cause = end
            self._looked = 0.0
        return _lost(entry, f"given up after {_MOST_ATTEMPTS} attempts, lastly: {cause}")

    async def _place(self) -> str:
        """The worker that has most room, and one place there less; waits until there is one.

        Raises ClusterError where no worker has had lanes for long.
        """
        began = time.monotonic()
        async with self._line:
            while True:
                slots = await self._look()
                if time.monotonic() - max(began, self._seen_slots) > _NO_SLOT_SECONDS:
                    raise ClusterError(f"no worker has had lanes for {_NO_SLOT_SECONDS:g} s")
                room = {each: count - self._under_way[each] for each, count in slots.items()}
                address = max(room, key=lambda each: room[each], default=None)
                is_full = self._under_way.total() >= _MOST_UNDER_WAY
                if address is not None and room[address] > 0 and not is_full:
                    self._under_way[address] += 1
                    return address
                self._freed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), _LOOK_SECONDS)

    async def _look(self) -> dict[str, int]:
        """The slots of each worker, as of a moment ago; none while no scheduler answers."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return self._slots
        self._looked = now
        try:
            identity = await self._client.scheduler.identity(n_workers=-1)
        except (OSError, AttributeError):
            # Whoever looks after the connection brings another one, or ends all.
            self._slots = {}
            return self._slots
        workers = identity["workers"].items()
        self._slots = {each: int(facts["resources"].get(ENTRY_SLOT, 0)) for each, facts in workers}
        if any(self._slots.values()):
            self._seen_slots = now
        return self._slots

    async def _ask(self, address: str, key: str, entry: Entry, limits: Limits) -> Record | str:
        """What a worker answers, or how it was lost."""
        call = asyncio.ensure_future(self._run(address, run_entry, entry, limits, key))
        try:
            while not (await asyncio.wait({call}, timeout=_LOOK_SECONDS))[0]:
                # A connection to a machine that is gone, or stands still, can last for minutes.
                if address not in await self._look():
                    return "the worker is gone"
            end = call.result()
        except asyncio.CancelledError:
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._run(address, cancel_entry, key), _CANCEL_SECONDS)
            raise
        except OSError as error:
            return f"the connection was lost: {type(error).__name__}"
        finally:
            call.cancel()
        if isinstance(end, Exception):
            return f"the worker was lost: {type(end).__name__}"
        return end  # type: ignore[no-any-return]

    async def _run(self, address: str, function: Any, *arguments: object) -> Any:
        ends = await self._client.run(function, *arguments, workers=[address], on_error="return")
        return ends[address]


def _lost(entry: Entry, message: str) -> Record:
    return Record(
        row=1,
        status=Status.FAILED,
        source=storage.redact(entry.source),
        id=entry.id or "",
        tag=entry.tag,
        error_code=ClusterError.code,
        message=message,
        retryable=ClusterError.retryable,
        attempts=_MOST_ATTEMPTS,
    )
