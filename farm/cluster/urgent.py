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


class UrgentEntries:
    """The urgent entries of one client: as many under way as its workers have slots for.

    The others wait here, first come, first served. All but `submit` and `close` happens on the
    client's event loop.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._name = name
        self._serial = itertools.count(1)
        self._works: dict[asyncio.Task[None], EntryHandle] = {}
        self._line = asyncio.Lock()
        self._freed = asyncio.Event()
        self._under_way: collections.Counter[str] = collections.Counter()
        self._slots: dict[str, int] = {}
        self._looked = 0.0
        self._seen_slots = time.monotonic()

    def submit(self, entry: Entry, limits: Limits) -> EntryHandle:
        """Starts one; from any thread."""
        work: asyncio.Task[None] | None = None

        def begin() -> None:
            nonlocal work
            if not handle.future.done():
                work = self._loop.create_task(self._carry(handle, entry, limits))
                self._works[work] = handle
                work.add_done_callback(self._works.pop)

        def cancel() -> None:
            if work is not None:
                work.cancel()

        handle = EntryHandle(
            f"{self._name}-entry-{next(self._serial)}",
            cancelled=lambda: self._loop.call_soon_threadsafe(cancel),
        )
        try:
            self._loop.call_soon_threadsafe(begin)
        except RuntimeError:
            handle.settle(ClusterError(_CLOSED))
        return handle

    def close(self) -> None:
        """Ends all that are under way."""
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            self._client.sync(self._end, callback_timeout=2 * _CANCEL_SECONDS)

    async def _end(self) -> None:
        for work, handle in self._works.items():
            handle.settle(ClusterError(_CLOSED))
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)

    async def _carry(self, handle: EntryHandle, entry: Entry, limits: Limits) -> None:
        try:
            handle.settle(await self._record(handle.key, entry, limits))
        except ClusterError as error:
            handle.settle(error)
        except Exception as error:  # noqa: BLE001 - whoever waits for the future must hear of it
            handle.settle(ClusterError(f"it could not be sent: {type(error).__name__}: {error}"))
        finally:
            # Where it was cancelled from elsewhere, as Dask does when the client is closed.
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
        """The slots of each worker, as of a moment ago.

        Raises ClusterError where the scheduler does not answer.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return self._slots
        self._looked = now
        try:
            identity = await self._client.scheduler.identity(n_workers=-1)
        except (OSError, AttributeError) as error:
            raise ClusterError(f"the scheduler does not answer: {error}") from error
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
