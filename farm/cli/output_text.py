"""One output in one word of a command line: `320x180,fit=crop,format=webp`."""

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from farm.errors import InvalidJobError
from farm.spec import INTEGER_FIELDS, OUTPUT_MODELS, OutputSpec, ThumbnailSpec, explain, output_of

_SIZE = re.compile(r"(\d*)x(\d*)")
_INTEGER = re.compile(r"-?\d+")
_EXAMPLE = "320x180, 320x, x180 or 320x180,fit=crop,format=webp,position=15%"


def parse_output(text: str) -> OutputSpec:
    """The output that `SIZE[,KEY=VALUE]...`, `KEY=VALUE[,...]` or a JSON object stands for.

    Raises InvalidJobError with the text, what is expected and what was received.
    """
    try:
        return output_of(parse_any(text))
    except ValidationError as error:
        raise InvalidJobError(f"output {text!r}: {explain(error)}") from None
    except ValueError as error:
        raise InvalidJobError(f"output {text!r}: {error}") from None


def parse_any(text: str, *, kind: str = "thumbnail") -> dict[str, Any]:
    """The fields that such a text gives, of an output of that `kind` unless it says another.

    Raises ValueError where it cannot be read.
    """
    return _json(text) if text.lstrip().startswith("{") else _fields(text, kind)


def output_text(spec: OutputSpec) -> str:
    """The shortest text that `parse_output` reads as this output."""
    fields = spec.model_dump(mode="json", exclude_defaults=True)
    if any("," in str(value) for value in fields.values()):
        return json.dumps(fields, ensure_ascii=False)
    sides = [str(fields.pop(side, "")) for side in ("width", "height")]
    words = ["x".join(sides)] if any(sides) else []
    kind = {"kind": fields.pop("kind")} if "kind" in fields else {}
    words += [f"{name}={_word(value)}" for name, value in (kind | fields).items()]
    return ",".join(words) or f"format={spec.format}"


def _word(value: object) -> str:
    """A value as `parse_output` reads it: `true` and `10`, not `True` and `10.0`."""
    return json.dumps(value).removesuffix(".0") if isinstance(value, bool | float) else str(value)


def parse_size(text: str) -> dict[str, int]:
    """The sides that `320x180`, `320x` or `x180` names; raises ValueError for anything else."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"expected a size like 320x180, 320x or x180; received {text!r}")
    return {
        side: int(value)
        for side, value in zip(("width", "height"), match.groups(), strict=True)
        if value
    }


def _json(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"expected a JSON object: {error}") from None


def _fields(text: str, kind: str) -> dict[str, Any]:
    """The fields of `SIZE[,KEY=VALUE]...` or `KEY=VALUE[,...]`."""
    first, comma, rest = text.partition(",")
    if "=" in first:
        return parse_fields(text, kind=kind)
    sides = parse_size(first)
    return parse_fields(rest, sides, kind=kind) if comma else sides


def parse_fields(
    text: str, known: Mapping[str, Any] = MappingProxyType({}), *, kind: str = "thumbnail"
) -> dict[str, Any]:
    """The fields that `KEY=VALUE[,KEY=VALUE]...` gives, beside those known already.

    They are those of an output of that `kind` unless one of them says another. Raises ValueError
    with what is allowed.
    """
    fields = dict(known)
    for word in text.split(","):
        name, equals, value = word.partition("=")
        name = name.strip()
        if not equals:
            raise ValueError(f"expected KEY=VALUE, as in {_EXAMPLE}; received {word!r}")
        if name in fields:
            raise ValueError(f"{name}: expected once, received twice")
        fields[name] = _value(name, value)
    allowed = OUTPUT_MODELS.get(str(fields.get("kind", kind)), ThumbnailSpec).model_fields
    if unknown := [name for name in fields if name not in allowed]:
        raise ValueError(f"{unknown[0]}: unknown; allowed: {', '.join(allowed)}")
    return fields


def _value(name: str, text: str) -> int | str:
    return int(text) if name in INTEGER_FIELDS and _INTEGER.fullmatch(text.strip()) else text
