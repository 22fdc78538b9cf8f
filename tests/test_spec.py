"""Positions, outputs and entries: what is understood, and how a fault is explained."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from farm.position import Position, PositionUnit
from farm.spec import Accuracy, Entry, ThumbnailSpec, explain

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
