"""The store: what may begin, what fails with its input, what a restart takes up."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farm.service.database import Database
from farm.service.keys import KeyStore
from farm.service.model import NewJob, NewTask, Scope, Status, StoredFile
from farm.service.reading import list_jobs, list_tasks
from farm.service.store import BusyError, TaskStore
from farm.service.transition import INPUT_FAILED, Ending, MissingInputError


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'service.db'}"
    else:
        url = request.getfixturevalue("postgresql").new_database()
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> TaskStore:
    return TaskStore(database, most_open=100)


def _id() -> str:
    return str(uuid.uuid4())


def _chain(store: TaskStore, **last) -> tuple[str, list[str]]:
    """A job of three tasks, each with the one before as its input."""
    job, ids = _id(), [_id(), _id(), _id()]
    tasks = [
        NewTask(ids[0], "import/url", {"url": "https://example.org/a"}, name="import"),
        NewTask(ids[1], "thumbnail", {}, inputs=(ids[0],), name="thumbnail"),
        NewTask(ids[2], "export/url", {}, inputs=(ids[1],), name="export", **last),
    ]
    changes = store.add_job(NewJob(job, "cloudconvert"), tasks, key_id="k")
    assert changes.ready == [ids[0]]
    return job, ids


def test_tasks_begin_when_their_inputs_have_ended(store: TaskStore) -> None:
    job, ids = _chain(store)
    file = StoredFile(id=_id(), name="a.mp4", path="files/a", size_bytes=3)
    for here, behind in zip(ids, [*ids[1:], None], strict=True):
        begun = store.begin(here)
        assert begun is not None
        task, inputs = begun
        assert task.status is Status.PROCESSING
        assert [each.id for each in inputs] == ids[: ids.index(here)][-1:]
        assert store.job(job).status is Status.PROCESSING
        changes = store.end(here, Ending(files=(file,) if here == ids[0] else ()))
        assert changes.ready == ([behind] if behind else [])
    assert changes.ended_jobs == [job]
    assert store.job(job).status is Status.FINISHED
    assert store.task(ids[0]).files == (file,)


def test_a_task_begins_once_and_ends_once(store: TaskStore) -> None:
    _, ids = _chain(store)
    assert store.begin(ids[0]) is not None
    assert store.begin(ids[0]) is None
    assert store.end(ids[0], Ending()).ended_tasks == [ids[0]]
    assert store.end(ids[0], Ending("LATE")).ended_tasks == []
    assert store.task(ids[0]).status is Status.FINISHED


def test_what_needs_a_failed_task_fails_too(store: TaskStore) -> None:
    job, ids = _chain(store)
    store.begin(ids[0])
    changes = store.end(ids[0], Ending("OPEN_FAILED", "cannot be opened"))
    assert changes.ended_tasks == ids
    assert changes.ended_jobs == [job]
    assert store.job(job).status is Status.ERROR
    assert store.task(ids[2]).code == INPUT_FAILED


def test_inputs_that_end_side_by_side_let_their_task_begin_once(store: TaskStore) -> None:
    with ThreadPoolExecutor(4) as threads:
        for _ in range(15):
            job, last, firsts = _id(), _id(), [_id() for _ in range(4)]
            new = [NewTask(each, "import/url", {}) for each in firsts]
            new.append(NewTask(last, "thumbnail", {}, inputs=tuple(firsts)))
            store.add_job(NewJob(job, "cloudconvert"), new, key_id="k")
            ready = [_.ready for _ in threads.map(lambda each: store.end(each, Ending()), firsts)]
            assert sorted(ready) == [[], [], [], [last]]


def test_an_ignored_error_ends_no_job(store: TaskStore) -> None:
    job, first, second = _id(), _id(), _id()
    tasks = [
        NewTask(first, "import/url", {}, ignore_error=True),
        NewTask(second, "export/url", {}, inputs=(first,)),
    ]
    store.add_job(NewJob(job, "cloudconvert"), tasks, key_id="k")
    assert store.end(first, Ending("BAD")).ready == [second]
    store.end(second, Ending())
    assert store.job(job).status is Status.FINISHED


def test_a_restart_takes_up_what_ran(database: Database, store: TaskStore) -> None:
    _, ids = _chain(store)
    store.begin(ids[0])
    again = TaskStore(database, most_open=100)
    assert again.recover(most_attempts=3).ready == [ids[0]]
    assert again.task(ids[0]).status is Status.WAITING
    again.begin(ids[0])
    again.recover(most_attempts=3)
    again.begin(ids[0])
    changes = again.recover(most_attempts=3)
    assert changes.ready == []
    assert again.task(ids[0]).code == "INTERRUPTED"
    assert again.task(ids[2]).code == INPUT_FAILED


def test_held_tasks_wait_for_their_caller(store: TaskStore) -> None:
    task = _id()
    new = NewTask(task, "import/upload", {}, is_held=True)
    assert store.add_tasks([new], key_id="k").ready == []
    assert store.recover(most_attempts=3).ready == []
    assert store.count_open() == 0
    assert store.end(task, Ending()).ended_tasks == [task]


def test_the_queue_is_bounded(database: Database) -> None:
    store = TaskStore(database, most_open=2)
    store.add_tasks([NewTask(_id(), "thumbnail", {}) for _ in range(2)], key_id="k")
    with pytest.raises(BusyError):
        store.add_tasks([NewTask(_id(), "thumbnail", {})], key_id="k")
    assert store.count_open() == 2


def test_inputs_must_be_the_callers_own(store: TaskStore) -> None:
    theirs = _id()
    store.add_tasks([NewTask(theirs, "import/url", {})], key_id="them")
    with pytest.raises(MissingInputError, match=theirs):
        store.add_tasks([NewTask(_id(), "thumbnail", {}, inputs=(theirs,))], key_id="me")
    assert list_tasks(store._database, key_id="me") == []


def test_lists_come_in_pages(database: Database, store: TaskStore) -> None:
    for _ in range(5):
        _chain(store)
    first = list_tasks(database, key_id="k", per_page=10)
    second = list_tasks(database, key_id="k", per_page=10, page=2)
    assert [len(first), len(second)] == [10, 5]
    assert not {each.id for each in first} & {each.id for each in second}
    assert len(list_tasks(database, key_id="k", operation="thumbnail")) == 5
    jobs = list_jobs(database, key_id="k", with_tasks=True, status="waiting")
    assert [len(job.tasks) for job in jobs] == [3] * 5
    assert list_jobs(database, key_id="other") == []


def test_what_ended_is_forgotten_in_time(store: TaskStore) -> None:
    job, ids = _chain(store)
    store.begin(ids[0])
    assert store.expire(before=1e12) == []
    store.end(ids[0], Ending("BAD"))
    assert store.expire(before=1) == []
    assert set(store.expire(before=1e12)) == set(ids)
    assert store.job(job) is None


def test_keys_are_kept_as_digests(database: Database, tmp_path: Path) -> None:
    keys = KeyStore(database)
    secret = keys.add("operator", [Scope.TASK_READ])
    key = keys.find(secret)
    assert key is not None
    assert key.scopes == {Scope.TASK_READ}
    assert keys.find(secret[:-1]) is None
    assert keys.disable(key.id)
    assert keys.find(secret) is None
    database.close()
    assert secret.encode() not in b"".join(
        path.read_bytes() for path in tmp_path.iterdir() if path.is_file()
    )
