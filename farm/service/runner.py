"""Carries out tasks as they become ready: so many at once, each once, none lost."""

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from farm.cluster import Cluster
from farm.errors import FarmError
from farm.service.config import ServiceConfig
from farm.service.model import Task
from farm.service.operation import CancelledTaskError, Outcome, TaskError, Work, operation
from farm.service.store import TaskStore
from farm.service.transition import CANCELLED, Changes, Ending
from farm.service.vault import Vault

_TELL_SECONDS = 1.0
_SWEEP_SECONDS = 60.0
_MOST_ATTEMPTS = 3

_logger = logging.getLogger(__name__)


class Runner:
    """Works on ready tasks in threads of its own.

    `changed` is called with what each step brought about, from any thread. `start` takes up what an
    earlier process left; `close` leaves what runs to the next one. `tidy` is called now and then,
    to forget what else has outlived its time.
    """

    def __init__(
        self,
        config: ServiceConfig,
        store: TaskStore,
        vault: Vault,
        cluster: Cluster,
        *,
        changed: Callable[[Changes], None] = lambda changes: None,
        tidy: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._store = store
        self._vault = vault
        self._cluster = cluster
        self._changed = changed
        self._tidy = tidy
        self._threads = ThreadPoolExecutor(config.concurrency, thread_name_prefix="farm-task")
        self._sweeper = threading.Thread(target=self._sweep, name="farm-sweep", daemon=True)
        self._lock = threading.Lock()
        # What is in hand, from before it begins until behind its end.
        self._in_hand: dict[str, threading.Event] = {}
        self._closing = threading.Event()

    def start(self) -> None:
        """Takes up the tasks that wait, and those that ran when the service ended."""
        self.settle(self._recovered())
        self._sweeper.start()

    def close(self) -> None:
        """Begins nothing more; what runs is stopped and taken up at the next start."""
        self._closing.set()
        with self._lock:
            for event in self._in_hand.values():
                event.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def settle(self, changes: Changes) -> None:
        """Begins what is ready and tells of the rest; for whoever changed the store."""
        for task_id in changes.ready:
            self._submit(task_id)
        self._changed(changes)

    def _submit(self, task_id: str) -> None:
        with self._lock:
            if task_id in self._in_hand:
                return
            event = self._in_hand[task_id] = threading.Event()
        with contextlib.suppress(RuntimeError):  # closed: the next start takes it up
            self._threads.submit(self._carry_out, task_id, event)

    def cancel(self, task_id: str) -> bool:
        """Ends an open task as cancelled; False where it has ended already."""
        changes = self._store.end(task_id, Ending(CANCELLED, "The task was cancelled."))
        with self._lock:
            event = self._in_hand.get(task_id)
        if event is not None:
            event.set()
        self.settle(changes)
        return task_id in changes.ended_tasks

    def forget(self, task_ids: Iterable[str]) -> None:
        """Stops tasks that the store has deleted, and removes their files."""
        for task_id in task_ids:
            with self._lock:
                event = self._in_hand.get(task_id)
            if event is not None:
                event.set()
            shutil.rmtree(folder_of(self._config.data, task_id), ignore_errors=True)

    def _carry_out(self, task_id: str, event: threading.Event) -> None:
        if self._closing.is_set():
            return
        try:
            begun = self._store.begin(task_id)
            if begun is not None:
                ending = self._ending(*begun, event)
                if ending is not None:
                    self.settle(self._store.end(task_id, ending, is_repeatable=True))
                self._drop_orphan(task_id)
        except Exception:
            # The store failed, or a defect of ours: the task stays open, for the next sweep.
            _logger.exception("task %s could not be ended", task_id)
        finally:
            with self._lock:
                self._in_hand.pop(task_id, None)

    def _ending(
        self, task: Task, inputs: tuple[Task, ...], event: threading.Event
    ) -> Ending | None:
        """How it went; None where the service is closing and the task is to be taken up again."""
        try:
            outcome = operation(task.operation)(self._work(task, inputs, event))
        except CancelledTaskError:
            return None
        except TaskError as error:
            return Ending(error.code, str(error))
        except FarmError as error:
            return Ending(error.code.upper(), str(error))
        except Exception as error:
            # A defect of ours costs one task; its words may hold what the request held.
            _logger.exception("task %s failed", task.id)
            return Ending("INTERNAL_ERROR", f"internal error: {type(error).__name__}")
        return _good(outcome)

    def _work(self, task: Task, inputs: tuple[Task, ...], event: threading.Event) -> Work:
        # A folder for each attempt: a worker of a service that was killed may still write into that
        # of the one before.
        own = folder_of(self._config.data, task.id)
        shutil.rmtree(own, ignore_errors=True)
        folder = own / str(task.attempts)
        folder.mkdir(parents=True)
        asked = task.payload.get("timeout") or self._config.task_seconds
        seconds = min(float(asked), self._config.task_seconds)
        told = 0.0

        def tell(percent: int) -> None:
            nonlocal told
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                self._store.tell(task.id, percent=percent)

        return Work(
            task=task,
            inputs=inputs,
            folder=folder,
            secrets=self._vault.open(task.sealed) if task.sealed else {},
            config=self._config,
            cluster=self._cluster,
            deadline=time.monotonic() + seconds,
            is_cancelled=event.is_set,
            tell=tell,
        )

    def _drop_orphan(self, task_id: str) -> None:
        """Removes the files of a task that was deleted while it ran."""
        if self._store.task(task_id) is None:
            shutil.rmtree(folder_of(self._config.data, task_id), ignore_errors=True)

    def _sweep(self) -> None:
        """Forgets what has outlived its time, and takes up what nobody works on."""
        while not self._closing.wait(_SWEEP_SECONDS):
            try:
                self.forget(self._store.expire(time.time() - self._config.lifetime_seconds))
                self.settle(self._recovered())
                self._tidy()
            except Exception:
                # The database may be away for a while; the next round does it.
                _logger.exception("the sweep failed")

    def _recovered(self) -> Changes:
        return self._store.recover(
            most_attempts=_MOST_ATTEMPTS, is_known=lambda task_id: task_id in self._in_hand
        )


def folder_of(data: Path, task_id: str) -> Path:
    """Where the files of a task lie: not all in one folder, which would get slow."""
    return data / "files" / task_id[:2] / task_id


def _good(outcome: Outcome) -> Ending:
    return Ending(
        message=outcome.message,
        result=outcome.result,
        files=outcome.files,
        engine=outcome.engine,
        engine_version=outcome.engine_version,
    )
