"""The operation `thumbnail`: pictures of files, as the farm has them."""

from collections.abc import Collection
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from farm.dialects.cloudconvert.formats import INPUT_FORMATS, OUTPUT_FORMATS, unsupported
from farm.dialects.cloudconvert.request import Inputs, Name, Options
from farm.geometry import Fit
from farm.output import DEFAULT_TIMEOUT_SECONDS, Accuracy, ImageFormat, ThumbnailSpec
from farm.position import Position

ENGINE_ALIASES = MappingProxyType({"ffmpeg": "pyav"})
"""The names that the API has for engines -> the farm's."""

_MOST_SECONDS = 86_400.0

Side = Annotated[int, Field(ge=1, le=65_535, description="pixels")]


class Thumbnail(Options):
    """Makes pictures of its inputs' files."""

    input: Inputs
    input_format: str | None = Field(None, description="default: what the file shows")
    output_format: str = Field(
        description="png, jpg or webp",
        validate_default=True,
        json_schema_extra={"examples": ["png"]},
    )
    width: Side | None = None
    height: Side | None = None
    fit: Literal["max", "crop", "scale"] = "max"
    count: Annotated[int, Field(ge=1, le=1000, description="pictures of each file")] = 1
    timestamp: str | None = Field(
        None, description="HH:MM:SS.mmm, MM:SS, seconds or a percentage; not with count"
    )
    quality: Annotated[int, Field(ge=1, le=100, description="of jpg and webp")] = 80
    filename: Name | None = Field(None, description="with %d where there are several files")
    engine: str | None = None
    engine_version: Name | None = None

    @field_validator("input_format")
    @classmethod
    def _plain(cls, name: str | None) -> str | None:
        return None if name is None else name.strip().lstrip(".").lower()

    @field_validator("output_format")
    @classmethod
    def _is_supported(cls, name: str, info: ValidationInfo) -> str:
        known, source = name.strip().lstrip(".").lower(), info.data.get("input_format")
        if known not in OUTPUT_FORMATS or (source is not None and source not in INPUT_FORMATS):
            raise ValueError(unsupported(source, f"{name:.40}"))
        return known

    @field_validator("timestamp")
    @classmethod
    def _is_moment(cls, moment: str | None) -> str | None:
        if moment is not None:
            try:
                Position.model_validate(moment)
            except ValidationError:
                raise ValueError(
                    "The timestamp must be like 00:00:12.5, 01:30, 12.5 or 15%; "
                    f"received {moment!r:.60}."
                ) from None
        return moment

    @field_validator("engine")
    @classmethod
    def _is_known(cls, name: str | None, info: ValidationInfo) -> str | None:
        known: Collection[str] = (info.context or {}).get("engines", ())
        if name is not None and known and ENGINE_ALIASES.get(name, name) not in known:
            allowed = ", ".join([*known, *ENGINE_ALIASES])
            raise ValueError(f"The selected engine {name!r:.40} is invalid; allowed: {allowed}.")
        return name

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.timestamp is not None and self.count > 1:
            raise ValueError("timestamp: The timestamp cannot be combined with a count above 1.")
        if self.engine_version is not None and self.engine is None:
            raise ValueError("engine_version: The engine version needs an engine.")
        return self

    def spec(self, *, filename: str) -> ThumbnailSpec:
        """The pictures of one file, as the farm has it.

        Where `crop` or `scale` has one side only, the other one follows from the aspect: nothing
        is left to be cut off or stretched. Without any side the size stays. Who names a moment
        means its own frame; elsewhere the keyframe before it does.
        """
        fit = Fit(self.fit)
        if None in (self.width, self.height) and fit is Fit.CROP:
            fit = Fit.SCALE
        moment = None if self.timestamp is None else Position.model_validate(self.timestamp)
        return ThumbnailSpec(
            width=self.width,
            height=self.height,
            fit=fit,
            quality=self.quality,
            filename=filename,
            format=ImageFormat(OUTPUT_FORMATS[self.output_format]),
            position=moment,
            accuracy=Accuracy.KEYFRAME if moment is None else Accuracy.EXACT,
            count=self.count if self.count > 1 else None,
            engine=None if self.engine is None else ENGINE_ALIASES.get(self.engine, self.engine),
            engine_version=self.engine_version,
            timeout=float(min(self.timeout or DEFAULT_TIMEOUT_SECONDS, _MOST_SECONDS)),
        )
