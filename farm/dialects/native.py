"""The farm's own manifest rows: columns become an entry, with the job's defaults filled in."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from farm.errors import InvalidEntryError
from farm.spec import FORMAT_OPTIONS, Entry, Job, ThumbnailSpec, explain
from farm.template import check_template, default_id, placeholders

ENTRY_COLUMNS = tuple(Entry.model_fields)
OUTPUT_COLUMNS = tuple(ThumbnailSpec.model_fields)
_INTEGER_COLUMNS = ("width", "height", "quality", "count", "method", "compression")
# A field that a row gives, and the field of the default output that it makes meaningless.
_REPLACED = {"position": "count", "count": "position", "engine": "engine_version"}


def parse_row(row: Mapping[str, object], *, number: int, job: Job) -> Entry:
    """The entry of a manifest row, `number` being its place for messages.

    Columns that are fields of a thumbnail override that field in each of the job's outputs, or make
    one output where the job has none. In a row of nothing but strings, as CSV has them, an empty
    string is an absent value and digits are a number. Raises InvalidEntryError with the row, the
    field, what is allowed and what was received.
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
    entry, output = Entry.model_json_schema(), ThumbnailSpec.model_json_schema()
    columns = entry["properties"] | output["properties"]
    return entry | {
        "title": "Row",
        "description": "One row of a manifest; what it leaves out is the job's.",
        "required": ["source"],
        "properties": {
            name: column if name == "source" else _optional(column)
            for name, column in columns.items()
        },
    }


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
    is_integer = name in _INTEGER_COLUMNS and digits.isascii() and digits.isdigit()
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
        if spec.filename is not None:
            _check_filename(spec.filename, output, is_own=is_own)
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
    if flat:
        return tuple(_overridden(spec, flat) for spec in job.outputs or (ThumbnailSpec(),))
    if not job.outputs:
        raise ValueError("outputs: expected in the row or in the job; received none")
    return job.outputs


def _overridden(spec: ThumbnailSpec, flat: Mapping[str, object]) -> ThumbnailSpec:
    dropped = {_REPLACED[name] for name in flat if name in _REPLACED}
    if "format" in flat:
        dropped |= {name for name, own in FORMAT_OPTIONS.items() if flat["format"] != own}
    kept = {name: getattr(spec, name) for name in spec.model_fields_set - dropped}
    return ThumbnailSpec.model_validate({**kept, **flat})


def _check_filename(filename: str, output: int, *, is_own: bool) -> None:
    try:
        # What a row calls its own pictures is its affair, unless it is made from its source's name.
        check_template(filename, several=is_own and bool(placeholders(filename) & {"stem", "tag"}))
    except ValueError as error:
        raise ValueError(f"outputs[{output}].filename: {error}") from None


def _canonical(outputs: Sequence[ThumbnailSpec]) -> str:
    dumped = [spec.model_dump(mode="json", exclude_defaults=True) for spec in outputs]
    return json.dumps(dumped, sort_keys=True, separators=(",", ":"))
