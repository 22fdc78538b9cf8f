"""`farm schema`."""

import json
from dataclasses import fields

import pytest

from farm.record import Record
from farm.spec import OUTPUT_MODELS, Entry, Job
from tests.cli.conftest import Farm

OUTPUT_FIELDS = {name for model in OUTPUT_MODELS.values() for name in model.model_fields}


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("job", set(Job.model_fields)),
        ("row", {*Entry.model_fields, *OUTPUT_FIELDS}),
        ("entry", set(Entry.model_fields)),
        ("record", {field.name for field in fields(Record)}),
    ],
)
def test_describes_all_fields(farm: Farm, subject: str, expected: set[str]) -> None:
    said = farm("schema", subject)
    assert said.code == 0
    assert set(json.loads(said.out)["properties"]) == expected


def test_describes_an_output_by_its_kind(farm: Farm) -> None:
    schema = json.loads(farm("schema", "output").out)
    models = [schema["$defs"][each["$ref"].rpartition("/")[2]] for each in schema["oneOf"]]
    described = {model["properties"]["kind"]["const"]: set(model["properties"]) for model in models}
    assert described == {kind: set(model.model_fields) for kind, model in OUTPUT_MODELS.items()}
    # Without a kind it is a thumbnail, so that no output is two things.
    without = [model["title"] for model in models if "kind" not in model.get("required", ())]
    assert without == ["ThumbnailSpec"]


def test_describes_the_job_by_default(farm: Farm) -> None:
    assert farm("schema").out == farm("schema", "job").out
