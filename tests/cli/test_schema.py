"""`farm schema`."""

import json
from dataclasses import fields

import pytest

from farm.record import Record
from farm.spec import Entry, Job, ThumbnailSpec
from tests.cli.conftest import Farm


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("job", set(Job.model_fields)),
        ("row", {*Entry.model_fields, *ThumbnailSpec.model_fields}),
        ("entry", set(Entry.model_fields)),
        ("output", set(ThumbnailSpec.model_fields)),
        ("record", {field.name for field in fields(Record)}),
    ],
)
def test_describes_all_fields(farm: Farm, subject: str, expected: set[str]) -> None:
    said = farm("schema", subject)
    assert said.code == 0
    assert set(json.loads(said.out)["properties"]) == expected


def test_describes_the_job_by_default(farm: Farm) -> None:
    assert farm("schema").out == farm("schema", "job").out
