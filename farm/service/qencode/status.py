"""How far a task is, as the API tells it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from farm.dialects.qencode.query import Format, OutputKind, Query
from farm.service.model import Job, Status, StoredFile, Task
from farm.service.operations.places import key_of
from farm.service.qencode.storage import file_url
from farm.service.service import Service
from farm.service.transition import INPUT_FAILED

_LISTS = {OutputKind.THUMBNAIL: "image", OutputKind.THUMBNAILS: "image", OutputKind.MP4: "video"}


def created_status(origin: str) -> dict[str, Any]:
    """The status of a task that was not started yet."""
    return _body("created", 0, origin)


def status_of(service: Service, job: Job, *, origin: str) -> dict[str, Any]:
    """The status of a task that was started.

    Files are listed when the task has ended: each image and video once for each place where it was
    stored, and WebVTT files under `texts`.
    """
    steps = _Steps.of(job)
    word, percent = steps.progress()
    body = _body(word, percent, origin)
    failure = steps.failure() if word == "error" else None
    if failure is not None:
        body |= {"error": 1, "error_description": failure.message or failure.code}
    body["warnings"] = [*job.payload.get("warnings", ()), *steps.warnings()]
    if job.ended_at is not None:
        expires_at = job.ended_at + service.config.lifetime_seconds
        for file in steps.make.files:
            kind = "text" if file.content_type == "text/vtt" else _LISTS[steps.asked(file).output]
            body[f"{kind}s"] += steps.items(service, file, kind, origin, expires_at)
    return body


def _body(word: str, percent: int, origin: str) -> dict[str, Any]:
    return {
        "status": word,
        "status_url": f"{origin}/v1/status",
        "percent": percent,
        "error": 0,
        "error_description": None,
        "warnings": [],
        "images": [],
        "videos": [],
        "audios": [],
        "texts": [],
    }


@dataclass(frozen=True, slots=True)
class _Steps:
    """A job's tasks by what they do, `saves` by the output that they save."""

    job: Job
    query: Query
    source: Task
    make: Task
    saves: dict[int, Task]

    @classmethod
    def of(cls, job: Job) -> "_Steps":
        tasks = {task.name: task for task in job.tasks}
        saves = {
            int(task.payload["output"]): task
            for task in job.tasks
            if task.operation == "export/places"
        }
        query = Query.model_validate(tasks["make"].payload["query"])
        return cls(job, query, tasks["source"], tasks["make"], saves)

    def asked(self, file: StoredFile) -> Format:
        """The output that a file belongs to."""
        return self.query.format[int(file.facts["output"])]

    def progress(self) -> tuple[str, int]:
        """The API's word for it, and how much of the encoding is done."""
        if self.job.status is Status.FINISHED:
            return "completed", 100
        if self.job.status is Status.ERROR:
            return "error", 0 if self.make.status is not Status.FINISHED else 100
        if not self.source.status.is_end:
            return "downloading", 0
        if self.make.status.is_end:
            return "saving", 100
        if self.make.status is Status.WAITING:
            return "queued", 0
        return "encoding", self.make.percent

    def failure(self) -> Task | None:
        """The task that is to blame, and not one that waited for it."""
        failed = [
            task
            for task in (self.source, self.make, *self.saves.values())
            if task.status is Status.ERROR and not task.ignore_error
        ]
        return next((task for task in failed if task.code != INPUT_FAILED), None)

    def warnings(self) -> Iterator[dict[str, str | None]]:
        """What went not quite well."""
        made = self.make.result or {}
        for word in made.get("warnings", ()):
            yield _warning("Warning of the source", word.replace("_", " "), None)
        for place, error in made.get("failed", {}).items():
            yield _warning("Output failed", error["message"], self.query.format[int(place)].label)
        for place, save in self.saves.items():
            if save.ignore_error and save.status is Status.ERROR and save.code != INPUT_FAILED:
                label = self.query.format[place].label
                yield _warning("Output could not be saved", save.message or "", label)

    def items(
        self, service: Service, file: StoredFile, kind: str, origin: str, expires_at: float
    ) -> list[dict[str, Any]]:
        """What is told of a file, once for each place where it is."""
        place, index = int(file.facts["output"]), int(file.facts["index"])
        item: dict[str, Any] = {
            "tag": f"{kind}-{place}-{max(0, index - 1)}",
            "profile": None,
            "user_tag": self.asked(file).label,
            "output_format": file.name.rpartition(".")[2],
            "size": file.size_bytes,
        }
        if kind != "text":
            sides = {f"resolution_{side}": file.facts[side] for side in ("width", "height")}
            item["meta"] = sides
        if place in self.saves:
            if self.saves[place].status is not Status.FINISHED:
                return []
            found = self.saves[place].payload["destinations"]
            return [item | self._saved(file, each) for each in found]
        url = file_url(
            service,
            origin,
            task_id=self.make.id,
            output=place,
            name=file.name,
            expires_at=expires_at,
        )
        storage = {"type": "temporary", "bucket": None, "key": file.name}
        return [item | {"url": url, "storage": storage | {"format": item["output_format"]}}]

    def _saved(self, file: StoredFile, place: dict[str, Any]) -> dict[str, Any]:
        is_folder = self.asked(file).output is OutputKind.THUMBNAILS
        url = key_of(place["url"], file.name, is_folder=is_folder)
        key = key_of(place["storage"]["key"], file.name, is_folder=is_folder)
        extension = file.name.rpartition(".")[2]
        return {"url": url, "storage": place["storage"] | {"key": key, "format": extension}}


def _warning(message: str, details: str, tag: str | None) -> dict[str, str | None]:
    return {"message": message, "details": details, "tag": tag}
