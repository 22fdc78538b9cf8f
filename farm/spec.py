"""What can be asked for: outputs, entries and jobs, as models that explain errors."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Self, TypeGuard, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from farm.geometry import Fit
from farm.position import Position
from farm.settings import Settings

DEFAULT_TIMEOUT_SECONDS = 300.0
DEFAULT_POSITION = "15%"


class ImageFormat(StrEnum):
    """The format of a made picture."""

    PNG = "png"
    JPG = "jpg"
    WEBP = "webp"


class Subsampling(StrEnum):
    """How much of the chroma a JPEG keeps: all, half of it, or a quarter."""

    FULL = "4:4:4"
    HALF = "4:2:2"
    QUARTER = "4:2:0"


FORMAT_OPTIONS = {
    "progressive": ImageFormat.JPG,
    "subsampling": ImageFormat.JPG,
    "lossless": ImageFormat.WEBP,
    "method": ImageFormat.WEBP,
    "compression": ImageFormat.PNG,
}
"""The fields of an output that only one format has."""


class Accuracy(StrEnum):
    """`keyframe`: the keyframe at or before the position; `exact`: the frame shown at it."""

    KEYFRAME = "keyframe"
    EXACT = "exact"


class Fidelity(StrEnum):
    """How near a picture comes to the ideal: the whole source, resampled in floating point.

    docs/performance.md has what each costs and how far it is off. `fast` also takes what a
    progressive JPEG's first scans tell.
    """

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


Side = Annotated[int, Field(ge=1, le=65_535, strict=True)]


class ThumbnailSpec(_Model):
    """One output of an entry: which moments, which size and which format."""

    width: Side | None = None
    height: Side | None = None
    fit: Fit = Fit.MAX
    format: ImageFormat = ImageFormat.JPG
    quality: Annotated[int, Field(ge=1, le=100, strict=True)] = 80
    progressive: bool = Field(
        False, description="jpg: coarse to fine, for slow connections; smaller, slower to make"
    )
    subsampling: Subsampling | None = Field(
        None, description="jpg: how much chroma is kept; default 4:2:0"
    )
    lossless: bool = Field(False, description="webp: without loss; quality then means nothing")
    method: Annotated[int, Field(ge=0, le=6, strict=True)] | None = Field(
        None, description="webp: from fast (0) to small (6); default 2"
    )
    compression: Annotated[int, Field(ge=0, le=9, strict=True)] | None = Field(
        None,
        description="png: zlib's level, from none (0) to small (9); default a faster deflate of "
        "about the size of level 3",
    )
    background: str | None = Field(
        None,
        pattern=r"^#[0-9a-fA-F]{6}$",
        description="colour of padding and under transparency; default black and white",
    )
    position: Position | None = Field(
        None, description=f"which moment; default {DEFAULT_POSITION}; not together with count"
    )
    count: Annotated[int, Field(ge=1, le=100_000, strict=True)] | None = Field(
        None, description="this many moments, evenly placed"
    )
    accuracy: Accuracy = Accuracy.KEYFRAME
    max_drift: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="seconds that a keyframe may lie before the position; past them the exact "
        "frame is decoded; default any",
    )
    fidelity: Fidelity = Fidelity.BALANCED
    previews: bool = Field(
        False, description="whether a preview inside the source may stand for it"
    )
    filename: str | None = Field(None, min_length=1, max_length=1024)
    engine: str | None = None
    engine_version: str | None = None
    timeout: Annotated[float, Field(gt=0, le=86_400)] = DEFAULT_TIMEOUT_SECONDS

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.position is not None and self.count is not None:
            raise ValueError("expected position or count, received both")
        if self.fit in (Fit.CROP, Fit.PAD) and (self.width is None or self.height is None):
            raise ValueError(f"expected width and height with fit '{self.fit.value}'")
        for name in sorted(FORMAT_OPTIONS.keys() & self.model_fields_set):
            format = FORMAT_OPTIONS[name]
            is_given = getattr(self, name) != type(self).model_fields[name].default
            if is_given and self.format is not format:
                raise ValueError(
                    f"{name}: only with format {format.value}, received with {self.format.value}"
                )
        if self.max_drift is not None and self.accuracy is not Accuracy.KEYFRAME:
            raise ValueError("expected max_drift with accuracy 'keyframe' only")
        if self.engine_version is not None and self.engine is None:
            raise ValueError("expected engine with engine_version")
        return self


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


class Entry(_Model):
    """One row of a manifest with the job's defaults filled in."""

    source: str = Field(min_length=1, max_length=8192)
    id: str | None = Field(None, min_length=1, max_length=255)
    input_format: str | None = Field(None, pattern=r"^[A-Za-z0-9]{1,16}$")
    outputs: tuple[ThumbnailSpec, ...] = Field(min_length=1, max_length=100)
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


class Job(_Model):
    """A manifest, where its results go, and defaults for all of its entries."""

    manifest: str = Field(min_length=1, description="path, URI or glob of the manifest or sources")
    destination: str | None = Field(None, description="default destination of the entries")
    outputs: tuple[ThumbnailSpec, ...] = Field((), description="default outputs of the entries")
    ledger: str | None = Field(
        None, description="where the ledger is kept; default DESTINATION/_ledger"
    )
    input_format: str | None = None
    tag: str | None = None
    settings: Settings = Settings()

    @field_validator("manifest", "destination", "ledger")
    @classmethod
    def _no_secret(cls, uri: str | None) -> str | None:
        return None if uri is None else without_secret(uri)


# pydantic's own words are for programmers.
_EXPECTED = {
    "missing": "required",
    "tuple_type": "expected a list",
    "model_type": "expected keys and values",
    "string_type": "expected a text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "enum": "expected {expected}",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than_equal": "expected at most {le}",
    "too_short": "expected at least {min_length} of them",
    "too_long": "expected at most {max_length} of them",
    "string_too_short": "expected at least {min_length} characters",
    "string_too_long": "expected at most {max_length} characters",
    "string_pattern_mismatch": "expected a text that fits {pattern}",
}


def explain(error: ValidationError) -> str:
    """All faults of a model in one line: field, what is expected, what was received."""
    faults = error.errors(include_url=False)
    # A list that lost its faulty members counts as too short: no news.
    told = [fault for fault in faults if not (fault["type"] == "too_short" and fault["input"])]
    return "; ".join(_fault(fault, error.title) for fault in told)


def _fault(fault: Any, model: str) -> str:
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]
    ).lstrip(".")
    kind, received = fault["type"], fault.get("input")
    if kind == "extra_forbidden":
        return f"{path}: unknown; allowed: {', '.join(_names_beside(fault['loc'], model))}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if kind in _EXPECTED:
        message = _EXPECTED[kind].format_map(fault.get("ctx", {}))
    if kind not in ("missing", "value_error") and not isinstance(received, dict):
        message += f", received {received!r:.100}"
    return f"{path}: {message}" if path else message


def _names_beside(place: tuple[int | str, ...], model: str) -> Iterable[str]:
    """The fields that there are where an unknown one was found."""
    found = next(each for each in (Job, Entry, ThumbnailSpec) if each.__name__ == model)
    fields = found.model_fields
    for part in place[:-1]:
        if isinstance(part, str):
            annotation = fields[part].annotation
            inner = next(filter(_is_model, (annotation, *get_args(annotation))))
            fields = inner.model_fields
    return fields


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
