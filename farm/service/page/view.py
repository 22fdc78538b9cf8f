"""Jobs and tasks as the pages show them: words, pictures and advice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from farm.service.model import Job, Status, StoredFile, Task
from farm.service.page.advice import advice_on
from farm.wording import size_text

# What a browser may show on our origin without running anything that it holds.
PICTURES = frozenset({"image/jpeg", "image/png", "image/webp"})
CLIPS = frozenset({"video/mp4"})

_MAKING = ("thumbnail", "make")
_APIS = {"cloudconvert": "CloudConvert", "qencode": "Qencode"}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time for people: how long ago, and exactly."""

    ago: str
    exact: str


@dataclass(frozen=True, slots=True)
class FileView:
    """A file that was made; `kind` is picture, clip or text."""

    id: str
    name: str
    kind: str
    size: str
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as a line of a list; `advice` says what to do about its failure."""

    id: str
    title: str
    operation: str
    status: Status
    percent: int
    engine: str
    took: str
    code: str
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class JobView:
    """A job, or a task on its own, with the files that were made."""

    id: str
    title: str
    api: str
    status: Status
    created: Moment
    took: str
    tasks: tuple[TaskView, ...]
    files: tuple[FileView, ...]
    more_files: int
    is_job: bool

    @property
    def is_open(self) -> bool:
        """Whether it will still change."""
        return not self.status.is_end


def job_view(job: Job, *, now: float, most_files: int | None = None) -> JobView:
    """A job, with its first files or all of them."""
    return _view(
        job,
        job.tasks,
        title=job.tag or "",
        api=_APIS.get(job.api, job.api),
        now=now,
        most_files=most_files,
    )


def task_view(task: Task, *, now: float, most_files: int | None = None) -> JobView:
    """A task on its own, in the shape of a job."""
    return _view(
        task,
        [task],
        title=task.operation,
        api=_APIS["cloudconvert"],
        now=now,
        most_files=most_files,
    )


def _view(
    what: Job | Task,
    tasks: Sequence[Task],
    *,
    title: str,
    api: str,
    now: float,
    most_files: int | None,
) -> JobView:
    files = [_file(file) for task in tasks for file in _shown_files(task)]
    files.sort(key=lambda file: file.kind == "text")
    shown = files if most_files is None else files[:most_files]
    return JobView(
        id=what.id,
        title=title or what.id[:8],
        api=api,
        status=what.status,
        created=Moment(ago_text(now - what.created_at), exact_text(what.created_at)),
        took=_took(what, now),
        tasks=tuple(_task(task, now) for task in tasks),
        files=tuple(shown),
        more_files=len(files) - len(shown),
        is_job=isinstance(what, Job),
    )


def _shown_files(task: Task) -> Iterator[StoredFile]:
    """What was made here; what was only fetched may be anything."""
    if task.operation in _MAKING:
        yield from task.files


def _task(task: Task, now: float) -> TaskView:
    engine = f"{task.engine or ''} {task.engine_version or ''}".strip()
    return TaskView(
        id=task.id,
        title=task.name or "",
        operation=task.operation,
        status=task.status,
        percent=task.percent,
        engine=engine,
        took=_took(task, now),
        code=task.code or "",
        message=task.message or "",
        advice=advice_on(task.code),
    )


def _file(file: StoredFile) -> FileView:
    kind = "text"
    if file.content_type in PICTURES:
        kind = "picture"
    elif file.content_type in CLIPS:
        kind = "clip"
    return FileView(
        id=file.id,
        name=file.name,
        kind=kind,
        size=size_text(file.size_bytes),
        width=file.facts.get("width"),
        height=file.facts.get("height"),
    )


def _took(what: Job | Task, now: float) -> str:
    if what.started_at is None:
        return ""
    return took_text((what.ended_at or now) - what.started_at)


def took_text(seconds: float) -> str:
    """How long something took: `85 ms`, `3.2 s`, `4 min 5 s` or `1 h 4 min`."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def ago_text(seconds: float) -> str:
    """How long ago something was, roughly: `just now`, `5 min ago`, `3 h ago` or `2 days ago`."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    hours = minutes // 60
    if hours < 48:
        return f"{hours} h ago"
    return f"{hours // 24} days ago"


def exact_text(at: float) -> str:
    """A time as ISO 8601 has it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
