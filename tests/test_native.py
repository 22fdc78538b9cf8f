"""Native rows: defaults, overrides, CSV strings and errors that say what is allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.dialects.native import parse_row
from farm.errors import InvalidEntryError
from farm.geometry import Fit
from farm.spec import Entry, ImageFormat, Job
from farm.template import default_id


def job(*outputs, **fields) -> Job:
    return Job.model_validate(
        {"manifest": "m.jsonl", "destination": "/out", "outputs": outputs} | fields
    )


JOB = job({"width": 320}, {"count": 4, "width": 64, "format": "png"}, tag="t", input_format="mp4")


def parse(row, made: Job = JOB) -> Entry:
    return parse_row(row, number=12, job=made)


def test_a_source_alone_takes_the_defaults():
    assert parse({"source": "/a.mp4"}) == Entry(
        source="/a.mp4",
        id=default_id("/a.mp4"),
        outputs=JOB.outputs,
        destination="/out",
        tag="t",
        input_format="mp4",
    )


def test_a_row_overrides_the_defaults():
    row = {"source": "/a", "id": "x", "destination": "s3://b/p", "tag": "u", "input_format": "mov"}
    entry = parse(row | {"size": 7, "mtime": 1.5, "etag": "e", "outputs": [{"height": 9}]})
    assert entry.model_dump(exclude={"outputs"}) == row | {"size": 7, "mtime": 1.5, "etag": "e"}
    assert [spec.height for spec in entry.outputs] == [9]
    assert entry.outputs[0].width is None


def test_nulls_are_absent():
    assert parse({"source": "/a", "tag": None, "outputs": None}) == parse({"source": "/a"})


def test_flat_columns_override_every_default_output():
    entry = parse({"source": "/a", "quality": 50, "fit": "scale"})
    assert [(spec.quality, spec.fit, spec.width) for spec in entry.outputs] == [
        (50, Fit.SCALE, 320),
        (50, Fit.SCALE, 64),
    ]
    assert [spec.format for spec in entry.outputs] == [ImageFormat.JPG, ImageFormat.PNG]


def test_flat_columns_make_one_output_where_the_job_has_none():
    (spec,) = parse({"source": "/a", "width": 100, "position": "50%"}, job()).outputs
    assert (spec.width, spec.position.value) == (100, 0.5)


def test_a_moment_of_the_row_replaces_that_of_the_job():
    by_position = parse({"source": "/a", "position": 3}).outputs[1]
    assert (by_position.count, by_position.position.value) == (None, 3)
    by_count = parse({"source": "/a", "count": 2}, job({"position": 3})).outputs[0]
    assert (by_count.count, by_count.position) == (2, None)


def test_an_engine_of_the_row_drops_the_version_of_the_job():
    made = job({"engine": "pyav", "engine_version": "18"})
    (spec,) = parse({"source": "/a", "engine": "decord"}, made).outputs
    assert (spec.engine, spec.engine_version) == ("decord", None)


def test_a_format_of_the_row_drops_the_options_of_the_jobs_format():
    made = job({"format": "webp", "method": 5, "lossless": True, "quality": 33})
    (spec,) = parse({"source": "/a", "format": "png"}, made).outputs
    assert (spec.format, spec.method, spec.lossless, spec.quality) == ("png", None, False, 33)
    (spec,) = parse({"source": "/a", "format": "webp"}, made).outputs
    assert (spec.method, spec.lossless) == (5, True)


def test_options_of_a_format_are_read_from_texts():
    row = {"source": "/a", "format": "webp", "method": "6", "lossless": "true"}
    (spec,) = parse(row, job({})).outputs
    assert (spec.method, spec.lossless) == (6, True)
    with pytest.raises(InvalidEntryError, match="row 12: progressive: only with format jpg"):
        parse({"source": "/a", "format": "png", "progressive": "true"}, job({}))


def test_csv_rows_hold_numbers_in_strings():
    row = {"source": "/a", "width": "100", "height": "50", "fit": "crop", "quality": " 70 "}
    row |= {"position": "12.5", "timeout": "20", "size": "1234", "mtime": "1.5", "tag": ""}
    entry = parse(row, job())
    (spec,) = entry.outputs
    assert (spec.width, spec.height, spec.quality, spec.timeout) == (100, 50, 70, 20.0)
    assert (entry.size, entry.mtime, entry.tag) == (1234, 1.5, None)
    assert spec.position.value == 12.5


def test_an_empty_csv_value_keeps_the_default():
    assert parse({"source": "/a", "width": "", "id": "", "destination": ""}) == parse(
        {"source": "/a"}
    )


def test_rows_of_one_source_with_different_outputs_have_different_ids():
    rows = [{}, {"width": 10}, {"width": 20}, {"outputs": [{"width": 10}]}]
    ids = {parse({"source": "/a"} | row).id for row in rows}
    assert len(ids) == len(rows)


def test_outputs_equal_to_the_defaults_keep_the_id():
    same = [spec.model_dump(mode="json", exclude_unset=True) for spec in JOB.outputs]
    assert parse({"source": "/a", "outputs": same}).id == parse({"source": "/a"}).id


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "source: required"),
        ({"source": ""}, "source: required"),
        ({"source": 5}, "source: expected a text, received 5"),
        ({"source": "/a", "widht": 5}, "widht: unknown column; allowed: source, .*width"),
        ({"source": "/a", "width": 0}, "width: expected at least 1, received 0$"),
        ({"source": "/a", "width": "5", "size": 1}, "width: expected a whole number, received '5'"),
        ({"source": "/a", "width": "5px"}, "width: expected a whole number, received '5px'"),
        ({"source": "/a", "width": "-5"}, "width: expected a whole number, received '-5'"),
        ({"source": "/a", "fit": "cover"}, "fit: .*'max', 'crop', 'scale' or 'pad'.*'cover'"),
        ({"source": "/a", "format": "gif"}, "format: .*'png', 'jpg' or 'webp'.*'gif'"),
        ({"source": "/a", "position": "noon"}, "position: expected seconds .*'noon'"),
        ({"source": "/a", "outputs": []}, "outputs: expected at least 1 of them"),
        ({"source": "/a", "outputs": "x"}, "outputs: expected a list, received 'x'"),
        (
            {"source": "/a", "outputs": [{"width": "5"}]},
            r"outputs\[0\].width: .*whole number, received '5'$",
        ),
        (
            {"source": "/a", "outputs": [{}, {"colour": 1}]},
            r"outputs\[1\].colour: unknown; allowed: width, .*, previews",
        ),
        ({"source": "/a", "outputs": [{}], "width": 5}, "outputs or width; received both"),
        ({"source": "/a", "filename": "%s.jpg"}, r"outputs\[0\].filename: unexpected '%s'"),
        ({"source": "s3://key:secret@b/a"}, "source: expected no password"),
    ],
)
def test_errors_name_row_field_and_what_is_allowed(row, said):
    with pytest.raises(InvalidEntryError, match=f"^row 12: .*{said}") as caught:
        parse(row)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (job({}, destination=None), "destination: expected in the row or in the job"),
        (job(), "outputs: expected in the row or in the job"),
    ],
)
def test_what_neither_row_nor_job_gives_is_named(made, said):
    with pytest.raises(InvalidEntryError, match=f"row 12: {said}"):
        parse({"source": "/a"}, made)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
columns = st.sampled_from(["source", "id", "width", "count", "position", "outputs", "filename"])


@given(st.dictionaries(columns | st.text(), values))
def test_any_row_is_an_entry_or_an_explained_error(row):
    try:
        made = parse(row).source
    except InvalidEntryError as error:
        made = str(error)
    assert made == row.get("source") or made.startswith("row 12: ")


@given(st.integers(1, 65_535), st.integers(1, 100))
def test_csv_and_json_rows_mean_the_same(width, quality):
    typed = {"source": "/a", "width": width, "quality": quality}
    assert parse({name: str(value) for name, value in typed.items()}) == parse(typed)


BOARD = {"kind": "storyboard", "interval": 10.0, "width": 160}


def test_flat_columns_override_the_outputs_that_have_them():
    mixed = job({"width": 320}, BOARD)
    thumbnail, board = parse({"source": "/a", "width": 80}, mixed).outputs
    assert (thumbnail.width, board.width, board.interval) == (80, 80, 10)
    thumbnail, board = parse({"source": "/a", "interval": 5}, mixed).outputs
    assert (thumbnail, board.interval) == (mixed.outputs[0], 5)
    thumbnail, board = parse({"source": "/a", "count": 7}, mixed).outputs
    assert (thumbnail.count, board.count, board.interval) == (7, 7, None)


def test_a_kind_says_which_outputs_the_columns_are_for():
    mixed = job({"width": 320}, BOARD)
    thumbnail, board = parse({"source": "/a", "kind": "storyboard", "width": 80}, mixed).outputs
    assert (thumbnail.width, board.width) == (320, 80)
    thumbnail, board = parse({"source": "/a", "kind": "thumbnail", "count": 3}, mixed).outputs
    assert (thumbnail.count, board.count) == (3, None)


def test_a_kind_that_the_job_has_not_is_one_output_more():
    row = {"source": "/a", "kind": "storyboard", "interval": 2, "sheets": True, "columns": 5}
    *thumbnails, board = parse(row).outputs
    assert tuple(thumbnails) == JOB.outputs
    assert (board.kind, board.interval, board.columns) == ("storyboard", 2, 5)
    (alone,) = parse(row, job()).outputs
    assert alone == board


def test_csv_can_ask_for_a_storyboard():
    row = {"source": "/a", "kind": "storyboard", "interval": "2.5", "sheets": "true"}
    row |= {"columns": "5", "sheet_pixels": "2048", "position": "", "webvtt": "false"}
    (board,) = parse(row, job()).outputs
    found = (board.interval, board.sheets, board.columns, board.sheet_pixels, board.webvtt)
    assert found == (2.5, True, 5, 2048, False)


@pytest.mark.parametrize(
    ("row", "outputs", "said"),
    [
        ({"kind": "film"}, (), "kind: expected 'thumbnail', 'storyboard' or 'clip', received"),
        ({"interval": 5}, (), "interval: no output here has it; allowed: width, .*, count"),
        ({"kind": "storyboard", "position": 5}, (BOARD,), "position: no output here has it; "),
        ({"kind": "storyboard"}, (), "expected interval or count, received none"),
        ({"kind": "storyboard", "count": 0}, (), "count: expected at least 1, received 0"),
        ({"outputs": [BOARD], "kind": "clip"}, (), "expected outputs or kind; received both"),
        ({"outputs": [BOARD | {"colour": 1}]}, (), r"outputs\[0\].colour: unknown; .*, interval"),
        ({"vtt": "{stem}.vtt"}, (BOARD,), r"outputs\[0\].vtt: expected \{id\}, \{row\} or"),
    ],
)
def test_errors_about_kinds(row, outputs, said):
    with pytest.raises(InvalidEntryError, match=f"^row 12: {said}"):
        parse({"source": "/a"} | row, job(*outputs))
