"""Requests for tasks, alone or as the graph of a job."""

import json
import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from farm.dialects.cloudconvert.request import (
    ExportS3,
    ExportUrl,
    ImportBase64,
    ImportRaw,
    ImportS3,
    ImportUpload,
    ImportUrl,
    Options,
)
from farm.dialects.cloudconvert.thumbnail import Thumbnail
from farm.dialects.cloudconvert.wording import InvalidRequestError, validate

MOST_TASKS = 500
MOST_CHARACTERS = 64 << 10
"""Of the options of one task as JSON, without a file in them."""

OPERATIONS: Mapping[str, type[Options]] = MappingProxyType(
    {
        "import/url": ImportUrl,
        "import/upload": ImportUpload,
        "import/base64": ImportBase64,
        "import/raw": ImportRaw,
        "import/s3": ImportS3,
        "thumbnail": Thumbnail,
        "export/url": ExportUrl,
        "export/s3": ExportS3,
    }
)
"""What a task can be -> what it takes."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_OWN_FIELDS = ("operation", "ignore_error")


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """One task as asked for: `fields` is what was sent, `options` is what it means.

    `inputs` are ids of tasks or, in a job, names of its tasks.
    """

    operation: str
    fields: Mapping[str, Any]
    options: Options
    inputs: tuple[str, ...] = ()
    ignore_error: bool = False


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job as asked for, its tasks by name."""

    tasks: Mapping[str, TaskRequest]
    tag: str | None = None
    webhook_url: str | None = None
    redirect: bool = False


class _Job(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, coerce_numbers_to_str=True)

    # Databases have no NUL.
    tag: str | None = Field(None, max_length=1024, pattern=r"^[^\x00]*$")
    webhook_url: str | None = Field(None, max_length=4096)
    redirect: bool | None = None


class _Common(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    ignore_error: bool | None = None


def parse_task(
    operation: str, fields: Mapping[str, Any], *, engines: Collection[str] = ()
) -> TaskRequest:
    """One task; `engines` are the names that a request may have. Raises InvalidRequestError."""
    options = validate(OPERATIONS[operation], fields, engines=engines)
    inputs = tuple(dict.fromkeys(getattr(options, "input", ())))
    kept = {name: value for name, value in fields.items() if name not in _OWN_FIELDS}
    if inputs:
        kept["input"] = list(inputs)
    own = {name: value for name, value in kept.items() if name != "file"}
    if len(json.dumps(own)) > MOST_CHARACTERS:
        raise InvalidRequestError(
            {"options": [f"The options must not be longer than {MOST_CHARACTERS} characters."]}
        )
    common = validate(_Common, {"ignore_error": fields.get("ignore_error")})
    return TaskRequest(operation, kept, options, inputs, bool(common.ignore_error))


def parse_job(body: Mapping[str, Any], *, engines: Collection[str] = ()) -> JobRequest:
    """A job with its tasks; raises InvalidRequestError with all that is wrong.

    An input is the name of another task of the job, or the id of an earlier task.
    """
    given = body.get("tasks")
    if not given:
        raise InvalidRequestError({"tasks": ["The tasks field is required."]})
    if not isinstance(given, dict):
        raise InvalidRequestError({"tasks": ["The tasks must be an object."]})
    if len(given) > MOST_TASKS:
        raise InvalidRequestError({"tasks": [f"A job has at most {MOST_TASKS} tasks."]})
    job = validate(_Job, {name: body.get(name) for name in _Job.model_fields})
    tasks: dict[str, TaskRequest] = {}
    errors: dict[str, list[str]] = {}
    for name, fields in given.items():
        try:
            tasks[name] = _named_task(name, fields, engines)
        except InvalidRequestError as error:
            for field, sentences in error.errors.items():
                key = f"tasks.{name:.255}.{field}" if field else f"tasks.{name:.255}"
                errors[key] = sentences
    errors |= _unknown_inputs(tasks, given)
    if errors:
        raise InvalidRequestError(errors)
    _check_cycles(tasks)
    return JobRequest(
        tasks,
        tag=job.tag,
        webhook_url=job.webhook_url,
        redirect=bool(job.redirect),
    )


def _named_task(name: str, fields: object, engines: Collection[str]) -> TaskRequest:
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            {"": ["The name of a task may have letters, digits, dashes and underscores only."]}
        )
    if not isinstance(fields, dict):
        raise InvalidRequestError({"": ["The task must be an object."]})
    operation = fields.get("operation")
    if operation is None:
        raise InvalidRequestError({"operation": ["The operation field is required."]})
    if not isinstance(operation, str) or operation not in OPERATIONS:
        allowed = ", ".join(OPERATIONS)
        raise InvalidRequestError(
            {"operation": [f"The selected operation is invalid; allowed: {allowed}."]}
        )
    return parse_task(operation, fields, engines=engines)


def _unknown_inputs(
    tasks: Mapping[str, TaskRequest], given: Collection[str]
) -> dict[str, list[str]]:
    return {
        f"tasks.{name}.input": [f"The input {other!r:.80} is no task of this job."]
        for name, task in tasks.items()
        for other in task.inputs
        if other not in given and not is_id(other)
    }


def is_id(text: str) -> bool:
    """Whether it may be the id of a task."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _check_cycles(tasks: Mapping[str, TaskRequest]) -> None:
    try:
        TopologicalSorter({name: task.inputs for name, task in tasks.items()}).prepare()
    except CycleError as error:
        names = error.args[1]
        words = " -> ".join(reversed(names))
        raise InvalidRequestError(
            {f"tasks.{names[0]}.input": [f"The tasks wait for each other: {words}."]}
        ) from None
