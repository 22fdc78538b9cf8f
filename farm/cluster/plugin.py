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

import dask
from distributed import Reschedule, secede
from distributed.diagnostics.plugin import WorkerPlugin

from farm import journal, metrics
from farm.cluster.departure import depart
from farm.cluster.recycling import retirement
from farm.cluster.release import RELEASE, difference
from farm.errors import ClusterError
from farm.ledger import ShardRef
from farm.manners import Rates
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
# Of the time that a worker has to leave: lanes are ended by the one, by the other shards must be
# committed; the rest is for the cluster.
_DROP_FRACTION = 0.75
_COMMIT_FRACTION = 0.9

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
        settings = Settings.model_validate(self._words | _own_words())
        loop = asyncio.get_running_loop()

        def leave(cause: str) -> None:
            asyncio.run_coroutine_threadsafe(_retire(worker, cause), loop)

        own = await loop.run_in_executor(None, _start, settings, self._zygote_address, leave)
        if not own.is_leaving:
            await worker.set_resources(**{SHARD_SLOT: _SHARDS_AT_ONCE, ENTRY_SLOT: own.entry_slots})

        async def age() -> None:
            leave(await retirement(settings))

        self._aging = asyncio.create_task(age())

    def teardown(self, worker: Any) -> None:
        """Ends the lanes with the worker."""
        if self._aging is not None:
            self._aging.cancel()
            _stop()


def _own_words() -> dict[str, Any]:
    """The settings of this machine alone, which `farm worker` puts in Dask's configuration."""
    return dict(dask.config.get("farm.worker", None) or {})


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


def _is_busy() -> bool:
    return _worker is not None and _worker.is_busy


async def _retire(worker: Any, cause: str) -> None:
    """Takes no other work, finishes what has begun, and leaves the cluster.

    A nanny starts it anew, and it looks anew which GPUs work.
    """
    _logger.warning("%s; the worker finishes its shards and leaves", cause)
    await worker.set_resources(**{SHARD_SLOT: 0, ENTRY_SLOT: 0})
    await depart(worker, is_busy=_is_busy, restart=True, reason=cause)


_leaving: "asyncio.Task[None] | None" = None


async def leave(seconds: float, cause: str, dask_worker: Any = None) -> None:
    """Has a worker leave for good within so many seconds, cutting short what is under way.

    Returns when the scheduler knows that there are no slots here. Shards that had begun are
    committed, with the rest of their entries as `deferred`.
    """
    global _leaving
    _logger.warning("%s; the worker leaves within %g s", cause, seconds)
    if _worker is not None:
        _worker.leave(_DROP_FRACTION * seconds)
    await dask_worker.set_resources(**{SHARD_SLOT: 0, ENTRY_SLOT: 0})
    # On its own: the call that this answers could not end otherwise.
    in_time = _COMMIT_FRACTION * seconds
    departure = depart(dask_worker, is_busy=_is_busy, restart=False, reason=cause, seconds=in_time)
    _leaving = asyncio.create_task(departure)


def run_shard(ref: ShardRef, run: str, is_final: bool, rates: Rates) -> Summary:
    """A task: one attempt at a shard; `rates` are its worker's share, unless told another."""
    worker = _worker
    if worker is None:
        raise ClusterError("this worker has no lanes")
    if rates.are_limited:
        worker.throttles.begin(run, rates)
    summary = worker.run_shard(ref, run=run, is_final=is_final, last_taken=secede)
    if summary.blocked_by == "drain" and worker.is_leaving:
        # Its run goes on elsewhere: there the shard is sent, as if it had never been here.
        raise Reschedule
    return summary


async def drain(run: str) -> None:
    """Lets no other entry of a run begin."""
    # A coroutine runs beside the shard, on the worker's loop; Dask waits for a plain function.
    if _worker is not None:
        _worker.drain(run)


async def throttle(run: str, rates: Rates) -> None:
    """Sets this worker's share of a run's rates, its shards under way too."""
    if _worker is not None:
        _worker.throttles.set(run, rates)


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
    if worker.is_leaving:
        return "the worker is leaving"
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
