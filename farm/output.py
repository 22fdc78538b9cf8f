"""What can be asked of a source: thumbnails, a storyboard or a clip, as models."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from farm.geometry import Fit
from farm.position import Position

DEFAULT_TIMEOUT_SECONDS = 300.0
DEFAULT_POSITION = "15%"
DEFAULT_COLUMNS = 10


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
"""The fields of a picture that only one format has."""


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


class Damaged(StrEnum):
    """What becomes of a damaged source: what is left of it, with a warning, or a failure."""

    SALVAGE = "salvage"
    FAIL = "fail"


class Asked(BaseModel):
    """What people ask for: it never changes, holds no unknown fields and repeats no input."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


Side = Annotated[int, Field(ge=1, le=65_535, strict=True)]
Count = Annotated[int, Field(ge=1, le=100_000, strict=True)]


class SizedSpec(Asked):
    """What all outputs have: a size, a quality, a name and a time limit."""

    width: Side | None = None
    height: Side | None = None
    fit: Fit = Fit.MAX
    quality: Annotated[int, Field(ge=1, le=100, strict=True)] = 80
    filename: str | None = Field(None, min_length=1, max_length=1024)
    timeout: Annotated[float, Field(gt=0, le=86_400)] = DEFAULT_TIMEOUT_SECONDS

    @model_validator(mode="after")
    def _has_sides(self) -> Self:
        if self.fit in (Fit.CROP, Fit.PAD) and (self.width is None or self.height is None):
            raise ValueError(f"expected width and height with fit '{self.fit.value}'")
        return self

    def _is_given(self, name: str) -> bool:
        """Whether a field has another value than the default one."""
        return bool(getattr(self, name) != type(self).model_fields[name].default)


class PictureSpec(SizedSpec):
    """What outputs of pictures have: how frames are had, finished and encoded."""

    format: ImageFormat = ImageFormat.JPG
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
    damaged: Damaged = Field(
        Damaged.SALVAGE, description="whether what is left of a damaged source is shown or fails"
    )
    engine: str | None = None
    engine_version: str | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for name in sorted(FORMAT_OPTIONS.keys() & self.model_fields_set):
            format = FORMAT_OPTIONS[name]
            if self._is_given(name) and self.format is not format:
                raise ValueError(
                    f"{name}: only with format {format.value}, received with {self.format.value}"
                )
        if self.max_drift is not None and self.accuracy is not Accuracy.KEYFRAME:
            raise ValueError("expected max_drift with accuracy 'keyframe' only")
        if self.engine_version is not None and self.engine is None:
            raise ValueError("expected engine with engine_version")
        return self

    @property
    def background_rgb(self) -> tuple[int, int, int] | None:
        """The values of the background's colour, 0 to 255."""
        if self.background is None:
            return None
        red, green, blue = bytes.fromhex(self.background.removeprefix("#"))
        return red, green, blue


class ThumbnailSpec(PictureSpec):
    """Thumbnails: which moments, which size and which format."""

    kind: Literal["thumbnail"] = "thumbnail"
    position: Position | None = Field(
        None, description=f"which moment; default {DEFAULT_POSITION}; not together with count"
    )
    count: Count | None = Field(None, description="this many moments, evenly placed")

    @model_validator(mode="after")
    def _has_one_sampling(self) -> Self:
        if self.position is not None and self.count is not None:
            raise ValueError("expected position or count, received both")
        return self


class StoryboardSpec(PictureSpec):
    """A storyboard: pictures along the whole video, with a WebVTT file that says when each is due.

    They are images of their own, or tiles on sheets.
    """

    kind: Literal["storyboard"]
    interval: Annotated[float, Field(ge=0.001, le=86_400)] | None = Field(
        None, description="seconds from one picture to the next; not together with count"
    )
    count: Count | None = Field(
        None, description="this many pictures, from the middles of equal parts"
    )
    sheets: bool = Field(False, description="tiles on sheets instead of images of their own")
    columns: Side | None = Field(
        None, description=f"tiles side by side on a sheet, if they fit; default {DEFAULT_COLUMNS}"
    )
    sheet_pixels: Side = Field(
        4096, description="longest side of a sheet; further tiles are on further sheets"
    )
    webvtt: bool = Field(True, description="whether a WebVTT file is made too")
    vtt: str | None = Field(
        None,
        min_length=1,
        max_length=1024,
        description="name of the WebVTT file; default beside the images",
    )

    @model_validator(mode="after")
    def _has_one_sampling(self) -> Self:
        given = [name for name in ("interval", "count") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected interval or count, received {'both' if given else 'none of them'}"
            )
        for name, switch in (("columns", "sheets"), ("sheet_pixels", "sheets"), ("vtt", "webvtt")):
            if self._is_given(name) and not getattr(self, switch):
                raise ValueError(f"{name}: only with {switch} true")
        return self


class ClipSpec(SizedSpec):
    """A clip: a part of a video as a small video of its own."""

    kind: Literal["clip"]
    start: Position | None = Field(None, description="default the first frame")
    duration: Annotated[float, Field(gt=0, le=86_400)] | None = Field(
        None, description="seconds; default up to the end"
    )
    framerate: Annotated[float, Field(gt=0, le=240)] | None = Field(
        None, description="frames per second; default the source's"
    )
    keyframe_interval: Annotated[int, Field(ge=1, le=100_000, strict=True)] | None = Field(
        None, description="frames from one keyframe to the next, at most"
    )
    audio: bool = Field(True, description="whether sound is kept, where there is any")
    format: Literal["mp4"] = "mp4"


OUTPUT_MODELS: dict[str, type[ThumbnailSpec] | type[StoryboardSpec] | type[ClipSpec]] = {
    "thumbnail": ThumbnailSpec,
    "storyboard": StoryboardSpec,
    "clip": ClipSpec,
}
INTEGER_FIELDS = (
    "width", "height", "quality", "count", "method", "compression", "columns", "sheet_pixels",
    "keyframe_interval",
)  # fmt: skip
"""The fields whose value is a whole number, to tell them where all values are texts."""


def kind_of(output: object) -> str:
    """The kind of an output as given, in a model or in keys and values."""
    if isinstance(output, Mapping):
        return str(output.get("kind", "thumbnail"))
    return str(getattr(output, "kind", "thumbnail"))


OutputSpec: TypeAlias = Annotated[
    Annotated[ThumbnailSpec, Tag("thumbnail")]
    | Annotated[StoryboardSpec, Tag("storyboard")]
    | Annotated[ClipSpec, Tag("clip")],
    Discriminator(kind_of),
]
"""One thing asked of an entry, by its `kind`."""


def output_of(fields: Mapping[str, Any]) -> OutputSpec:
    """The output that keys and values describe; raises ValueError where they are wrong."""
    if (kind := kind_of(fields)) not in OUTPUT_MODELS:
        *most, last = map(repr, OUTPUT_MODELS)
        raise ValueError(f"kind: expected {', '.join(most)} or {last}, received {kind!r:.100}")
    return OUTPUT_MODELS[kind].model_validate(fields)
