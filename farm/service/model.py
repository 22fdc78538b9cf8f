"""What the service remembers: its tables, and the values that are read from them.

Times are seconds since 1970. Nothing here is secret as it stands: API keys are digests, inline
credentials are sealed by the vault, and file paths are relative to the service's folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA_VERSION = 1

metadata = MetaData()

facts = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("is_disabled", Boolean, nullable=False, default=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("key_id", String(36), nullable=False),
    Column("api", String(16), nullable=False),
    Column("tag", Text),
    Column("status", String(16), nullable=False),
    Column("notify_url", Text),
    Column("payload", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("ended_at", Float),
    Index("jobs_by_key", "key_id", "api", "created_at"),
    Index("jobs_by_end", "ended_at"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("job_id", String(36), ForeignKey("jobs.id", ondelete="CASCADE")),
    Column("key_id", String(36), nullable=False),
    Column("name", Text),
    Column("operation", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("message", Text),
    Column("code", String(64)),
    Column("percent", Integer, nullable=False, default=0),
    Column("payload", JSON, nullable=False),
    Column("sealed", Text),
    Column("result", JSON),
    Column("engine", Text),
    Column("engine_version", Text),
    Column("ignore_error", Boolean, nullable=False, default=False),
    Column("is_held", Boolean, nullable=False, default=False),
    Column("retry_of", String(36)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("ended_at", Float),
    Index("tasks_by_key", "key_id", "created_at"),
    Index("tasks_by_job", "job_id"),
    Index("tasks_by_status", "status"),
    Index("tasks_by_end", "ended_at"),
)

inputs = Table(
    "inputs",
    metadata,
    Column("task_id", String(36), ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("input_id", String(36), primary_key=True),
    Column("position", Integer, nullable=False),
    Index("inputs_by_input", "input_id"),
)

files = Table(
    "files",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("task_id", String(36), ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("md5", String(32)),
    Column("content_type", Text),
    Column("facts", JSON, nullable=False),
    Index("files_by_task", "task_id", "position"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key_id", String(36), nullable=False),
    Column("url", Text, nullable=False),
    Column("events", JSON, nullable=False),
    Column("sealed_secret", Text, nullable=False),
    Column("is_disabled", Boolean, nullable=False, default=False),
    Column("is_failing", Boolean, nullable=False, default=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("webhooks_by_key", "key_id"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(36), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("webhook_id", Integer),
    Column("event", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Float, nullable=False),
    Index("deliveries_by_due", "due_at"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("key_id", String(36), nullable=False),
    Column("expires_at", Float, nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("job_id", String(36), nullable=False),
    Column("name", Text, nullable=False),
    Column("length_bytes", BigInteger, nullable=False),
    Column("offset_bytes", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("uploads_by_job", "job_id"),
)


class Status(StrEnum):
    """How far a task or a job is; both APIs' words are made of these."""

    WAITING = "waiting"
    PROCESSING = "processing"
    FINISHED = "finished"
    ERROR = "error"

    @property
    def is_end(self) -> bool:
        """Whether nothing will change any more."""
        return self in (Status.FINISHED, Status.ERROR)


class Event(StrEnum):
    """What callers can be told of a job; each dialect has its own words for them."""

    CREATED = "created"
    FINISHED = "finished"
    FAILED = "failed"


class Scope(StrEnum):
    """What an API key may do; none includes another."""

    USER_READ = "user.read"
    USER_WRITE = "user.write"
    TASK_READ = "task.read"
    TASK_WRITE = "task.write"
    WEBHOOK_READ = "webhook.read"
    WEBHOOK_WRITE = "webhook.write"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A caller: who made what is kept apart by its id."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: float


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that a task made or got; `path` is relative to the service's folder."""

    name: str
    path: str
    size_bytes: int
    md5: str | None = None
    content_type: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to be added; `inputs` are ids of other tasks, `sealed` its secrets from the vault.

    `payload` holds no secret. With `is_held` it waits for somebody from outside, such as an upload.
    """

    id: str
    operation: str
    payload: Mapping[str, Any]
    inputs: tuple[str, ...] = ()
    name: str | None = None
    sealed: str | None = None
    ignore_error: bool = False
    retry_of: str | None = None
    is_held: bool = False
    message: str | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be added; `notify_url` is called when it ends, `payload` is the dialect's own."""

    id: str
    api: str
    tag: str | None = None
    notify_url: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """One step of a job, or one on its own."""

    id: str
    job_id: str | None
    key_id: str
    name: str | None
    operation: str
    status: Status
    message: str | None
    code: str | None
    percent: int
    payload: Mapping[str, Any]
    sealed: str | None
    result: Mapping[str, Any] | None
    engine: str | None
    engine_version: str | None
    ignore_error: bool
    is_held: bool
    retry_of: str | None
    attempts: int
    created_at: float
    started_at: float | None
    ended_at: float | None
    inputs: tuple[str, ...] = ()
    files: tuple[StoredFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A graph of tasks that one request asked for."""

    id: str
    key_id: str
    api: str
    tag: str | None
    status: Status
    notify_url: str | None
    payload: Mapping[str, Any]
    created_at: float
    started_at: float | None
    ended_at: float | None
    tasks: tuple[Task, ...] = ()
