"""The job of a command: what its job file says, overridden by its options."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from farm import engines, storage
from farm.cli.output_text import parse_output
from farm.errors import InvalidJobError
from farm.prices import Prices
from farm.settings import Settings
from farm.spec import Job, OutputSpec, PictureSpec, explain
from farm.template import check_template, templates

if TYPE_CHECKING:
    import yaml

_LOCATIONS = ("manifest", "destination", "ledger")


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What a command line says of a job; None and empty leave the job file's word.

    `settings` are `NAME=VALUE` with a dotted name, such as `limits.image_pixels=1000000`;
    `damaged` is a word for all of the job's outputs. `prices` are `NAME=VALUE` too.
    """

    file: Path | None = None
    manifest: str | None = None
    destination: str | None = None
    ledger: str | None = None
    outputs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    damaged: str | None = None
    prices: tuple[str, ...] = ()


def read_job(options: JobOptions) -> Job:
    """The job, checked, with absolute paths; those of the job file count from its folder.

    Raises InvalidJobError with the field, what is expected and what was received.
    """
    fields = _absolute(_read_file(options.file), options.file.parent) if options.file else {}
    given = {name: getattr(options, name) for name in _LOCATIONS}
    fields |= _absolute({name: at for name, at in given.items() if at is not None}, Path())
    if "manifest" not in fields:
        raise InvalidJobError("expected a job file or --manifest; see `farm run --help`")
    if options.outputs:
        fields["outputs"] = [parse_output(text) for text in options.outputs]
    if options.damaged is not None:
        fields["outputs"] = _with_damaged(fields.get("outputs"), options.damaged)
    if options.settings:
        fields["settings"] = _with_words(
            "--set", Settings, fields.get("settings"), options.settings
        )
    if options.prices:
        fields["prices"] = _with_words("--price", Prices, fields.get("prices"), options.prices)
    try:
        job = Job.model_validate(fields)
    except ValidationError as error:
        where = f"{options.file}: " if options.file else ""
        raise InvalidJobError(f"{where}{explain(error)}") from None
    _check_outputs(job)
    return job


def check_work(job: Job) -> None:
    """Raises InvalidJobError for a job that can make nothing, whatever its manifest holds."""
    from farm.source_list import SourceList

    is_listed = SourceList(job.manifest, ledger_uri(job), job.destination).is_listed
    if is_listed and not job.outputs:
        raise InvalidJobError(
            "expected --output, because listed files have no outputs of their own"
        )


def check_engine(spec: OutputSpec) -> None:
    """Raises ValueError for an engine that is none."""
    engine = spec.engine if isinstance(spec, PictureSpec) else None
    if engine is not None and engine not in engines.names():
        raise ValueError(
            f"engine: expected one of {', '.join(engines.names())}; received {engine!r}"
        )


def ledger_uri(job: Job) -> str:
    """Where a job's ledger is; raises InvalidJobError where nothing tells."""
    if job.ledger is not None:
        return job.ledger
    if job.destination is None:
        raise InvalidJobError(
            "expected --destination, or --ledger where all rows have destinations of their own"
        )
    return storage.join(job.destination, "_ledger")


def absolute(uri: str, folder: Path = Path()) -> str:
    """A relative local path made absolute; a trailing slash, which means a prefix, stays."""
    if "://" in uri:
        return uri
    return os.path.abspath(folder / uri) + ("/" if uri.endswith("/") and uri != "/" else "")


def _absolute(fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    found = {
        name: absolute(fields[name], folder)
        for name in _LOCATIONS
        if isinstance(fields.get(name), str) and fields[name]
    }
    return fields | found


def _read_file(path: Path) -> dict[str, Any]:
    import yaml

    try:
        fields = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidJobError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidJobError(f"{path}: expected YAML in UTF-8") from None
    except yaml.YAMLError as error:
        raise InvalidJobError(f"{path}: {_yaml_fault(error)}") from None
    if not isinstance(fields, dict):
        raise InvalidJobError(f"{path}: expected keys and values, received {fields!r:.100}")
    return {str(name): value for name, value in fields.items()}


def _yaml_fault(error: "yaml.YAMLError") -> str:
    """What is wrong and where, in one line."""
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    what = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"expected YAML: {where}{what}"


def _with_damaged(outputs: object, word: str) -> object:
    """The outputs with that word for damaged sources; what is wrong is the model's to refuse."""
    if not isinstance(outputs, list):
        return outputs
    return [
        each | {"damaged": word} if isinstance(each, dict) and each.get("kind") != "clip" else each
        for each in outputs
    ]


def _with_words(
    option: str, model: type[BaseModel], fields: object, words: tuple[str, ...]
) -> dict[str, Any]:
    """A section of the job file with the `NAME=VALUE` of the command line in it."""
    if not isinstance(fields, dict | None):
        name = model.__name__.lower()
        raise InvalidJobError(f"{name}: expected keys and values, received {fields!r:.100}")
    merged: dict[str, Any] = {
        name: dict(value) if isinstance(value, dict) else value
        for name, value in (fields or {}).items()
    }
    allowed = _names(model)
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in allowed:
            raise InvalidJobError(
                f"{option} {word}: expected NAME=VALUE with a name of {', '.join(allowed)}"
            )
        group, dot, key = name.partition(".")
        if dot:
            # What is no group here is the model's to refuse.
            inner = merged.setdefault(group, {})
            if isinstance(inner, dict):
                inner[key] = value
        else:
            merged[name] = value
    return merged


def _names(model: type[BaseModel]) -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            names += [f"{name}.{inner}" for inner in _names(nested)]
        else:
            names.append(name)
    return names


def _check_outputs(job: Job) -> None:
    for index, spec in enumerate(job.outputs):
        try:
            check_engine(spec)
            for template in templates(spec).values():
                check_template(template, several=True)
        except ValueError as error:
            raise InvalidJobError(f"outputs[{index}]: {error}") from None
