"""What a task can be: operations by name, and what they are given to work with."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from farm.errors import LaneTimeoutError
from farm.service.model import StoredFile, Task

if TYPE_CHECKING:
    from farm.cluster import Cluster
    from farm.service.config import ServiceConfig


class TaskError(Exception):
    """A task cannot be carried out for a cause of its own; `code` is what the caller reads."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class CancelledTaskError(Exception):
    """The task was cancelled while it was carried out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a task came to; the paths of files are relative to the service's folder."""

    files: Sequence[StoredFile] = ()
    result: Mapping[str, Any] = field(default_factory=dict)
    engine: str | None = None
    engine_version: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One task under way, `inputs` being its input tasks, all ended, in order.

    `folder` is where its files go: it exists, is empty, and nothing else writes there. `secrets`
    are the credentials that came with the request. Whoever takes long calls `check` now and then.
    """

    task: Task
    inputs: tuple[Task, ...]
    folder: Path
    secrets: Mapping[str, Any]
    config: "ServiceConfig"
    cluster: "Cluster"
    deadline: float
    is_cancelled: Callable[[], bool]
    tell: Callable[[int], None]

    @property
    def payload(self) -> Mapping[str, Any]:
        """The request, without its secrets."""
        return self.task.payload

    @property
    def files(self) -> list[StoredFile]:
        """The files of all inputs, in order."""
        return [file for task in self.inputs for file in task.files]

    @property
    def seconds_left(self) -> float:
        """How long the task may still take; more than 0."""
        return max(1e-3, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raises CancelledTaskError once the task was cancelled, LaneTimeoutError past its time."""
        if self.is_cancelled():
            raise CancelledTaskError
        if time.monotonic() > self.deadline:
            raise LaneTimeoutError("the task took longer than its timeout")

    def path_of(self, file: StoredFile) -> Path:
        """Where a file lies."""
        return self.config.data / file.path

    def stored(self, path: Path) -> str:
        """The path of a file below `folder`, as `StoredFile` has it."""
        return str(path.relative_to(self.config.data))


Operation = Callable[[Work], Outcome]

# Each is loaded on first use. Those that bring a file into a request, or wait for one, have none:
# `import/base64`, `import/raw` and `import/upload`.
_OPERATIONS = {
    "import/url": "farm.service.operations.imports:from_url",
    "import/s3": "farm.service.operations.imports:from_s3",
    "import/place": "farm.service.operations.places:from_place",
    "thumbnail": "farm.service.operations.thumbnail:make_thumbnail",
    "make": "farm.service.operations.make:make_outputs",
    "export/url": "farm.service.operations.exports:to_url",
    "export/s3": "farm.service.operations.exports:to_s3",
    "export/places": "farm.service.operations.places:to_places",
}
UPLOAD = "import/upload"


@cache
def operation(name: str) -> Operation:
    """The operation of that name; raises KeyError for one that is unknown."""
    module, _, attribute = _OPERATIONS[name].partition(":")
    return cast(Operation, getattr(import_module(module), attribute))
