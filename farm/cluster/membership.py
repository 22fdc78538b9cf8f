"""A machine as a member of a cluster: one worker under a nanny, from joining to leaving.

What a worker of ours needs of Dask is set here: one thread, no memory limits but those of the
lanes, and that nothing but this module answers the signals of its processes.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
from distributed import Nanny
from distributed.protocol.pickle import dumps

from farm import journal
from farm.cluster import plugin
from farm.cluster.connection import CONFIG, security
from farm.errors import ClusterError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STOPPED = 130
_ASK_SECONDS = 5.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Membership:
    """Where a worker is to work, and how.

    `words` are settings of this machine, which go before those of a run. `tls` is a folder with
    the certificates of `farm certs`. `local_directory` is where Dask keeps its files. `pages` is
    the address of Dask's pages, /metrics among them; by default a free port.
    """

    scheduler: str
    name: str | None = None
    words: dict[str, Any] = field(default_factory=dict)
    local_directory: Path | None = None
    tls: Path | None = None
    drain_seconds: float = 25.0
    pages: tuple[str, int] | None = None


class Leave:
    """The request to leave, with its reason; the first one counts. From any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.reason: asyncio.Future[str] = self._loop.create_future()

    def __call__(self, reason: str) -> None:
        """Asks the worker to leave."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the worker with it
            self._loop.call_soon_threadsafe(self._set, reason)

    def _set(self, reason: str) -> None:
        if not self.reason.done():
            self.reason.set_result(reason)


def work(
    membership: Membership,
    *,
    watch: Callable[[Callable[[str], None]], None],
    notice: Callable[[str], object],
) -> str:
    """Has this machine work for a cluster until it leaves; why it did.

    SIGINT and SIGTERM have it leave, a second one at once. So has `watch`, which is run in a thread
    of its own, by calling its argument with a reason. Raises ClusterError where no scheduler
    answers, or no worker can be started. Where the scheduler ends, the worker does.
    """
    journal.set_up()  # for the handlers of Dask, which is loaded by now
    # Started while no signal is held: it would let go of them in the thread that needs it first.
    resource_tracker.ensure_running()
    # Held in all threads and processes that there will be: a terminal's Ctrl-C reaches them all.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    with dask.config.set(CONFIG | {"farm.worker": membership.words}):
        return asyncio.run(_work(membership, watch, notice))


async def _work(
    membership: Membership,
    watch: Callable[[Callable[[str], None]], None],
    notice: Callable[[str], object],
) -> str:
    leave = Leave()
    signals = _in_thread("farm-signals", lambda: _await_signals(leave, notice))
    for each in _SIGNALS:
        # Libraries have threads from when they were loaded, which hold nothing back. What reaches
        # one of these is passed on, instead of ending the process.
        asyncio.get_running_loop().add_signal_handler(each, signal.pthread_kill, signals, each)
    _in_thread("farm-watch", lambda: watch(leave))
    try:
        nanny = _nanny(membership)
        joining = asyncio.ensure_future(nanny.start())
        await _first(joining, leave.reason)
        if not joining.done():
            await _abandon(nanny, joining)
            return leave.reason.result()
        await joining
    except (OSError, TimeoutError, RuntimeError, ValueError) as error:
        cause = error.__cause__ or error
        raise ClusterError(
            f"{membership.scheduler} cannot be joined: {type(cause).__name__}: {cause}"
        ) from error
    notice(f"joined {membership.scheduler} as {nanny.worker_address}")
    over = asyncio.ensure_future(nanny.finished())
    await _first(over, leave.reason)
    if not leave.reason.done():
        return "the scheduler is gone, or has dismissed the worker"
    notice(f"{leave.reason.result()}: leaving within {membership.drain_seconds:g} s")
    await _leave(nanny, over, leave.reason.result(), membership.drain_seconds)
    return leave.reason.result()


def _nanny(membership: Membership) -> Any:
    tls = membership.tls
    return Nanny(
        membership.scheduler,
        nthreads=1,
        memory_limit=0,
        name=membership.name,
        local_directory=str(membership.local_directory) if membership.local_directory else None,
        security=security(tls, "worker") if tls is not None else None,
        dashboard_address=[membership.pages] if membership.pages is not None else None,
        preload=["farm.journal"] if journal.is_wanted() else None,
    )


async def _leave(nanny: Any, over: "asyncio.Future[None]", reason: str, seconds: float) -> None:
    """Has the worker depart, and ends it where it has not done so in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        async with (
            asyncio.timeout(min(_ASK_SECONDS, seconds)),
            nanny.rpc(nanny.worker_address) as worker,
        ):
            await worker.run(function=dumps(plugin.leave), args=dumps((seconds, reason)))
        async with asyncio.timeout_at(deadline):
            await asyncio.shield(over)
    except (OSError, TimeoutError) as error:
        _logger.warning("the worker is ended: %r", error)
    await nanny.close(timeout=1)


async def _abandon(nanny: Any, joining: "asyncio.Future[Any]") -> None:
    """Ends a worker that was starting."""
    joining.cancel()
    with contextlib.suppress(Exception):  # it was cancelled anywhere, and may say anything
        async with asyncio.timeout(_ASK_SECONDS):
            await nanny.close(timeout=1)
    # Else they would be waited for at exit, after a SIGTERM that they hold back.
    for process in multiprocessing.active_children():
        process.kill()


async def _first(*futures: "asyncio.Future[Any]") -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _in_thread(name: str, target: Callable[[], object]) -> int:
    """Starts a thread; gives its identifier."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    assert thread.ident is not None
    return thread.ident


def _await_signals(leave: Leave, notice: Callable[[str], object]) -> None:
    """Leaves at the first signal; at the second ends this process, and with it all of its own."""
    leave(signal.Signals(signal.sigwait(_SIGNALS)).name)
    signal.sigwait(_SIGNALS)
    notice("stopped at once by a second signal")
    os._exit(_STOPPED)
