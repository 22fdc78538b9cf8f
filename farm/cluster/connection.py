"""One connection to a scheduler: a Dask client, and our plugin on all of its workers.

A scheduler that ends takes all that it knew along: tasks, workers, plugins. What then follows is a
connection of its own, to whatever answers at the address.
"""

import asyncio
import atexit
import contextlib
import logging
import multiprocessing
import signal
import time
import weakref
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Literal

import dask
from distributed import Client, LocalCluster
from distributed.security import Security

from farm import journal
from farm.cluster.plugin import LanesPlugin
from farm.isolation import EarlyZygote
from farm.settings import Settings

_CLOSE_SECONDS = 10
# So long a scheduler may be busy, or stand still.
_ANSWER_SECONDS = 60
_EMPTY_SECONDS = 120
_WORKER_NAME = "Dask Worker process"  # as nannies call them
_HELD_SIGNALS = (signal.SIGINT, signal.SIGTERM)

CONFIG = {
    # Lanes have their own memory limit; a nanny's would kill the worker for a lane's appetite.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    # The run sends a lost shard again itself, and finds the entry that kills its workers.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-ttl": "120 s",
    # An embedded cluster that misses a worker for that long, 15 s by default, closes its nanny for
    # good: on a busy machine a worker takes longer to start anew.
    "distributed.deploy.lost-worker-timeout": "1 day",
    "distributed.comm.timeouts.connect": "60 s",
    "distributed.comm.timeouts.tcp": "60 s",
    "distributed.comm.retry.count": 3,
    # Lanes do the work: what looking at threads and loops every 10 ms costs, they can use.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500 ms",
    "distributed.admin.log-format": "%(levelname)s %(name)s: %(message)s",
}


# The connections that have, or are about to have, an embedded cluster.
_embedded: "weakref.WeakSet[Connection]" = weakref.WeakSet()


class Connection:
    """A client of the scheduler at an address, or of an embedded cluster without an address.

    `client` is Dask's, `embedded` the cluster that was started, if one was. `connect_seconds`
    bounds the wait for the scheduler, by default as Dask is configured. `tls` is a folder with the
    certificates of `farm certs`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        scheduler: str | None,
        workers: int,
        tls: Path | None = None,
        connect_seconds: float | None = None,
    ) -> None:
        self.embedded: LocalCluster | None = None
        self._early: EarlyZygote | None = None
        self.client: Any = None
        # Set for the life of the embedded cluster: its nannies hand it to workers they restart.
        self._config = dask.config.set(CONFIG) if scheduler is None else contextlib.nullcontext()
        # What becomes of connections is told by whoever has this one; a lost one left tracebacks.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        journal.set_up()  # for the handlers of Dask, which is loaded by now
        words: dict[str, Any] = {}
        if connect_seconds is not None and scheduler is not None:
            # One of our own answers in the end, however busy the machine is.
            words["timeout"] = connect_seconds
        if tls is not None:
            words["security"] = security(tls, "client")
        try:
            if scheduler is None:
                with contextlib.suppress(OSError):  # then the worker starts its own
                    self._early = EarlyZygote(settings.lane_rules)
                _embedded.add(self)
                self.embedded = _embed(workers)
            with _signals_held():
                self.client = Client(self.embedded or scheduler, set_as_default=False, **words)
            address = self._early.address if self._early is not None else None
            self.client.register_plugin(LanesPlugin(settings, address))
            self._seen_worker = time.monotonic()
            self._scheduler_id = self.client.sync(_identity, self.client)["id"]
        except BaseException:
            self.close()
            raise

    def look(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the scheduler knows of its workers, and the keys that each has, both by address.

        Raises ConnectionError where it does not answer, is not the one that was connected to, or is
        an embedded one that has lost its workers.
        """
        client = self.client
        if client.status != "running":
            raise ConnectionError("the connection to the scheduler was lost")
        try:
            identity = client.sync(_identity, client, callback_timeout=_ANSWER_SECONDS)
            processing = client.sync(_processing, client, callback_timeout=_ANSWER_SECONDS)
        except (OSError, AttributeError, RuntimeError, asyncio.CancelledError) as error:
            # All but the first are what a client that is closing itself says.
            raise ConnectionError(f"the scheduler does not answer: {error!r}") from error
        if identity["id"] != self._scheduler_id:
            raise ConnectionError("the scheduler was replaced")
        if identity["workers"] or self.embedded is None:
            self._seen_worker = time.monotonic()
        elif time.monotonic() - self._seen_worker > _EMPTY_SECONDS:
            # A nanny whose worker fails to start closes itself, and nobody starts another one.
            raise ConnectionError(f"the embedded cluster has had no worker for {_EMPTY_SECONDS} s")
        return dict(identity["workers"]), dict(processing)

    def tell(self, function: Callable[..., object], *arguments: object) -> None:
        """Has all workers run a function, and does not wait for them."""
        told = (_tell, self.client, function, *arguments)
        with contextlib.suppress(OSError, RuntimeError, asyncio.CancelledError):
            self.client.sync(*told, callback_timeout=_CLOSE_SECONDS)

    def close(self) -> None:
        """Lets go of the scheduler; ends an embedded cluster."""
        for part in (self.client, self.embedded):
            if part is not None:
                with contextlib.suppress(OSError, TimeoutError, RuntimeError):
                    part.close(timeout=_CLOSE_SECONDS)
        if self in _embedded:
            _embedded.discard(self)
            if not _embedded:
                _kill_workers()
        if self._early is not None:
            self._early.close()


def security(folder: Path, role: Literal["client", "worker"]) -> Security:
    """What a client or worker shows and demands: certificates of the authority in a folder."""
    shown = {
        f"tls_{role}_cert": str(folder / f"{role}.pem"),
        f"tls_{role}_key": str(folder / f"{role}.key"),
    }
    return Security(tls_ca_file=str(folder / "ca.pem"), require_encryption=True, **shown)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Blocks SIGINT and SIGTERM in every thread and process that is started meanwhile.

    A Ctrl-C reaches the whole process group of a terminal: it is the run's to answer, by draining.
    The mask is inherited, by the threads that start an embedded cluster's workers too.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _embed(workers: int) -> LocalCluster:
    # Started while no signal is held: it would let go of them in the thread that needs it first.
    resource_tracker.ensure_running()
    with _signals_held():
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=40,
        )


def _kill_workers() -> None:
    """Ends the workers of embedded clusters that closing these has left behind.

    A nanny lets go of a worker that is only starting. At exit such a worker would be asked to end
    by SIGTERM, which workers hold back, and be waited for without end.
    """
    for process in multiprocessing.active_children():
        if process.name.startswith(_WORKER_NAME):
            process.kill()


# Called before what multiprocessing does at exit, because it is registered later.
atexit.register(_kill_workers)


async def _identity(client: Any) -> Any:
    return await client.scheduler.identity(n_workers=-1)


async def _processing(client: Any) -> Any:
    return await client.processing()


async def _tell(client: Any, function: Callable[..., object], *arguments: object) -> None:
    await client.run(function, *arguments, wait=False)
