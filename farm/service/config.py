"""What an operator sets of the service."""

import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from farm.errors import InvalidJobError
from farm.service.policy import AddressPolicy
from farm.settings import Settings

_DAY_SECONDS = 24 * 3600.0
_GIB = 1 << 30


class ServiceConfig(BaseModel):
    """How the service runs; every field has a default but the folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data: Path = Field(description="folder of the database, files, uploads and keys; workers too")
    database: SecretStr | None = Field(
        None, description="SQLAlchemy URL, such as postgresql+psycopg://...; default SQLite in data"
    )
    public_url: str | None = Field(
        None, description="how callers reach the service; default the Host of each request"
    )
    policy: AddressPolicy = AddressPolicy()
    destination_roots: tuple[Path, ...] = Field(
        (), description="local folders below which results may be stored; default none"
    )
    settings: Settings = Field(
        Settings(reserved_lanes=1), description="lanes and limits, as those of a run"
    )
    concurrency: Annotated[int, Field(ge=1, le=512)] = Field(
        32, description="tasks carried out at once"
    )
    queue_tasks: Annotated[int, Field(ge=1)] = Field(
        1000, description="tasks that may wait or run; more are refused with 429"
    )
    creations_per_minute: Annotated[int, Field(ge=1)] = Field(
        1000, description="jobs and tasks that one key may create in a minute"
    )
    lifetime_seconds: Annotated[float, Field(gt=0)] = Field(
        _DAY_SECONDS, description="how long ended jobs, tasks and their files are kept"
    )
    task_seconds: Annotated[float, Field(gt=0)] = Field(
        5 * 3600.0, description="how long a task may run, where it names no timeout"
    )
    upload_bytes: Annotated[int, Field(ge=1)] = Field(
        10_000_000_000, description="most bytes of one upload"
    )
    inline_bytes: Annotated[int, Field(ge=1)] = Field(
        16 << 20, description="most bytes of the body of any other request"
    )

    @field_validator("data")
    @classmethod
    def _make_absolute(cls, data: Path) -> Path:
        return data.absolute()  # workers may be started elsewhere

    @field_validator("public_url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
            raise ValueError("expected a URL such as https://thumbs.example.org")
        return url.rstrip("/") if url else url

    @property
    def database_url(self) -> str:
        """The URL for SQLAlchemy; may hold a password."""
        if self.database is not None:
            return self.database.get_secret_value()
        return f"sqlite:///{self.data.resolve() / 'service.db'}"


def read_config(path: Path | None, **overrides: Any) -> ServiceConfig:
    """The configuration in a YAML file, with options of the command line over it.

    Raises InvalidJobError with the field and what is allowed.
    """
    fields: dict[str, Any] = {}
    if path is not None:
        try:
            fields = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InvalidJobError(f"cannot read {path}: {type(error).__name__}") from None
    if not isinstance(fields, dict):
        raise InvalidJobError(f"expected keys and values in {path}")
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return ServiceConfig.model_validate(fields | given)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        )
        raise InvalidJobError("; ".join(faults)) from None
