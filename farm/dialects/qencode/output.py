"""What Qencode's outputs are in the farm's words: specs, and names of their files."""

from collections.abc import Sequence
from typing import Any

from farm.dialects.qencode.query import Format, OutputKind, Query
from farm.geometry import Fit, Size
from farm.position import Position
from farm.spec import Accuracy, ClipSpec, ImageFormat, OutputSpec, StoryboardSpec, ThumbnailSpec

VTT_NAME = "thumbnails.vtt"

_BLACK = "#000000"
# A single sprite is what is asked for; WebP cannot be larger, and the limits bound it too.
_SHEET_PIXELS = 16_383
# A task's own time bounds what reads the whole video, not a picture's.
_LONG_SECONDS = 18_000.0


def needs_size(query: Query) -> bool:
    """Whether the outputs depend on how large the source is shown."""
    return any(
        each.resolution is not None or (not query.upscale and None not in each.sides)
        for each in query.format
    )


def output_specs(
    query: Query, chosen: Sequence[int], *, shown: Size | None = None
) -> tuple[OutputSpec, ...]:
    """The specs of some outputs, by their places from 0; their files are named `PLACE/...`.

    `shown` is the source's size as shown; it is needed where `needs_size` says so. With `upscale`
    0 nothing is enlarged: sides are those of the source at most.
    """
    return tuple(_spec(query, place, shown) for place in chosen)


def file_name(asked: Format, index: int) -> str:
    """What callers call file `index` of an output; 0 is the WebVTT file, pictures count from 1."""
    if asked.output is OutputKind.THUMBNAILS and index == 0:
        return VTT_NAME
    return _template(asked).replace("%04d", f"{index:04d}")


def _template(asked: Format) -> str:
    match asked.output:
        case OutputKind.THUMBNAIL:
            return f"thumbnail.{asked.image_format}"
        case OutputKind.THUMBNAILS:
            return f"{'sprite' if asked.sprite else 'thumb'}_%04d.{asked.image_format}"
        case OutputKind.MP4:
            return "video.mp4"


def _spec(query: Query, place: int, shown: Size | None) -> OutputSpec:
    asked = query.format[place]
    fields = _size(asked, query.upscale, shown) | {"filename": f"{place}/{_template(asked)}"}
    match asked.output:
        case OutputKind.THUMBNAIL:
            return ThumbnailSpec(**fields | _picture(asked), position=_position(asked))
        case OutputKind.THUMBNAILS:
            return _storyboard(asked, fields | {"vtt": f"{place}/{VTT_NAME}"})
        case OutputKind.MP4:
            return _clip(asked, fields)


def _storyboard(asked: Format, fields: dict[str, Any]) -> StoryboardSpec:
    interval = asked.interval or 1.0  # the query was refused without one
    if asked.sprite:
        fields |= {"sheets": True, "columns": asked.columns, "sheet_pixels": _SHEET_PIXELS}
    return StoryboardSpec(
        kind="storyboard",
        interval=interval,
        # A keyframe serves where it is nearer to its own cue than to the one before.
        accuracy=Accuracy.KEYFRAME,
        max_drift=interval / 2,
        timeout=_LONG_SECONDS,
        **fields | {name: value for name, value in _picture(asked).items() if name != "accuracy"},
    )


def _clip(asked: Format, fields: dict[str, Any]) -> ClipSpec:
    fields.pop("background", None)
    if asked.quality is not None:
        fields["quality"] = clip_quality(asked.quality)
    return ClipSpec(
        kind="clip",
        start=None if asked.start_time is None else Position.model_validate(asked.start_time),
        duration=asked.duration,
        framerate=asked.framerate,
        keyframe_interval=asked.keyframe,
        timeout=_LONG_SECONDS,
        **fields,
    )


def clip_quality(crf: int) -> int:
    """The quality of a clip, 1 to 100, of a constant rate factor, 0 (best) to 51: 51 - 0.35 q."""
    return min(100, max(1, round((51 - crf) / 0.35)))


def _picture(asked: Format) -> dict[str, Any]:
    """The fields that pictures alone have."""
    fields = {"format": ImageFormat(asked.image_format), "accuracy": Accuracy.EXACT}
    if asked.quality is not None and asked.image_format != "png":
        return fields | {"quality": asked.quality}
    return fields


def _position(asked: Format) -> Position | None:
    """The moment of a thumbnail; None for the farm's default one."""
    if asked.frame_number is not None:
        return Position.model_validate(f"frame:{asked.frame_number}")
    if asked.time is not None:
        return Position.model_validate(f"{asked.time * 100:.12g}%")
    if asked.start_time is not None:
        return Position.model_validate(asked.start_time)
    return None


def _size(asked: Format, upscale: bool, shown: Size | None) -> dict[str, Any]:
    """The fields of a spec that say how large it is, and how the picture gets there."""
    width, height = asked.sides
    if asked.resolution is not None:
        is_upright = shown is not None and shown.width < shown.height
        width, height = (asked.resolution, None) if is_upright else (None, asked.resolution)
    if width is None or height is None:
        # One side, or none: the aspect stays.
        fit = Fit.SCALE if upscale else Fit.MAX
        return {"width": width, "height": height, "fit": fit}
    fit = Fit.CROP if asked.resize_mode == "crop" else Fit.SCALE
    if upscale or shown is None:
        return {"width": width, "height": height, "fit": fit}
    if fit is Fit.CROP:
        return _cropped(Size(width, height), shown)
    return {"width": min(width, shown.width), "height": min(height, shown.height), "fit": fit}


def _cropped(asked: Size, shown: Size) -> dict[str, Any]:
    """Cropped where that enlarges nothing; else all of the picture, with black bars.

    An output that is larger than the source on both sides shrinks until it is as large on one.
    """
    ratios = asked.width / shown.width, asked.height / shown.height
    if max(ratios) <= 1:
        return {"width": asked.width, "height": asked.height, "fit": Fit.CROP}
    excess = max(1.0, min(ratios))
    return {
        "width": max(1, round(asked.width / excess)),
        "height": max(1, round(asked.height / excess)),
        "fit": Fit.PAD,
        "background": _BLACK,
    }
