"""What is wrong with the fields of a model, in words for people."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

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
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "enum": "expected {expected}",
    "literal_error": "expected {expected}",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than_equal": "expected at most {le}",
    "too_short": "expected at least {min_length} of them",
    "too_long": "expected at most {max_length} of them",
    "string_too_short": "expected at least {min_length} characters",
    "string_too_long": "expected at most {max_length} characters",
    "string_pattern_mismatch": "expected a text that fits {pattern}",
}


def explain(error: ValidationError, model: type[BaseModel] | None) -> str:
    """All faults of a model in one line: field, what is expected, what was received."""
    faults = error.errors(include_url=False)
    # A list that lost its faulty members counts as too short: no news.
    told = [fault for fault in faults if not (fault["type"] == "too_short" and fault["input"])]
    return "; ".join(_fault(fault, model) for fault in told)


def _fault(fault: Any, model: type[BaseModel] | None) -> str:
    path, inner = _place(fault["loc"], model)
    kind, received, facts = fault["type"], fault.get("input"), fault.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{path}: unknown" + (f"; allowed: {', '.join(inner.model_fields)}" if inner else "")
    if kind == "union_tag_invalid":
        most, _, last = facts["expected_tags"].rpartition(", ")
        return f"{path}.kind: expected {most} or {last}, received {facts['tag']!r:.100}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if kind in _EXPECTED:
        message = _EXPECTED[kind].format_map(facts)
    if kind not in ("missing", "value_error") and not isinstance(received, dict):
        message += f", received {received!r:.100}"
    return f"{path}: {message}" if path else message


def _place(
    loc: tuple[int | str, ...], model: type[BaseModel] | None
) -> tuple[str, type[BaseModel] | None]:
    """Where a fault is, as `outputs[0].width`, and the model that has the last field, if known.

    The tags of a union, by which pydantic tells its models apart, are no part of the place.
    """
    path = ""
    beside = model
    tags: dict[object, type[BaseModel]] = {}
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in tags:
            model, tags = tags[part], {}
        else:
            path += f".{part}"
            beside = model
            field = model.model_fields.get(part) if model else None
            found = dict(_models(field.annotation)) if field else {}
            tags = {tag: each for tag, each in found.items() if tag is not None}
            model = found.get(None)
    return path.removeprefix("."), beside


def _models(annotation: object, tag: object = None) -> Iterator[tuple[object, type[BaseModel]]]:
    """The models that an annotation speaks of, each with its tag in a union, or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield tag, annotation
    if get_origin(annotation) is Annotated:
        tag = next((each.tag for each in get_args(annotation) if isinstance(each, Tag)), tag)
    for each in get_args(annotation):
        yield from _models(each, tag)
