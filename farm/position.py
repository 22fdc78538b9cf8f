"""Moments of a video as people write them: seconds, clock times, percentages, frames."""

import re
from enum import StrEnum
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_POSITION_HELP = (
    'seconds (12.5), "HH:MM:SS.mmm", a percentage "15%", a fraction "1/4" or a frame "frame:120", '
    "each with an optional minus sign to count from the end"
)
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:\.\d*)?)")


class PositionUnit(StrEnum):
    """What a position counts."""

    SECONDS = "seconds"
    FRACTION = "fraction"
    FRAME = "frame"


class Position(BaseModel):
    """A moment of a video: `value` units from its start, or from its end where `from_end`.

    Frames count from 0; from the end, frame 1 is the last one. On the wire it is one number or
    string: see `parse_position`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )

    unit: PositionUnit
    value: float = Field(ge=0)
    from_end: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_wire(cls, wire: object) -> object:
        return parse_position(wire) if isinstance(wire, str | int | float) else wire

    @model_serializer
    def _to_wire(self) -> str | float:
        sign = "-" if self.from_end else ""
        match self.unit:
            case PositionUnit.FRAME:
                return f"frame:{sign}{int(self.value)}"
            case PositionUnit.FRACTION:
                return f"{sign}{self.value * 100:.12g}%"
            case PositionUnit.SECONDS:
                return f"{sign}{self.value:.12g}"

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "number"}, {"type": "string"}], "description": _POSITION_HELP}


def parse_position(wire: str | float) -> dict[str, Any]:
    """The fields of a `Position` from its wire form; raises ValueError with what is allowed."""
    text = str(wire).strip()
    unit, number = PositionUnit.SECONDS, text
    if text.startswith("frame:"):
        unit, number = PositionUnit.FRAME, text.removeprefix("frame:")
    from_end = number.startswith("-")
    number = number.removeprefix("-")
    try:
        if isinstance(wire, bool):
            raise ValueError
        if unit is PositionUnit.FRAME:
            value = float(int(number))
        elif clock := _CLOCK.fullmatch(number):
            hours, minutes, seconds = clock.groups()
            value = int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
        elif number.endswith("%"):
            unit, value = PositionUnit.FRACTION, float(number[:-1]) / 100
        elif "/" in number:
            above, below = number.split("/")
            unit, value = PositionUnit.FRACTION, float(above) / float(below)
        else:
            value = float(number)
        if not 0 <= value < float("inf") or (unit is PositionUnit.FRACTION and value > 1):
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"expected {_POSITION_HELP}; received {wire!r}") from None
    return {"unit": unit, "value": value, "from_end": from_end}
