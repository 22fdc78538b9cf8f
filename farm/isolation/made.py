"""What a lane says that it made, checked before any of it is believed.

A lane that a hostile file took over may say anything, also what no Parquet column can hold.
"""

from collections.abc import Container
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from farm.errors import LaneCrashError

if TYPE_CHECKING:
    from farm.isolation.lane import Reply

# A bound on the length also refuses halves of characters, which UTF-8 has no bytes for.
_Text = Annotated[str, Field(max_length=10_000)]
_Int32 = Annotated[int, Field(ge=0, lt=1 << 31)]
_Int64 = Annotated[int, Field(ge=0, lt=1 << 63)]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class MadeFile(_Facts):
    """One file of the payload: which one it is, its size and its moment."""

    output: _Int32
    index: _Int32
    width: _Int32
    height: _Int32
    size_bytes: _Int64
    pts_seconds: float | None


class Made(_Facts):
    """The facts of a lane's success; the files lie in the payload one after the other."""

    files: list[MadeFile]
    engine: _Text
    engine_version: _Text
    fallback: _Text | None
    warnings: list[_Text]
    notes: dict[_Text, Any]
    timings_ms: dict[_Text, float]
    bytes_read: _Int64


def made_of(reply: "Reply", wanted: Container[tuple[int, int]], *, most: int) -> Made:
    """The facts of a reply that has none but `wanted` files, by output and index, each once.

    `most` of them are allowed at once.

    Raises LaneCrashError where it cannot be true.
    """
    try:
        made = Made.model_validate(reply.header)
    except ValidationError as error:
        place = ".".join(map(str, error.errors(include_url=False)[0]["loc"]))
        raise LaneCrashError(f"the decoder's process gave an impossible answer: {place}") from None
    if len(made.files) > most:
        raise LaneCrashError(
            f"the decoder's process made {len(made.files)} files where {most} are allowed"
        )
    seen = set()
    for file in made.files:
        name = (file.output, file.index)
        if name in seen or name not in wanted:
            raise LaneCrashError(
                f"the decoder's process made file {name[1]} of output {name[0]} unasked"
            )
        seen.add(name)
    if sum(file.size_bytes for file in made.files) != len(reply.payload):
        raise LaneCrashError("the decoder's process gave an impossible answer: size_bytes")
    return made
