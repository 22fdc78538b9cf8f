"""Queries of Qencode's API v1: what they may hold, and what is said of those that are wrong."""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from farm import fault
from farm.dialects.qencode.refusal import ErrorCode, QencodeError

MOST_PAYLOAD_CHARACTERS = 1000
MOST_QUERY_CHARACTERS = 1_000_000
MOST_FORMATS = 50
MOST_DESTINATIONS = 10


class OutputKind(StrEnum):
    """What one output is: a picture, pictures along the video, or a video."""

    THUMBNAIL = "thumbnail"
    THUMBNAILS = "thumbnails"
    MP4 = "mp4"


_COMMON = {
    "output", "destination", "tag", "user_tag", "allow_soft_fail", "size", "width", "height",
    "resolution", "resize_mode", "quality",
}  # fmt: skip
_USED = {
    OutputKind.THUMBNAIL: _COMMON | {"image_format", "time", "frame_number", "start_time"},
    OutputKind.THUMBNAILS: _COMMON | {"image_format", "interval", "sprite", "columns"},
    OutputKind.MP4: _COMMON | {"start_time", "duration", "framerate", "keyframe", "file_extension"},
}
"""The fields that each output reads; others are ignored, with a warning."""

_NAME_CHARACTERS = 60
_MOST_IGNORED = 40


