"""The farm's own manifest rows: columns become an entry, with the job's defaults filled in."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from farm.errors import InvalidEntryError
from farm.spec import (
    FORMAT_OPTIONS,
    INTEGER_FIELDS,
    OUTPUT_MODELS,
    Entry,
    Job,
    OutputSpec,
    ThumbnailSpec,
    explain,
    output_of,
)
from farm.template import check_template, default_id, placeholders, templates

ENTRY_COLUMNS = tuple(Entry.model_fields)
OUTPUT_COLUMNS = tuple(
    dict.fromkeys(name for model in OUTPUT_MODELS.values() for name in model.model_fields)
)
# A field that a row gives, and the fields of the default output that it makes meaningless.
_REPLACED = {
    "position": {"count"},
    "count": {"position", "interval"},
    "interval": {"count"},
    "engine": {"engine_version"},
}


def parse_row(row: Mapping[str, object], *, number: int, job: Job) -> Entry:
    """The entry of a manifest row, `number` being its place for messages.

    Columns that are fields of outputs override those of the job's outputs that have them: of one
    `kind`, if that is given, which gets an output more where the job has none of it. In a row of
    nothing but strings, as CSV has them, an empty string is an absent value and digits are a
    number. Raises InvalidEntryError with the row, the field, what is allowed and what was received.
    """
    try:
        return _entry(_values(row), job)
    except ValidationError as error:
        raise InvalidEntryError(f"row {number}: {explain(error)}") from None
    except ValueError as error:
        raise InvalidEntryError(f"row {number}: {error}") from None


def row_schema() -> dict[str, Any]:
    """The JSON Schema of a manifest's row: an entry whose gaps the job fills, or fields of outputs.

    An absent value may be null. The texts of CSV are beyond it.
    """
    entry = Entry.model_json_schema()
    models = [model.model_json_schema()["properties"] for model in OUTPUT_MODELS.values()]
    columns = entry["properties"] | {
        name: _any_of(model[name] for model in models if name in model) for name in OUTPUT_COLUMNS
    }
    return entry | {
        "title": "Row",
        "description": "One row of a manifest; what it leaves out is the job's.",
        "required": ["source"],
        "properties": {
            name: column if name == "source" else _optional(column)
            for name, column in columns.items()
        },
    }


def _any_of(columns: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What is one of the columns, which have one name in outputs of several kinds."""
    distinct: list[dict[str, Any]] = []
    for column in columns:
        if column not in distinct:
            distinct.append(column)
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _optional(column: dict[str, Any]) -> dict[str, Any]:
    """A column that may be null; its default is the job's."""
    shown = {name: value for name, value in column.items() if name in ("title", "description")}
    rest = {name: value for name, value in column.items() if name not in (*shown, "default")}
    choices = rest.get("anyOf", [rest])
    null = {"type": "null"}
    return shown | {"anyOf": choices if null in choices else [*choices, null]}


def _values(row: Mapping[str, object]) -> dict[str, object]:
    """The values that a row gives, without the absent ones."""
    values = {name: value for name, value in row.items() if value is not None}
    allowed = (*ENTRY_COLUMNS, *OUTPUT_COLUMNS)
    if unknown := [name for name in values if name not in allowed]:
        raise ValueError(f"{unknown[0]}: unknown column; allowed: {', '.join(allowed)}")
    if not all(isinstance(value, str) for value in values.values()):
        return values
    return {name: _number(name, str(text)) for name, text in values.items() if text != ""}


def _number(name: str, text: str) -> object:
    digits = text.strip()
    is_integer = name in INTEGER_FIELDS and digits.isascii() and digits.isdigit()
    return int(digits) if is_integer else text


def _entry(values: Mapping[str, object], job: Job) -> Entry:
    given = {name: values[name] for name in ENTRY_COLUMNS if name in values}
    fields = {"input_format": job.input_format, "tag": job.tag} | given
    fields["destination"] = values.get("destination", job.destination)
    if fields["destination"] is None:
        raise ValueError("destination: expected in the row or in the job; received none")
    fields["outputs"] = _outputs(values, job)
    entry = Entry.model_validate(fields)
    is_own = entry.outputs != job.outputs
    for output, spec in enumerate(entry.outputs):
        for field, template in templates(spec).items():
            _check_filename(template, f"outputs[{output}].{field}", is_own=is_own)
    if entry.id is not None:
        return entry
    own = _canonical(entry.outputs) if is_own else None
    return entry.model_copy(update={"id": default_id(entry.source, own)})


def _outputs(values: Mapping[str, object], job: Job) -> object:
    flat = {name: values[name] for name in OUTPUT_COLUMNS if name in values}
    if "outputs" in values:
        if flat:
            raise ValueError(f"expected outputs or {', '.join(flat)}; received both")
        return values["outputs"]
    if not flat and not job.outputs:
        raise ValueError("outputs: expected in the row or in the job; received none")
    if "kind" in flat and all(spec.kind != flat["kind"] for spec in job.outputs):
        return (*job.outputs, output_of(flat))
    outputs = job.outputs or (ThumbnailSpec(),)
    asked = [spec for spec in outputs if spec.kind == flat.get("kind", spec.kind)]
    unused = [name for name in flat if all(name not in _fields(spec) for spec in asked)]
    if unused:
        allowed = dict.fromkeys(name for spec in asked for name in _fields(spec))
        raise ValueError(f"{unused[0]}: no output here has it; allowed: {', '.join(allowed)}")
    return tuple(_overridden(spec, flat) if spec in asked else spec for spec in outputs)


def _fields(spec: OutputSpec) -> Iterable[str]:
    return type(spec).model_fields


def _overridden(spec: OutputSpec, row: Mapping[str, object]) -> OutputSpec:
    flat = {name: value for name, value in row.items() if name in _fields(spec)}
    dropped = set[str]().union(*(_REPLACED.get(name, ()) for name in flat))
    if "format" in flat:
        dropped |= {name for name, own in FORMAT_OPTIONS.items() if flat["format"] != own}
    kept = {name: getattr(spec, name) for name in spec.model_fields_set - dropped}
    return output_of({**kept, **flat})


def _check_filename(filename: str, field: str, *, is_own: bool) -> None:
    try:
        # What a row calls its own pictures is its affair, unless it is made from its source's name.
        check_template(filename, several=is_own and bool(placeholders(filename) & {"stem", "tag"}))
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None


def _canonical(outputs: Sequence[OutputSpec]) -> str:
    dumped = [spec.model_dump(mode="json", exclude_defaults=True) for spec in outputs]
    return json.dumps(dumped, sort_keys=True, separators=(",", ":"))
