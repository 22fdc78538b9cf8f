"""The runner: each ready task once, whatever one of them does, and none lost."""

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.errors import SourceNotFoundError
from farm.service import runner as module
from farm.service.config import ServiceConfig
from farm.service.database import Database
from farm.service.model import NewJob, NewTask, Status, StoredFile
from farm.service.operation import Outcome, TaskError, Work
from farm.service.runner import Runner, folder_of
from farm.service.store import TaskStore
from farm.service.vault import Vault
from tests.lanes import wait_until


class Stage:
    """A runner over a real store, whose operations the test says."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = ServiceConfig(data=data, concurrency=4)
        self.database = Database(self.config.database_url)
        self.store = TaskStore(self.database, most_open=1000)
        self.vault = Vault(data / "vault.key")
        self.operations: dict[str, Callable[[Work], Outcome]] = {}
        self.runners: list[Runner] = []
        monkeypatch.setattr(module, "operation", lambda name: self.operations[name])

    def start(self) -> Runner:
        runner = Runner(self.config, self.store, self.vault, cluster=None)  # type: ignore[arg-type]
        self.runners.append(runner)
        runner.start()
        return runner

    def add(self, operation: str, runner: Runner | None = None, **fields) -> str:
        task = NewTask(str(uuid.uuid4()), operation, fields.pop("payload", {}), **fields)
        changes = self.store.add_tasks([task], key_id="k")
        if runner is not None:
            runner.settle(changes)
        return task.id

    def ended(self, task_id: str):
        wait_until(lambda: self.store.task(task_id).status.is_end)
        return self.store.task(task_id)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stage = Stage(tmp_path, monkeypatch)
    yield stage
    for runner in stage.runners:
        runner.close()
    stage.database.close()


def _made(work: Work) -> Outcome:
    path = work.folder / "a.txt"
    path.write_text(" ".join(file.name for file in work.files))
    file = StoredFile(
        id=str(uuid.uuid4()),
        name=f"{work.task.name}.txt",
        path=work.stored(path),
        size_bytes=path.stat().st_size,
    )
    return Outcome(files=[file], engine="e", engine_version="1", message="made")


def test_files_go_from_task_to_task(stage: Stage) -> None:
    runner = stage.start()
    stage.operations["make"] = _made
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    tasks = [
        NewTask(first, "make", {}, name="first"),
        NewTask(second, "make", {}, name="second", inputs=(first,)),
    ]
    job = str(uuid.uuid4())
    runner.settle(stage.store.add_job(NewJob(job, "cloudconvert"), tasks, key_id="k"))
    task = stage.ended(second)
    assert (task.status, task.engine, task.message) == (Status.FINISHED, "e", "made")
    assert (stage.config.data / task.files[0].path).read_text() == "first.txt"
    assert stage.store.job(job).status is Status.FINISHED


def test_each_failure_has_its_code_and_ends_no_other(stage: Stage) -> None:
    runner = stage.start()

    def fail(error: Exception) -> Callable[[Work], Outcome]:
        def operation(work: Work) -> Outcome:
            raise error

        return operation

    stage.operations |= {
        "own": fail(TaskError("no file", code="NO_INPUT_FILES")),
        "farm": fail(SourceNotFoundError("is not there")),
        "defect": fail(RuntimeError("secret of the request")),
        "make": _made,
    }
    ids = {name: stage.add(name, runner) for name in ("own", "farm", "defect", "make", "unknown")}
    ended = {name: stage.ended(task_id) for name, task_id in ids.items()}
    assert ended["own"].code == "NO_INPUT_FILES"
    assert (ended["farm"].code, ended["farm"].message) == ("SOURCE_NOT_FOUND", "is not there")
    assert ended["defect"].code == ended["unknown"].code == "INTERNAL_ERROR"
    assert "secret" not in (ended["defect"].message or "")
    assert ended["make"].status is Status.FINISHED


def test_a_running_task_is_told_that_it_was_cancelled(stage: Stage) -> None:
    runner = stage.start()
    begun, left = threading.Event(), threading.Event()

    def wait(work: Work) -> Outcome:
        begun.set()
        try:
            while True:
                work.check()
                time.sleep(0.01)
        finally:
            left.set()

    stage.operations["wait"] = wait
    task_id = stage.add("wait", runner)
    assert begun.wait(10)
    assert runner.cancel(task_id)
    assert left.wait(10)
    assert stage.store.task(task_id).code == "CANCELLED"
    assert not runner.cancel(task_id)


def test_a_timeout_ends_it(stage: Stage) -> None:
    runner = stage.start()

    def wait(work: Work) -> Outcome:
        while True:
            work.check()
            time.sleep(0.01)

    stage.operations["wait"] = wait
    assert stage.ended(stage.add("wait", runner, payload={"timeout": 0.05})).code == "TIMEOUT"


def test_what_ran_when_it_closed_is_taken_up(stage: Stage) -> None:
    runner = stage.start()
    begun = threading.Event()

    def wait(work: Work) -> Outcome:
        begun.set()
        while True:
            work.check()
            time.sleep(0.01)

    stage.operations["make"] = wait
    task_id = stage.add("make", runner)
    assert begun.wait(10)
    runner.close()
    assert stage.store.task(task_id).status is Status.PROCESSING
    stage.operations["make"] = _made
    stage.start()
    task = stage.ended(task_id)
    assert (task.status, task.attempts) == (Status.FINISHED, 2)


def test_an_earlier_attempt_that_still_writes_does_not_matter(stage: Stage) -> None:
    """As a worker does whose service was killed."""
    seen = []

    def note(work: Work) -> Outcome:
        assert list(work.folder.iterdir()) == []
        seen.append(work.folder)
        return Outcome()

    stage.operations["make"] = note
    task_id = stage.add("make")
    assert stage.store.begin(task_id) is not None
    old = folder_of(stage.config.data, task_id) / "1"
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            old.mkdir(parents=True, exist_ok=True)
            (old / uuid.uuid4().hex).touch()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        stage.start()
        assert stage.ended(task_id).status is Status.FINISHED
    finally:
        stop.set()
        writer.join()
    assert seen[0] != old


def test_the_sweep_takes_up_what_was_lost_and_forgets_what_is_old(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SWEEP_SECONDS", 0.05)
    stage.operations["make"] = _made
    stage.start()
    lost = stage.add("make")  # nobody settles it, as where the database failed just then
    task = stage.ended(lost)
    assert (stage.config.data / task.files[0].path).exists()
    old = stage.config.model_copy(update={"lifetime_seconds": 1e-3})
    monkeypatch.setattr(stage.runners[0], "_config", old)
    wait_until(lambda: stage.store.task(lost) is None)
    wait_until(lambda: not folder_of(stage.config.data, lost).exists())
