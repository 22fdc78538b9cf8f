"""One row of a manifest, as read: fields that nobody has checked yet, or why there are none."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """Row `number` of a manifest, from 1 on: the line it starts on, or the row in Parquet.

    Exactly one of `fields` and `error` is None.
    """

    number: int
    fields: dict[str, Any] | None
    error: str | None = None
