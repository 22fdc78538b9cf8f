"""Positions, outputs and entries: what is understood, and how a fault is explained."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from farm.position import Position, PositionUnit
from farm.spec import Accuracy, ClipSpec, Entry, StoryboardSpec, ThumbnailSpec, explain

SECONDS, FRACTION, FRAME = PositionUnit.SECONDS, PositionUnit.FRACTION, PositionUnit.FRAME


@pytest.mark.parametrize(
    ("wire", "unit", "value", "from_end"),
    [
        (12.5, SECONDS, 12.5, False),
        (0, SECONDS, 0, False),
        (-5, SECONDS, 5, True),
        ("12.5", SECONDS, 12.5, False),
        ("01:02", SECONDS, 62, False),
        ("1:00:02.250", SECONDS, 3602.25, False),
        ("-00:00:05", SECONDS, 5, True),
        ("15%", FRACTION, 0.15, False),
        ("-10%", FRACTION, 0.1, True),
        ("1/4", FRACTION, 0.25, False),
        ("frame:120", FRAME, 120, False),
        ("frame:-1", FRAME, 1, True),
    ],
)
def test_positions(wire: Any, unit: PositionUnit, value: float, from_end: bool) -> None:
    position = Position.model_validate(wire)
    assert (position.unit, position.value, position.from_end) == (unit, value, from_end)
    assert Position.model_validate(position.model_dump(mode="json")) == position


@pytest.mark.parametrize(
    "wire",
    [
        "",
        "x",
        "nan",
        "inf",
        "-",
        "--1",
        "1/0",
        "3/2",
        "101%",
        "frame:1.5",
        "1:2:3:4",
        True,
        "1e999",
    ],
)
def test_no_positions(wire: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        ThumbnailSpec(position=wire)
    assert "expected" in explain(caught.value)
    assert "received" in explain(caught.value)


@given(st.text(max_size=20) | st.floats() | st.integers())
def test_any_position_is_read_or_refused(wire: Any) -> None:
    try:
        position = Position.model_validate(wire)
    except ValidationError:
        return
    again = Position.model_validate(position.model_dump(mode="json"))
    assert (again.unit, again.from_end) == (position.unit, position.from_end)
    assert again.value == pytest.approx(position.value, rel=1e-9)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"width": 0}, "width"),
        ({"width": 1.5}, "width"),
        ({"height": 70_000}, "height"),
        ({"fit": "stretch"}, "'max', 'crop', 'scale' or 'pad'"),
        ({"fit": "crop", "width": 9}, "expected width and height with fit 'crop'"),
        ({"format": "gif"}, "format"),
        ({"quality": 101}, "quality"),
        ({"background": "red"}, "background"),
        ({"position": 1, "count": 2}, "received both"),
        ({"count": 0}, "count"),
        ({"engine_version": "1"}, "expected engine"),
        ({"timeout": 0}, "timeout"),
        ({"widht": 9}, "widht"),
        ({"subsampling": "4:1:1"}, "expected '4:4:4', '4:2:2' or '4:2:0', received '4:1:1'"),
        ({"format": "webp", "method": 7}, "method: expected at most 6, received 7"),
        ({"format": "png", "compression": -1}, "compression: expected at least 0"),
        ({"format": "png", "progressive": True}, "progressive: only with format jpg"),
        ({"format": "webp", "subsampling": "4:4:4"}, "subsampling: only with format jpg"),
        ({"lossless": True}, "lossless: only with format webp, received with jpg"),
        ({"format": "png", "method": 0}, "method: only with format webp, received with png"),
        ({"format": "webp", "compression": 0}, "compression: only with format png"),
    ],
)
def test_outputs_say_what_is_wrong(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ThumbnailSpec(**fields)
    assert said in explain(caught.value)


@pytest.mark.parametrize("field", ["source", "destination"])
def test_passwords_have_no_place_and_are_not_repeated(field: str) -> None:
    fields = {"source": "/a", "destination": "/b", "outputs": ({},)}
    with pytest.raises(ValidationError) as caught:
        Entry(**(fields | {field: "s3://key:hunter2@bucket/x"}))
    assert "name a profile instead" in explain(caught.value)
    assert "hunter2" not in explain(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_slowest_output_has_its_time() -> None:
    outputs = ({"timeout": 5}, {"timeout": 50}, {"timeout": 20})
    assert Entry(source="/a", destination="/b", outputs=outputs).timeout_seconds == 50


def test_a_drift_is_for_keyframes_only() -> None:
    assert ThumbnailSpec(max_drift=0.5).max_drift == 0.5
    with pytest.raises(ValidationError) as caught:
        ThumbnailSpec(max_drift=0.5, accuracy=Accuracy.EXACT)
    assert "keyframe" in explain(caught.value)


def outputs_of(*outputs: Any) -> Any:
    return Entry(source="/a", destination="/b", outputs=outputs).outputs


def test_outputs_are_told_apart_by_their_kind() -> None:
    made = outputs_of({}, {"kind": "storyboard", "interval": 2}, {"kind": "clip", "start": "10%"})
    assert [type(each) for each in made] == [ThumbnailSpec, StoryboardSpec, ClipSpec]
    dumped = Entry(source="/a", destination="/b", outputs=made).model_dump(mode="json")
    assert Entry.model_validate(dumped).outputs == made


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"interval": 1, "count": 2}, "expected interval or count, received both"),
        ({}, "expected interval or count, received none of them"),
        ({"interval": 0}, "interval: expected at least 0.001"),
        ({"count": 2, "columns": 3}, "columns: only with sheets true"),
        ({"count": 2, "sheet_pixels": 99}, "sheet_pixels: only with sheets true"),
        ({"count": 2, "webvtt": False, "vtt": "a.vtt"}, "vtt: only with webvtt true"),
        ({"count": 2, "sheets": "perhaps"}, "sheets: expected true or false"),
        ({"count": 2, "fit": "crop"}, "expected width and height"),
        ({"count": 2, "compression": 3}, "compression: only with format png"),
    ],
)
def test_storyboards_say_what_is_wrong(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        outputs_of({"kind": "storyboard"} | fields)
    assert explain(caught.value).startswith("outputs[0]")
    assert said in explain(caught.value)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"kind": "film"}, "outputs[1].kind: expected 'thumbnail', 'storyboard' or 'clip', "),
        ({"kind": "clip", "count": 3}, "outputs[1].count: unknown; allowed: width, height, fit,"),
        ({"kind": "clip", "framerate": 0}, "outputs[1].framerate: expected more than 0"),
        ({"kind": "clip", "format": "webm"}, "outputs[1].format: expected 'mp4', received 'webm'"),
        ({"interval": 3}, "outputs[1].interval: unknown; allowed: width"),
        (7, "outputs[1]: expected keys and values, received 7"),
    ],
)
def test_faults_name_the_place_and_the_fields_of_its_kind(output: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        outputs_of({}, output)
    assert explain(caught.value).startswith(said)
