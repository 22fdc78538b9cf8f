"""Jobs and tasks: how they are added, taken, ended and forgotten, each step one transaction."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from farm.service.database import Database
from farm.service.model import (
    Event,
    Job,
    NewJob,
    NewTask,
    Status,
    Task,
    inputs,
    jobs,
    tasks,
)
from farm.service.reading import job_of, task_of, tasks_of
from farm.service.transition import (
    CANCELLED,
    OPEN,
    Changes,
    Ending,
    announce,
    check_inputs,
    end_task,
    look,
    task_row,
)


class BusyError(Exception):
    """More tasks wait or run already than the service takes on."""


class TaskStore:
    """The tasks of all callers; every step returns its `Changes`. Thread-safe."""

    def __init__(self, database: Database, *, most_open: int) -> None:
        self._database = database
        self._most_open = most_open

    def add_job(
        self,
        job: NewJob,
        new: Sequence[NewTask],
        *,
        key_id: str,
        ended: Mapping[str, Ending] = MappingProxyType({}),
    ) -> Changes:
        """Adds a job with its tasks, some of which have `ended` already, by their ids.

        Raises BusyError and MissingInputError.
        """
        row = {
            "id": job.id,
            "key_id": key_id,
            "api": job.api,
            "tag": job.tag,
            "status": Status.WAITING,
            "notify_url": job.notify_url,
            "payload": dict(job.payload),
            "created_at": time.time(),
        }
        with self._database.write() as connection:
            connection.execute(insert(jobs).values(row))
            announce(connection, job.id, Event.CREATED)
            changes = self._add(connection, new, key_id, job.id)
            return _end(connection, ended, changes)

    def add_tasks(
        self,
        new: Sequence[NewTask],
        *,
        key_id: str,
        job_id: str | None = None,
        ended: Mapping[str, Ending] = MappingProxyType({}),
    ) -> Changes:
        """Adds tasks on their own, or to a job; raises BusyError and MissingInputError."""
        with self._database.write() as connection:
            changes = self._add(connection, new, key_id, job_id)
            return _end(connection, ended, changes)

    def _add(
        self, connection: Connection, new: Sequence[NewTask], key_id: str, job_id: str | None
    ) -> Changes:
        is_open = tasks.c.status.in_(OPEN) & ~tasks.c.is_held
        count = connection.scalar(select(func.count()).select_from(tasks).where(is_open)) or 0
        if count + len(new) > self._most_open:
            raise BusyError
        check_inputs(connection, new, key_id)
        now = time.time()
        for number, task in enumerate(new):
            # Microseconds apart, so that they are read in this order.
            row = task_row(task, key_id, job_id, now + number * 1e-6)
            connection.execute(insert(tasks).values(row))
        edges = [
            {"task_id": task.id, "input_id": other, "position": position}
            for task in new
            for position, other in enumerate(dict.fromkeys(task.inputs))
        ]
        if edges:
            connection.execute(insert(inputs), edges)
        changes = Changes()
        for task in new:
            if not task.is_held:
                look(connection, task.id, changes)
        return changes

    def begin(self, task_id: str) -> tuple[Task, tuple[Task, ...]] | None:
        """Takes a waiting task on, with its inputs in order; None where it is no longer waiting."""
        now = time.time()
        with self._database.write(is_repeatable=True) as connection:
            taken = connection.execute(
                update(tasks)
                .where(tasks.c.id == task_id, tasks.c.status == Status.WAITING)
                .values(status=Status.PROCESSING, started_at=now, attempts=tasks.c.attempts + 1)
            )
            if not taken.rowcount:
                return None
            task = task_of(connection, task_id)
            assert task is not None
            if task.job_id is not None:
                connection.execute(
                    update(jobs)
                    .where(jobs.c.id == task.job_id, jobs.c.status == Status.WAITING)
                    .values(status=Status.PROCESSING, started_at=now)
                )
            found = {each.id: each for each in tasks_of(connection, tasks.c.id.in_(task.inputs))}
            return task, tuple(found[each] for each in task.inputs if each in found)

    def tell(self, task_id: str, *, percent: int, message: str | None = None) -> None:
        """Notes how far a running task is."""
        with self._database.write(is_repeatable=True) as connection:
            connection.execute(
                update(tasks)
                .where(tasks.c.id == task_id, tasks.c.status == Status.PROCESSING)
                .values(percent=percent, message=message)
            )

    def end(self, task_id: str, ending: Ending, *, is_repeatable: bool = False) -> Changes:
        """Ends an open task, and what can't do without it; does nothing to one that has ended.

        One that is repeatable would come to the same end when it is carried out again.
        """
        changes = Changes()
        with self._database.write(is_repeatable=is_repeatable) as connection:
            end_task(connection, task_id, ending, changes)
        return changes

    def recover(
        self, *, most_attempts: int, is_known: Callable[[str], bool] = lambda task_id: False
    ) -> Changes:
        """Lets what nobody works on begin anew, or fail where that happened too often.

        `is_known` tells which tasks somebody in this process has in hand, which it must do from
        before `begin` until behind `end`. The ready tasks are all others that may begin now.
        """
        changes = Changes()
        running = select(tasks.c.id, tasks.c.attempts).where(tasks.c.status == Status.PROCESSING)
        waits = (tasks.c.status == Status.WAITING) & ~tasks.c.is_held
        waiting = select(tasks.c.id).where(waits).order_by(tasks.c.created_at)
        with self._database.write(is_repeatable=True) as connection:
            found = connection.execute(running).all()
            for task_id, attempts in [each for each in found if not is_known(each.id)]:
                if attempts >= most_attempts:
                    words = f"The service ended {attempts} times while this task ran."
                    end_task(connection, task_id, Ending("INTERRUPTED", words), changes)
                    continue
                connection.execute(
                    update(tasks)
                    .where(tasks.c.id == task_id, tasks.c.status == Status.PROCESSING)
                    .values(status=Status.WAITING, percent=0)
                )
            changes.ready.clear()
            for task_id in connection.scalars(waiting).all():
                if not is_known(task_id):
                    look(connection, task_id, changes)
        return changes

    def delete_job(self, job_id: str) -> list[str]:
        """Forgets a job and its tasks, whose ids are returned."""
        with self._database.write() as connection:
            gone = connection.scalars(select(tasks.c.id).where(tasks.c.job_id == job_id)).all()
            connection.execute(delete(jobs).where(jobs.c.id == job_id))
        return list(gone)

    def delete_task(self, task_id: str) -> Changes:
        """Forgets a task; those that wait for it fail."""
        changes = Changes()
        with self._database.write() as connection:
            end_task(connection, task_id, Ending(CANCELLED, "The task was deleted."), changes)
            connection.execute(delete(tasks).where(tasks.c.id == task_id))
        return changes

    def expire(self, before: float) -> list[str]:
        """Forgets what ended, or was never begun by its caller, before a time; ids of tasks."""
        old = or_(
            tasks.c.ended_at < before,
            tasks.c.is_held & (tasks.c.created_at < before),
        )
        with self._database.write() as connection:
            idle = (jobs.c.status == Status.WAITING) & (jobs.c.created_at < before)
            idle &= (
                ~select(tasks.c.id).where(tasks.c.job_id == jobs.c.id, ~tasks.c.is_held).exists()
            )
            ended = connection.scalars(
                select(jobs.c.id).where(or_(jobs.c.ended_at < before, idle))
            ).all()
            of_jobs = tasks.c.job_id.in_(ended)
            alone = tasks.c.job_id.is_(None) & old
            gone = connection.scalars(select(tasks.c.id).where(or_(of_jobs, alone))).all()
            connection.execute(delete(tasks).where(tasks.c.id.in_(gone)))
            connection.execute(delete(jobs).where(jobs.c.id.in_(ended)))
        return list(gone)

    def count_open(self) -> int:
        """Tasks that wait or run, without those that wait for their caller."""
        is_open = tasks.c.status.in_(OPEN) & ~tasks.c.is_held
        with self._database.read() as connection:
            return connection.scalar(select(func.count()).select_from(tasks).where(is_open)) or 0

    def task(self, task_id: str) -> Task | None:
        """A task with its inputs and files."""
        with self._database.read() as connection:
            return task_of(connection, task_id)

    def tasks(self, ids: Iterable[str]) -> list[Task]:
        """Some tasks, those that still are, in the order of `ids`."""
        wanted = list(ids)
        with self._database.read() as connection:
            found = {each.id: each for each in tasks_of(connection, tasks.c.id.in_(wanted))}
        return [found[each] for each in wanted if each in found]

    def job(self, job_id: str) -> Job | None:
        """A job with all of its tasks."""
        with self._database.read() as connection:
            return job_of(connection, job_id)


def _end(connection: Connection, ended: Mapping[str, Ending], changes: Changes) -> Changes:
    for task_id, ending in ended.items():
        end_task(connection, task_id, ending, changes)
    return changes
