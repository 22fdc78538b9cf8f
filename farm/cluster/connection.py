"""One connection to a scheduler: a Dask client, and our plugin on all of its workers.

A scheduler that ends takes all that it knew along: tasks, workers, plugins. What then follows is a
connection of its own, to whatever answers at the address.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

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
_HELD_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_CONFIG = {
    # Lanes have their own memory limit; a nanny's would kill the worker for a lane's appetite.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    # The run sends a lost shard again itself, and finds the entry that kills its workers.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-ttl": "120 s",
    "distributed.comm.timeouts.connect": "60 s",
    "distributed.comm.timeouts.tcp": "60 s",
    "distributed.comm.retry.count": 3,
    # Lanes do the work: what looking at threads and loops every 10 ms costs, they can use.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500 ms",
    "distributed.admin.log-format": "%(levelname)s %(name)s: %(message)s",
}


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
        self._config = dask.config.set(_CONFIG) if scheduler is None else contextlib.nullcontext()
        # What becomes of connections is told by whoever has this one; a lost one left tracebacks.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        journal.set_up()  # for the handlers of Dask, which is loaded by now
        words: dict[str, Any] = {}
        if connect_seconds is not None and scheduler is not None:
            # One of our own answers in the end, however busy the machine is.
            words["timeout"] = connect_seconds
        if tls is not None:
            words["security"] = _security(tls)
        try:
            if scheduler is None:
                with contextlib.suppress(OSError):  # then the worker starts its own
                    self._early = EarlyZygote(settings.lane_rules)
                self.embedded = _embed(workers)
            with _signals_held():
                self.client = Client(self.embedded or scheduler, set_as_default=False, **words)
            address = self._early.address if self._early is not None else None
            self.client.register_plugin(LanesPlugin(settings, address))
            self._scheduler_id = self.client.sync(_identity, self.client)["id"]
        except BaseException:
            self.close()
            raise

    def look(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the scheduler knows of its workers, and the keys that each has, both by address.

        Raises ConnectionError where it does not answer, or is not the one that was connected to.
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
        if self._early is not None:
            self._early.close()


def _security(folder: Path) -> Security:
    """What a client shows and demands: certificates of the authority in a folder."""
    return Security(
        tls_ca_file=str(folder / "ca.pem"),
        tls_client_cert=str(folder / "client.pem"),
        tls_client_key=str(folder / "client.key"),
        require_encryption=True,
    )


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


async def _identity(client: Any) -> Any:
    return await client.scheduler.identity(n_workers=-1)


async def _processing(client: Any) -> Any:
    return await client.processing()


async def _tell(client: Any, function: Callable[..., object], *arguments: object) -> None:
    await client.run(function, *arguments, wait=False)
