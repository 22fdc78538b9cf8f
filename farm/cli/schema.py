"""`farm schema`: what jobs, rows, entries, outputs and records look like, as JSON Schemas."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from farm.cli.screen import say


class Subject(StrEnum):
    """What a schema is wanted of."""

    JOB = "job"
    ROW = "row"
    ENTRY = "entry"
    OUTPUT = "output"
    RECORD = "record"


def show_schema(
    subject: Annotated[Subject, typer.Argument(help="What to describe.")] = Subject.JOB,
) -> None:
    """Print a JSON Schema.

    It is that of a job file, a manifest's row, an entry (a row with the job's defaults in it), an
    output or a ledger's record.
    """
    say(json.dumps(_schema(subject), indent=2))


def _schema(subject: Subject) -> dict[str, Any]:
    from pydantic import TypeAdapter

    from farm.dialects.native import row_schema
    from farm.record import Record
    from farm.spec import Entry, Job, OutputSpec

    match subject:
        case Subject.JOB:
            return Job.model_json_schema()
        case Subject.ROW:
            return row_schema()
        case Subject.ENTRY:
            return Entry.model_json_schema()
        case Subject.OUTPUT:
            return TypeAdapter(OutputSpec).json_schema()
        case Subject.RECORD:
            return TypeAdapter(Record).json_schema()
