"""The worker's side of the port: the lanes of a Dask worker, and what is run on them.

A worker takes work only when the plugin has granted it slots, Dask resources, which it does after
its lanes are up: a worker whose set-up fails gets no work. The names of the slots say what the
worker runs, so that no client sends it work that runs anything else.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

from distributed import secede
from distributed.diagnostics.plugin import WorkerPlugin

from farm import journal, metrics
from farm.cluster.recycling import retirement
from farm.cluster.release import RELEASE, difference
from farm.errors import ClusterError
from farm.ledger import ShardRef
from farm.meter import Meter
from farm.pace import WorkerPace
from farm.record import Record
from farm.settings import Limits, Settings
from farm.spec import Entry
from farm.summary import Summary
from farm.worker import Worker

SLOT_PREFIX = "farm-slot "
SHARD_SLOT = SLOT_PREFIX + RELEASE
ENTRY_SLOT = "farm-entry " + RELEASE
# One whose last entries are under way, and the one after it.
_SHARDS_AT_ONCE = 2
_LEAVE_POLL_SECONDS = 0.5
_MOST_LEAVE_POLLS = 20

_logger = logging.getLogger(__name__)


class LanesPlugin(WorkerPlugin):
    """Starts the lanes of a worker and grants it its slots when they are up.

    A worker that does not run what the client does gets none, and says what it runs. That must work
    whatever the two run: all that the plugin carries are texts and numbers.
    """

    idempotent = True

    def __init__(self, settings: Settings, zygote_address: str | None) -> None:
        # One for each release: clients of several may share a scheduler.
        self.name = f"farm-lanes {RELEASE}"
        self._release = RELEASE
        self._words = settings.model_dump(mode="json")
        self._zygote_address = zygote_address
        self._aging: asyncio.Task[None] | None = None

    async def setup(self, worker: Any) -> None:
        """Runs on each worker, also on those that join or restart later."""
        if self._release != RELEASE:
            # Not by raising: the client would take that for the failure of all workers.
            if SHARD_SLOT not in worker.state.total_resources:
                await worker.set_resources(**{SHARD_SLOT: 0})
            apart = difference(self._release, whose="this worker")
            _logger.error("no work is taken of a client that %s", apart)
            return
        settings = Settings.model_validate(self._words)
        loop = asyncio.get_running_loop()

        def leave(cause: str) -> None:
            asyncio.run_coroutine_threadsafe(_leave(worker, cause), loop)

        own = await loop.run_in_executor(None, _start, settings, self._zygote_address, leave)
        await worker.set_resources(**{SHARD_SLOT: _SHARDS_AT_ONCE, ENTRY_SLOT: own.entry_slots})

        async def age() -> None:
            leave(await retirement(settings))

        self._aging = asyncio.create_task(age())

    def teardown(self, worker: Any) -> None:
        """Ends the lanes with the worker."""
        if self._aging is not None:
            self._aging.cancel()
            _stop()


_lock = threading.Lock()
_worker: Worker | None = None


def _start(
    settings: Settings, zygote_address: str | None, gpu_lost: Callable[[str], object]
) -> Worker:
    global _worker
    with _lock:
        if _worker is None:
            journal.set_up()
            meter = Meter() if metrics.is_installed() else None
            _worker = Worker(
                settings, zygote_address=zygote_address, gpu_lost=gpu_lost, meter=meter
            )
            journal.bind(worker=_worker.name)
            metrics.publish(_worker)
        return _worker


def _stop() -> None:
    global _worker
    with _lock:
        if _worker is not None:
            metrics.withdraw()
            _worker.close()
        _worker = None


async def _leave(worker: Any, cause: str) -> None:
    """Takes no other work, finishes what has begun, and leaves the cluster.

    A nanny starts it anew, and it looks anew which GPUs work. Shards that wait here go elsewhere.
    """
    _logger.warning("%s; the worker finishes its shards and leaves", cause)
    await worker.set_resources(**{SHARD_SLOT: 0, ENTRY_SLOT: 0})
    while _worker is not None and _worker.is_busy:
        await asyncio.sleep(_LEAVE_POLL_SECONDS)
    # With a summary that its run has yet to fetch it would not be let go, and shards that wait here
    # would be lost as if it had died.
    for _ in range(_MOST_LEAVE_POLLS):
        if not worker.data:
            break
        await asyncio.sleep(_LEAVE_POLL_SECONDS)
    await worker.close_gracefully(restart=True, reason=cause)


def run_shard(ref: ShardRef, run: str, is_final: bool) -> Summary:
    """A task: one attempt at a shard."""
    if _worker is None:
        raise ClusterError("this worker has no lanes")
    return _worker.run_shard(ref, run=run, is_final=is_final, last_taken=secede)


async def drain(run: str) -> None:
    """Lets no other entry of a run begin."""
    # A coroutine runs beside the shard, on the worker's loop; Dask waits for a plain function.
    if _worker is not None:
        _worker.drain(run)


async def pace(run: str) -> WorkerPace:
    """How this worker gets on with all shards, and its oldest entry of one run."""
    return WorkerPace() if _worker is None else _worker.pace(run)


async def run_entry(entry: Entry, limits: Limits, key: str) -> Record | str:
    """The record of an urgent entry, or why there is none: then it is to be sent again.

    Never raises: Dask would log the arguments, and a source may be a signed address.
    """
    worker = _worker
    if worker is None:
        return "the worker has no lanes"
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(
            worker.entry_threads, worker.run_entry, entry, limits, key
        )
    except Exception as error:  # noqa: BLE001 - the executor was shut down, or a defect: see above
        return f"the worker failed: {type(error).__name__}"


async def cancel_entry(key: str) -> None:
    """Ends an urgent entry."""
    if _worker is not None:
        _worker.cancel_entry(key)
