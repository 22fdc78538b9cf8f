"""What CloudConvert's requests mean: options, graphs, names, and what is said of wrong ones."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm import engines
from farm.dialects.cloudconvert import (
    INPUT_FORMATS,
    OPERATIONS,
    OUTPUT_FORMATS,
    ImportBase64,
    InvalidRequestError,
    Thumbnail,
    numbered,
    parse_job,
    parse_task,
    picture_names,
    validate,
)
from farm.geometry import Fit
from farm.sniff import format_of
from farm.spec import Accuracy, ImageFormat, ThumbnailSpec

ID = "73df1e16-fd8b-47a1-a156-f197babde91a"
S3 = {
    "bucket": "b-1",
    "region": "eu-central-1",
    "access_key_id": "AKIA",
    "secret_access_key": "hunter2",
}


def spec_of(**options: Any) -> ThumbnailSpec:
    task = parse_task("thumbnail", {"input": ID, "output_format": "png", **options})
    assert isinstance(task.options, Thumbnail)
    return task.options.spec(filename="%d.png")


def errors(operation: str, **fields: Any) -> dict[str, list[str]]:
    with pytest.raises(InvalidRequestError) as caught:
        parse_task(operation, fields, engines=("pillow", "pyav"))
    return caught.value.errors


def test_the_example_of_the_page() -> None:
    fields = {
        "input": ID,
        "input_format": "mp4",
        "output_format": "png",
        "width": 300,
        "height": 200,
        "fit": "crop",
    }
    task = parse_task("thumbnail", fields)
    assert task.fields == fields | {"input": [ID]}
    assert task.inputs == (ID,)
    assert isinstance(task.options, Thumbnail)
    assert task.options.spec(filename="a.png") == ThumbnailSpec(
        width=300, height=200, fit=Fit.CROP, format=ImageFormat.PNG, filename="a.png"
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"fit": Fit.MAX, "width": None, "count": None, "position": None}),
        ({"width": "320"}, {"fit": Fit.MAX, "width": 320, "height": None}),
        ({"height": 90, "fit": "crop"}, {"fit": Fit.SCALE, "width": None, "height": 90}),
        ({"width": 90, "fit": "scale"}, {"fit": Fit.SCALE, "width": 90, "height": None}),
        ({"fit": "crop"}, {"fit": Fit.SCALE, "width": None, "height": None}),
        ({"count": 1}, {"count": None}),
        ({"count": "12"}, {"count": 12}),
        ({"output_format": "JPEG"}, {"format": ImageFormat.JPG}),
        ({"output_format": ".webp", "quality": 55}, {"format": ImageFormat.WEBP, "quality": 55}),
        ({"engine": "ffmpeg"}, {"engine": "pyav"}),
        ({"engine": "pillow", "engine_version": 12}, {"engine_version": "12"}),
        ({"width": None, "fit": None, "count": None}, {"fit": Fit.MAX, "width": None}),
        ({"timeout": 7}, {"timeout": 7.0}),
        ({"timeout": 500_000}, {"timeout": 86_400.0}),
    ],
)
def test_options(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    spec = spec_of(**asked)
    assert {name: getattr(spec, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("timestamp", "wire"),
    [
        ("00:01:05.5", "65.5"),
        ("01:30", "90"),
        ("12", "12"),
        (12.25, "12.25"),
        ("15%", "15%"),
        ("-1", "-1"),
    ],
)
def test_timestamps(timestamp: object, wire: str) -> None:
    position = spec_of(timestamp=timestamp).position
    assert position is not None
    assert position.model_dump() == wire
    assert spec_of(timestamp=timestamp).accuracy is Accuracy.EXACT
    assert spec_of().accuracy is Accuracy.KEYFRAME


def test_unknown_options_are_kept() -> None:
    task = parse_task("thumbnail", {"input": [ID], "output_format": "png", "page": 3, "x": {}})
    assert task.fields["page"] == 3
    assert task.fields["x"] == {}


REQUIRED = "The {} field is required."


@pytest.mark.parametrize(
    ("operation", "fields", "expected"),
    [
        ("thumbnail", {}, {"input": REQUIRED, "output_format": REQUIRED}),
        ("thumbnail", {"input": [], "output_format": "png"}, {"input": REQUIRED}),
        ("thumbnail", {"input": 5, "output_format": "png"}, {"input": "must be a string or an"}),
        ("thumbnail", {"input": [5.5, {}], "output_format": "png"}, {"input": "must be a string"}),
        ("import/url", {}, {"url": REQUIRED}),
        ("import/url", {"url": {}}, {"url": "The url must be a string."}),
        ("import/url", {"url": "http://x", "headers": "x"}, {"headers": "must be an object"}),
        ("import/base64", {"file": "eA=="}, {"filename": REQUIRED}),
        ("import/upload", {"redirect": "javascript:x"}, {"redirect": "must be a valid URL"}),
        ("import/s3", S3, {"key": "Exactly one of key and key_prefix"}),
        ("import/s3", S3 | {"key": "a", "key_prefix": "b"}, {"key": "Exactly one"}),
        ("export/url", {"input": "a", "inline": "maybe"}, {"inline": "must be true or false"}),
        ("export/s3", S3 | {"input": "a", "acl": "mine"}, {"acl": "allowed: 'private', 'public-"}),
    ],
)
def test_what_is_wrong_is_told_by_field(
    operation: str, fields: dict[str, Any], expected: dict[str, str]
) -> None:
    found = errors(operation, **fields)
    assert found.keys() == expected.keys()
    for field, words in expected.items():
        assert words.format(field.replace("_", " ")) in " ".join(found[field])
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("width", 0, "The width must be at least 1."),
        ("width", 70_000, "The width must not be greater than 65535."),
        ("width", "wide", "The width must be an integer."),
        ("height", 1.5, "The height must be an integer."),
        ("height", [], "The height must be an integer."),
        ("count", 0, "The count must be at least 1."),
        ("count", 1001, "The count must not be greater than 1000."),
        ("quality", 101, "The quality must not be greater than 100."),
        ("fit", "pad", "The selected fit is invalid; allowed: 'max', 'crop' or 'scale'."),
        ("timeout", 0, "The timeout must be at least 1."),
        ("timestamp", "soon", "The timestamp must be like 00:00:12.5, 01:30, 12.5 or 15%; rec"),
        ("engine", "mplayer", "'mplayer' is invalid; allowed: pillow, pyav, ffmpeg."),
        ("engine_version", "4", "The engine version needs an engine."),
        ("output_format", "gif", "Converting this file to gif is not supported."),
        ("filename", "", "The filename field is required."),
        ("filename", "x" * 1025, "The filename must not be longer than 1024 characters."),
    ],
)
def test_each_option_of_a_thumbnail_is_checked(field: str, value: object, words: str) -> None:
    fields: dict[str, Any] = {"input": ID, "output_format": "png", field: value}
    found = errors("thumbnail", **fields)
    assert list(found) == [field]
    assert words in found[field][0]


@pytest.mark.parametrize(("source", "target"), [("pdf", "png"), ("mp4", "gif"), ("docx", "pdf")])
def test_conversions_that_are_not_supported(source: str, target: str) -> None:
    found = errors("thumbnail", input=ID, input_format=source, output_format=target)
    assert found == {"output_format": [f"Converting {source} to {target} is not supported."]}


def test_a_moment_and_a_count_contradict_each_other() -> None:
    found = errors("thumbnail", input=ID, output_format="png", timestamp="5", count=2)
    assert list(found) == ["timestamp"]


def test_options_are_bounded() -> None:
    found = errors("thumbnail", input=ID, output_format="png", note="x" * 70_000)
    assert found == {"options": ["The options must not be longer than 65536 characters."]}
    parse_task("import/raw", {"file": "x" * 70_000, "filename": "a"})


def test_a_job_is_a_graph_by_names() -> None:
    job = parse_job(
        {
            "tasks": {
                "export-1": {"operation": "export/url", "input": ["thumb_1"]},
                "thumb_1": {"operation": "thumbnail", "input": "in-1", "output_format": "jpg"},
                "in-1": {"operation": "import/url", "url": "https://x/", "ignore_error": 1},
            },
            "tag": 5,
            "redirect": "1",
        }
    )
    assert list(job.tasks) == ["export-1", "thumb_1", "in-1"]
    assert job.tasks["thumb_1"].inputs == ("in-1",)
    assert job.tasks["in-1"].ignore_error
    assert "ignore_error" not in job.tasks["in-1"].fields
    assert (job.tag, job.redirect, job.webhook_url) == ("5", True, None)


THUMB = {"operation": "thumbnail", "input": "b", "output_format": "png"}


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, "tasks", "The tasks field is required."),
        ({"tasks": {}}, "tasks", "The tasks field is required."),
        ({"tasks": [1]}, "tasks", "The tasks must be an object."),
        ({"tasks": {"a": 1}}, "tasks.a", "The task must be an object."),
        ({"tasks": {"a b": {"operation": "thumbnail"}}}, "tasks.a b", "letters, digits"),
        ({"tasks": {"a": {}}}, "tasks.a.operation", "The operation field is required."),
        ({"tasks": {"a": {"operation": "convert"}}}, "tasks.a.operation", "allowed: import/url"),
        ({"tasks": {"a": {"operation": ["x"]}}}, "tasks.a.operation", "is invalid"),
        ({"tasks": {"a": {"operation": "import/url"}}}, "tasks.a.url", "is required"),
        ({"tasks": {"a": THUMB}}, "tasks.a.input", "'b' is no task of this job"),
        ({"tasks": {"b": THUMB}}, "tasks.b.input", "wait for each other: b -> b"),
        (
            {"tasks": {"a": THUMB, "b": {**THUMB, "input": ["a"]}}},
            "tasks.a.input",
            "wait for each other",
        ),
        ({"tasks": {"a": THUMB | {"input": ID}}, "tag": []}, "tag", "must be a string"),
        ({"tasks": {"a": THUMB | {"input": ID}}, "tag": "a\0"}, "tag", "The tag is invalid."),
    ],
)
def test_what_is_wrong_with_a_job(body: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_job(body)
    found = caught.value.errors
    assert field in found or found.keys() <= {"tasks.a.input", "tasks.b.input"}
    assert words in json.dumps(found)


def test_a_job_may_go_on_from_earlier_tasks() -> None:
    job = parse_job({"tasks": {"a": THUMB | {"input": ID}}})
    assert job.tasks["a"].inputs == (ID,)


@pytest.mark.parametrize(
    ("template", "count", "expected"),
    [
        ("a.png", 1, ["a.png"]),
        ("a.png", 3, ["a-1.png", "a-2.png", "a-3.png"]),
        ("a-%d.png", 2, ["a-1.png", "a-2.png"]),
        ("a-%d.png", 1, ["a-1.png"]),
        ("%03d", 2, ["001", "002"]),
        ("%2d.x", 1, [" 1.x"]),
        ("50%.png", 1, ["50%.png"]),
        ("50%%.png", 2, ["50%-1.png", "50%-2.png"]),
        ("%s %x.png", 1, ["%s %x.png"]),
        ("v1.2/name", 2, ["v1.2/name-1", "v1.2/name-2"]),
        ("archive.tar.gz", 2, ["archive.tar-1.gz", "archive.tar-2.gz"]),
    ],
)
def test_numbered(template: str, count: int, expected: list[str]) -> None:
    assert numbered(template, count) == expected


@given(st.text(max_size=40), st.integers(1, 30))
def test_numbered_names_are_many_and_differ(template: str, count: int) -> None:
    names = numbered(template, count)
    assert len(set(names)) == len(names) == count


def test_pictures_are_named_after_their_files() -> None:
    stems = ["clip", "clip", "100%d", "photo"]
    found = picture_names(None, stems=stems, extension="jpg")
    assert found == ["clip-1.jpg", "clip-2.jpg", "100%d.jpg", "photo.jpg"]
    assert picture_names("p-%d.jpg", stems=stems, extension="jpg")[3] == "p-4.jpg"


@pytest.mark.parametrize(
    ("text", "content"),
    [("eHl6", b"xyz"), ("e H\nl6", b"xyz"), ("data:image/png;base64,eHl6", b"xyz"), ("", b"")],
)
def test_base64(text: str, content: bytes) -> None:
    assert validate(ImportBase64, {"file": text, "filename": "a"}).content() == content


@pytest.mark.parametrize("text", ["eHl", "e!!!", "é"])
def test_what_is_no_base64(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="invalid"):
        validate(ImportBase64, {"file": text, "filename": "a"}).content()


def test_formats_are_those_of_the_farm() -> None:
    for name in set(INPUT_FORMATS.values()):
        assert engines.candidates(format_of(name)), name
    assert set(OUTPUT_FORMATS.values()) == set(ImageFormat)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_schemas_need_no_references(operation: str) -> None:
    assert "$ref" not in json.dumps(OPERATIONS[operation].model_json_schema())