class _Part(BaseModel):
    """What all parts of a query have: numbers may be texts, and "" and null are absent values."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        coerce_numbers_to_str=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_absent(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            # pydantic's own error would quote it, and it may hold a secret.
            raise ValueError("expected keys and values")
        return {name: value for name, value in given.items() if value is not None and value != ""}


def _text(value: object) -> object:
    # An error of pydantic would quote what was received, which must not be shown of a secret.
    if not isinstance(value, str | SecretStr):
        raise ValueError("expected a text")
    if len(value) > 4000 or (isinstance(value, str) and re.search(r"[\x00-\x1f\x7f]", value)):
        raise ValueError("expected at most 4000 characters, none of them a control character")
    return value


def _listed(value: object) -> object:
    """One destination as a list of one; a bare text is its URL."""
    found = value if isinstance(value, list | tuple) else [value]
    return [{"url": each} if isinstance(each, str) else each for each in found]


def _formats(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError("expected a list of outputs")
    return value


_Text = Annotated[str, BeforeValidator(_text)]
_Secret = Annotated[SecretStr, BeforeValidator(_text)]
_Side = Annotated[int, Field(ge=1, le=65_535)]
_Seconds = Annotated[float, Field(gt=0, le=86_400)]
_Tag = Annotated[str, Field(max_length=1000)]


class Destination(_Part):
    """Where an output is to be stored, with the keys for it."""

    url: _Text = Field(repr=False)
    key: _Secret | None = None
    secret: _Secret | None = None
    permissions: str | None = None
    storage_class: str | None = None
    cache_control: str | None = None


class Format(_Part):
    """One output, in Qencode's words."""

    output: OutputKind
    time: Annotated[float, Field(ge=0, le=1)] | None = None
    frame_number: Annotated[int, Field(ge=0, le=1 << 53)] | None = None
    start_time: Annotated[float, Field(ge=0, le=1e9)] | None = None
    duration: _Seconds | None = None
    interval: _Seconds | None = None
    sprite: bool = False
    columns: _Side | None = None
    width: _Side | None = None
    height: _Side | None = None
    size: str | None = Field(None, pattern=r"^\s*[1-9]\d{0,4}\s*[xX]\s*[1-9]\d{0,4}\s*$")
    resolution: _Side | None = None
    resize_mode: Literal["scale", "crop"] = "scale"
    image_format: Literal["png", "jpg", "webp"] = "png"
    quality: Annotated[int, Field(ge=0, le=100)] | None = None
    framerate: Annotated[float, Field(gt=0, le=240)] | None = None
    keyframe: Annotated[int, Field(ge=1, le=100_000)] | None = None
    file_extension: Literal["mp4", "m4v"] | None = None
    tag: _Tag | None = None
    user_tag: _Tag | None = None
    destination: Annotated[
        tuple[Destination, ...], BeforeValidator(_listed), Field(max_length=MOST_DESTINATIONS)
    ] = ()
    allow_soft_fail: bool = False
    ignored: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _in_our_words(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        fields = {name: value for name, value in given.items() if value is not None}
        if "resize_mod" in fields:  # so an official client writes it
            fields.setdefault("resize_mode", fields.pop("resize_mod"))
        if fields.get("image_format") == "jpeg":
            fields["image_format"] = "jpg"
        if fields.get("destination") == []:
            del fields["destination"]
        return fields | {"ignored": _ignored(fields)}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        least, most = (0, 51) if self.output is OutputKind.MP4 else (1, 100)
        if self.quality is not None and not least <= self.quality <= most:
            raise ValueError(
                f"quality: expected {least} to {most} with {self.output.value}, "
                f"received {self.quality}"
            )
        return self

    @property
    def label(self) -> str | None:
        """The caller's own name of the output."""
        return self.user_tag or self.tag

    @property
    def sides(self) -> tuple[int | None, int | None]:
        """The asked width and height; `size` is both."""
        if self.size is None:
            return self.width, self.height
        width, height = re.split("[xX]", self.size)
        return int(width), int(height)


def _ignored(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of given fields that nothing will come of."""
    output = fields.get("output")
    if output not in set(OutputKind):
        return ()
    used = set(_USED[OutputKind(output)])
    if output != OutputKind.MP4 and fields.get("image_format", "png") == "png":
        used.discard("quality")
    if str(fields.get("sprite", 0)).lower() in ("0", "false", ""):
        used.discard("columns")
    given = (name for name, value in fields.items() if value != "" and name != "ignored")
    return tuple(name[:_NAME_CHARACTERS] for name in given if name not in used)[:_MOST_IGNORED]


class Query(_Part):
    """What one task is asked: a source and its outputs."""

    source: _Text = Field(repr=False)
    format: Annotated[
        tuple[Format, ...], BeforeValidator(_formats), Field(min_length=1, max_length=MOST_FORMATS)
    ]
    callback_url: _Text | None = Field(None, repr=False)
    upscale: bool = False

    @model_validator(mode="before")
    @classmethod
    def _has_one_source(cls, given: object) -> object:
        if isinstance(given, Mapping) and given.get("stitch"):
            raise ValueError("stitch: not supported here; expected one source")
        return given

    @property
    def warnings(self) -> list[dict[str, str | None]]:
        """What the caller should know before anything is done."""
        return [
            {
                "message": "Parameters are ignored",
                "details": f"format[{index}]: {', '.join(each.ignored)}",
                "tag": each.label,
            }
            for index, each in enumerate(self.format)
            if each.ignored
        ]


def parse_query(text: str) -> Query:
    """The query in a form's field `query`, which wraps it: `{"query": {...}}`.

    Raises QencodeError, whose text names the field and what is allowed, and shows no secret.
    """
    if len(text) > MOST_QUERY_CHARACTERS:
        raise QencodeError(
            ErrorCode.QUERY, f"query: expected at most {MOST_QUERY_CHARACTERS} characters"
        )
    try:
        wrapped = json.loads(text, parse_constant=_refuse_constant)
        # Halves of characters and NULs are what no database takes.
        if "\\u0000" in json.dumps(wrapped, ensure_ascii=False).encode().decode():
            raise ValueError
    except (ValueError, RecursionError):
        raise QencodeError(ErrorCode.QUERY, "query: expected JSON of Unicode text") from None
    inner = wrapped.get("query") if isinstance(wrapped, dict) else None
    if not isinstance(inner, dict):
        raise QencodeError(ErrorCode.QUERY, "query field is required")
    try:
        query = Query.model_validate(inner)
    except ValidationError as error:
        raise _refusal(error) from None
    for index, each in enumerate(query.format):
        if each.output is OutputKind.THUMBNAILS and each.interval is None:
            raise _missing(f"format[{index}].interval")
    return query


def check_payload(payload: str) -> str:
    """The caller's own words, to be given back; raises QencodeError where they are too many."""
    if len(payload) > MOST_PAYLOAD_CHARACTERS or "\0" in payload:
        raise QencodeError(
            ErrorCode.BAD_PAYLOAD,
            f"payload: expected at most {MOST_PAYLOAD_CHARACTERS} characters and no NUL, "
            f"received {len(payload)}",
        )
    return payload


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _refusal(error: ValidationError) -> QencodeError:
    for each in error.errors(include_url=False, include_input=False):
        if each["type"] == "missing":
            steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in each["loc"])
            return _missing("".join(steps).removeprefix("."))
    return QencodeError(ErrorCode.QUERY, fault.explain(error, Query))


def _missing(field: str) -> QencodeError:
    return QencodeError(ErrorCode.FIELD_REQUIRED, f"{field} is required", field=field)
