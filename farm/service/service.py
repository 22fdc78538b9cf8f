"""The parts of a running service, as its routes use them."""

import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

from farm.cluster import Cluster
from farm.errors import InvalidJobError
from farm.service.config import ServiceConfig
from farm.service.database import Database
from farm.service.keys import KeyStore
from farm.service.limiter import Limiter
from farm.service.lock import FolderLock
from farm.service.runner import Runner
from farm.service.signing import Signer
from farm.service.store import TaskStore
from farm.service.tokens import TokenStore
from farm.service.transition import Changes
from farm.service.uploads import UploadStore
from farm.service.vault import Vault
from farm.service.watch import Watch

FOLDERS = ("files", "uploads")


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that one process of the service has; `close` lets go of it."""

    config: ServiceConfig
    lock: FolderLock
    database: Database
    store: TaskStore
    keys: KeyStore
    tokens: TokenStore
    uploads: UploadStore
    vault: Vault
    signer: Signer
    watch: Watch
    limiter: Limiter
    cluster: Cluster
    runner: Runner

    @classmethod
    def open(
        cls,
        config: ServiceConfig,
        cluster: Callable[[], Cluster],
        *,
        ended: Callable[[Changes], None] = lambda changes: None,
    ) -> Self:
        """Opens the database and the cluster; `ended` is told of what ends, from any thread.

        Raises RunError or InvalidJobError where one of them cannot be used, and RunConflictError
        where another service does.
        """
        prepare(config)
        with contextlib.ExitStack() as undo:
            lock = FolderLock.take(config.data / "service.lock")
            undo.callback(lock.close)
            database = Database(config.database_url)
            undo.callback(database.close)
            database.claim()
            vault = Vault(config.data / "vault.key")
            opened = cluster()
            undo.callback(opened.close)
            service = cls._of(config, lock, database, vault, opened, ended=ended)
            undo.pop_all()
        return service

    @classmethod
    def _of(
        cls,
        config: ServiceConfig,
        lock: FolderLock,
        database: Database,
        vault: Vault,
        cluster: Cluster,
        *,
        ended: Callable[[Changes], None],
    ) -> Self:
        store = TaskStore(database, most_open=config.queue_tasks)
        tokens, uploads = TokenStore(database), UploadStore(database, config.data)
        watch = Watch()

        def changed(changes: Changes) -> None:
            watch.ended((*changes.ended_tasks, *changes.ended_jobs))
            ended(changes)

        tidy = partial(_tidy, config, tokens, uploads)
        return cls(
            config=config,
            lock=lock,
            database=database,
            store=store,
            keys=KeyStore(database),
            tokens=tokens,
            uploads=uploads,
            vault=vault,
            signer=Signer(config.data / "signing.key"),
            watch=watch,
            limiter=Limiter(config.creations_per_minute),
            cluster=cluster,
            runner=Runner(config, store, vault, cluster, changed=changed, tidy=tidy),
        )

    def close(self) -> None:
        """Stops what runs, which is taken up at the next start, and closes all."""
        self.runner.close()
        self.cluster.close()
        self.database.close()
        self.lock.close()


def prepare(config: ServiceConfig) -> None:
    """Makes the folders; raises InvalidJobError where that is not allowed."""
    try:
        # What callers sent is nobody's but the service's.
        config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in FOLDERS:
            (config.data / name).mkdir(exist_ok=True)
        shutil.disk_usage(config.data)
    except OSError as error:
        raise InvalidJobError(f"data: cannot use {config.data}: {error.strerror}") from None


def _tidy(config: ServiceConfig, tokens: TokenStore, uploads: UploadStore) -> None:
    tokens.expire()
    uploads.expire(time.time() - config.lifetime_seconds)
