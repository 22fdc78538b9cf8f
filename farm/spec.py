"""What can be asked for: entries and jobs, with the outputs that they ask for."""

from typing import Annotated

from pydantic import BaseModel, Field, ValidationError, field_validator

from farm import fault
from farm.output import (
    DEFAULT_COLUMNS,
    DEFAULT_POSITION,
    DEFAULT_TIMEOUT_SECONDS,
    FORMAT_OPTIONS,
    INTEGER_FIELDS,
    OUTPUT_MODELS,
    Accuracy,
    Asked,
    ClipSpec,
    Damaged,
    Fidelity,
    ImageFormat,
    OutputSpec,
    PictureSpec,
    Side,
    SizedSpec,
    StoryboardSpec,
    Subsampling,
    ThumbnailSpec,
    output_of,
)
from farm.prices import Prices
from farm.settings import Settings

__all__ = [
    "DEFAULT_COLUMNS",
    "DEFAULT_POSITION",
    "DEFAULT_TIMEOUT_SECONDS",
    "FORMAT_OPTIONS",
    "INTEGER_FIELDS",
    "OUTPUT_MODELS",
    "Accuracy",
    "Asked",
    "ClipSpec",
    "Damaged",
    "Entry",
    "Fidelity",
    "ImageFormat",
    "Job",
    "OutputSpec",
    "PictureSpec",
    "Side",
    "SizedSpec",
    "StoryboardSpec",
    "Subsampling",
    "ThumbnailSpec",
    "explain",
    "output_of",
    "without_secret",
]


def without_secret(uri: str) -> str:
    """The URI as it is; raises ValueError where it cannot be kept in a ledger."""
    authority = uri.partition("://")[2].partition("/")[0]
    if ":" in authority.rpartition("@")[0]:
        raise ValueError(
            "expected no password in a URI; name a profile instead: scheme://profile@bucket/key"
        )
    if "\0" in uri:
        raise ValueError("expected a URI without NUL")
    return uri


class Entry(Asked):
    """One row of a manifest with the job's defaults filled in."""

    source: str = Field(min_length=1, max_length=8192)
    id: str | None = Field(None, min_length=1, max_length=255)
    input_format: str | None = Field(None, pattern=r"^[A-Za-z0-9]{1,16}$")
    outputs: tuple[OutputSpec, ...] = Field(min_length=1, max_length=100)
    destination: str = Field(min_length=1, max_length=4096)
    tag: str | None = Field(None, max_length=1024)
    size: Annotated[int, Field(ge=0)] | None = Field(None, description="bytes, where listed")
    mtime: float | None = Field(None, description="seconds since 1970, where listed")
    etag: str | None = Field(None, description="the store's hash of the source, where listed")

    @field_validator("source", "destination")
    @classmethod
    def _no_secret(cls, uri: str) -> str:
        return without_secret(uri)

    @property
    def timeout_seconds(self) -> float:
        """The longest time that any output of the entry allows."""
        return max(output.timeout for output in self.outputs)


class Job(Asked):
    """A manifest, where its results go, and defaults for all of its entries."""

    manifest: str = Field(min_length=1, description="path, URI or glob of the manifest or sources")
    destination: str | None = Field(None, description="default destination of the entries")
    outputs: tuple[OutputSpec, ...] = Field((), description="default outputs of the entries")
    ledger: str | None = Field(
        None, description="where the ledger is kept; default DESTINATION/_ledger"
    )
    input_format: str | None = None
    tag: str | None = None
    settings: Settings = Settings()
    prices: Prices = Field(Prices(), description="prices, for a run to tell what it costs")

    @field_validator("manifest", "destination", "ledger")
    @classmethod
    def _no_secret(cls, uri: str | None) -> str | None:
        return None if uri is None else without_secret(uri)


_MODELS: dict[str, type[BaseModel]] = {
    model.__name__: model for model in (Job, Entry, *OUTPUT_MODELS.values())
}


def explain(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """All faults in one line: field, what is expected, what was received.

    `model` is what could not be made, where it is none of this module's.
    """
    return fault.explain(error, model or _MODELS.get(error.title))
