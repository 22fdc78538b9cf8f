"""What can be converted by what: the list of operations, made from what the farm has."""

from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from farm import engines
from farm.dialects.cloudconvert import ENGINE_ALIASES, INPUT_FORMATS, OPERATIONS, Thumbnail
from farm.service.cloudconvert.answer import answer
from farm.service.cloudconvert.asking import filtered, included
from farm.settings import GPU_ENGINES
from farm.sniff import format_of

router = APIRouter(prefix="/v2", tags=["CloudConvert: operations"])

OUTPUTS = ("png", "jpg", "webp")
DISTRIBUTIONS = {
    "nvimgcodec": "nvidia-nvimgcodec-cu13",
    "nvdec": "pynvvideocodec",
    "turbojpeg": "simplejpeg",
    "fastpng": "isal",
    "fastwebp": "av",
    "pillow": "pillow",
    "torchcodec": "torchcodec",
    "dali": "nvidia-dali-cuda130",
    "pyav": "av",
    "decord": "decord",
}
"""The package whose version is an engine's."""

_FIELDS = ("width", "height", "fit", "count", "timestamp", "quality")
_TYPES = {"integer": "integer", "number": "float", "boolean": "boolean", "string": "string"}


@router.get("/operations")
def index(request: Request) -> JSONResponse:
    """The operations that there are; needs no key.

    Filters: `operation`, `input_format`, `output_format`, `engine`, `engine_version`. With
    `alternatives` the engines are listed that a request has to name. `include`: `options`,
    `engine_versions`.
    """
    wanted = {
        name: value
        for name in ("operation", "input_format", "output_format", "engine")
        if (value := filtered(request, name)) is not None
    }
    asked_version = filtered(request, "engine_version")
    include = included(request)
    alternatives = request.query_params.get("alternatives", "").lower() in ("1", "true")
    is_named = "engine" in wanted
    if is_named:
        wanted["engine"] = ENGINE_ALIASES.get(wanted["engine"], wanted["engine"])
    found = []
    for each, is_default in _all():
        if not (is_default or alternatives or is_named):
            continue
        if any(each[name] != value for name, value in wanted.items()):
            continue
        if asked_version is not None and version_of(each["engine"]) != asked_version:
            continue
        found.append(_with(each, include))
    return answer(found, request=request)


@cache
def _all() -> tuple[tuple[dict[str, Any], bool], ...]:
    """All operations, and which of them are what a request gets that names no engine."""
    return (*_thumbnails(), *_transfers())


def _thumbnails() -> Iterator[tuple[dict[str, Any], bool]]:
    for extension, name in INPUT_FORMATS.items():
        default = engines.candidates(format_of(name))[0]
        for engine in engines.candidates(format_of(name), device="cuda"):
            for output in OUTPUTS:
                yield _operation("thumbnail", extension, output, engine), engine == default


def _transfers() -> Iterator[tuple[dict[str, Any], bool]]:
    for name in OPERATIONS:
        if name != "thumbnail":
            yield _operation(name, None, None, None), True


def _operation(
    name: str, input_format: str | None, output_format: str | None, engine: str | None
) -> dict[str, Any]:
    return {
        "operation": name,
        "input_format": input_format,
        "output_format": output_format,
        "engine": engine,
        "credits": 0,
        "deprecated": False,
        # Those of GPUs do more on some machines than on others.
        "experimental": engine in GPU_ENGINES,
        "meta": {},
    }


def _with(operation: dict[str, Any], include: frozenset[str]) -> dict[str, Any]:
    shown = dict(operation)
    if "options" in include:
        shown["options"] = _options() if operation["operation"] == "thumbnail" else []
    if "engine_versions" in include:
        found = version_of(operation["engine"])
        shown["engine_versions"] = [] if found is None else [_version(found, operation)]
    return shown


def _version(found: str, operation: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": found,
        "default": True,
        "latest": True,
        "deprecated": False,
        "experimental": operation["experimental"],
    }


@cache
def version_of(engine: str | None) -> str | None:
    """The version of an engine on this machine; workers elsewhere may have another."""
    try:
        return None if engine is None else version(DISTRIBUTIONS[engine])
    except PackageNotFoundError:
        return None


@cache
def _options() -> list[dict[str, Any]]:
    """The options of a thumbnail, as its model has them."""
    properties = Thumbnail.model_json_schema()["properties"]
    shown = []
    for name in _FIELDS:
        schema = properties[name]
        inner = next((each for each in schema.get("anyOf", ()) if each["type"] != "null"), schema)
        values = inner.get("enum")
        shown.append(
            {
                "name": name,
                "type": "enum" if values else _TYPES[inner["type"]],
                "default": schema.get("default"),
                "possible_values": values,
            }
        )
    return shown
