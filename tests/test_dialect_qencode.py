"""Qencode's queries: what becomes of the published examples, and what is said of wrong ones."""

import json
from typing import Any

import pytest

from farm.clip import crf_of
from farm.dialects.qencode.output import clip_quality, file_name, needs_size, output_specs
from farm.dialects.qencode.query import Query, check_payload, parse_query
from farm.dialects.qencode.refusal import ErrorCode, QencodeError
from farm.geometry import Size
from farm.spec import Accuracy, ClipSpec, StoryboardSpec, ThumbnailSpec

SECRET = "s3cr3t"
HD = Size(1920, 1080)


def _query(*formats: dict[str, Any], **fields: Any) -> Query:
    asked = {"source": "https://example.org/a.mp4", "format": list(formats)} | fields
    return parse_query(json.dumps({"query": asked}))


def _spec(shown: Size | None = HD, *, upscale: int = 0, **fields: Any) -> Any:
    query = _query({"output": "thumbnail"} | fields, upscale=upscale)
    (spec,) = output_specs(query, [0], shown=shown)
    return spec


def _shape(spec: Any) -> tuple[int | None, int | None, str]:
    return spec.width, spec.height, spec.fit.value


# The example of the published page, word for word but for source and destinations.
EXAMPLE = """{"query": {
        "source": "https://example.org/static/test_mini.mp4",
        "format": [
             {
                    "output": "mp4",
                    "destination": {
                      "url":"s3://s3.example.org/qencode3/test/test_mini.mp4",
                      "key":"abcde12345",
                      "secret":"abcde12345",
                      "permissions": "public-read"
                    },
                     "framerate": "29.97",
                     "keyframe": "25",
                     "file_extension": "mp4",
                     "size": "360x240",
                     "start_time": "10",
                     "duration": "20"
                   },
                   {
                     "output": "thumbnail",
                     "time": "0.15",
                     "width": "320",
                     "height": "240",
                     "destination": {
                       "url":"s3://s3.example.org/qencode3/test/thumb/15_320x240.png",
                       "key":"abcde12345",
                       "secret":"abcde12345",
                       "permissions": "public-read"
                      },
                     "user_tag": "15_320x240"
                    },
                   {
                     "output": "thumbnail",
                     "time": "0.50",
                     "width": "320",
                     "height": "240",
                     "destination": {
                       "url":"s3://s3.example.org/qencode3/test/thumb/50_320x240.png",
                       "key":"abcde12345",
                       "secret":"abcde12345",
                       "permissions": "public-read"
                      },
                     "user_tag": "50_320x240"
                    }
                  ]
                }
              }
"""


def test_the_published_example() -> None:
    query = parse_query(EXAMPLE)
    assert query.warnings == []
    clip, early, middle = output_specs(query, [0, 1, 2], shown=HD)
    assert isinstance(clip, ClipSpec)
    assert _shape(clip) == (360, 240, "scale")
    assert (clip.framerate, clip.keyframe_interval, clip.duration) == (29.97, 25, 20.0)
    assert clip.start is not None
    assert clip.start.value == 10.0
    for spec, percent in ((early, "15%"), (middle, "50%")):
        assert isinstance(spec, ThumbnailSpec)
        assert _shape(spec) == (320, 240, "scale")
        assert spec.model_dump(mode="json")["position"] == percent
        assert spec.format == "png"
        assert spec.accuracy is Accuracy.EXACT
    assert [each.label for each in query.format] == [None, "15_320x240", "50_320x240"]
    assert query.format[0].destination[0].permissions == "public-read"
    assert "abcde12345" not in repr(query)


def test_the_published_example_of_one_output() -> None:
    (asked,) = _query(
        {
            "output": "thumbnail",
            "time": "0.15",
            "width": "920",
            "height": "500",
            "destination": "",
            "user_tag": "15_920x500",
        }
    ).format
    assert asked.destination == ()
    assert asked.sides == (920, 500)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"time": 0}, "0%"),
        ({"time": "1"}, "100%"),
        ({"start_time": "12.5"}, "12.5"),
        ({"frame_number": "7"}, "frame:7"),
        ({"frame_number": 0, "time": "0.5", "start_time": 3}, "frame:0"),
        ({"time": 0.5, "start_time": 3}, "50%"),
    ],
)
def test_moments(fields: dict[str, Any], expected: str | None) -> None:
    assert _spec(**fields).model_dump(mode="json")["position"] == expected


@pytest.mark.parametrize(
    ("fields", "shown", "expected"),
    [
        ({}, HD, (None, None, "max")),
        ({"width": 320}, HD, (320, None, "max")),
        ({"height": "90", "upscale": 1}, HD, (None, 90, "scale")),
        ({"size": "320x240"}, HD, (320, 240, "scale")),
        ({"size": "320x240", "width": 9}, HD, (320, 240, "scale")),
        ({"size": "2000x240"}, HD, (1920, 240, "scale")),
        ({"size": "2000x2000"}, HD, (1920, 1080, "scale")),
        ({"size": "2000x2000", "upscale": 1}, None, (2000, 2000, "scale")),
        ({"resolution": 480}, HD, (None, 480, "max")),
        ({"resolution": 480}, Size(1080, 1920), (480, None, "max")),
        ({"resolution": "480", "size": "10x10", "width": 7}, HD, (None, 480, "max")),
        ({"resolution": 4000, "upscale": "1"}, HD, (None, 4000, "scale")),
        ({"size": "400x400", "resize_mode": "crop"}, HD, (400, 400, "crop")),
        ({"size": "400x400", "resize_mod": "crop"}, HD, (400, 400, "crop")),
        # Filling this would enlarge the picture: it gets black bars.
        ({"size": "1000x1200", "resize_mode": "crop"}, HD, (1000, 1200, "pad")),
        ({"size": "3840x3840", "resize_mode": "crop"}, HD, (1920, 1920, "pad")),
        ({"size": "3840x3840", "resize_mode": "crop", "upscale": 1}, None, (3840, 3840, "crop")),
    ],
)
def test_sizes(fields: dict[str, Any], shown: Size | None, expected: tuple[Any, ...]) -> None:
    spec = _spec(shown, **fields)
    assert _shape(spec) == expected
    assert spec.background == ("#000000" if spec.fit == "pad" else None)


def test_when_the_source_must_be_looked_at() -> None:
    assert needs_size(_query({"output": "thumbnail", "resolution": 9}, upscale=1))
    assert needs_size(_query({"output": "thumbnail"}, {"output": "mp4", "size": "4x4"}))
    assert not needs_size(_query({"output": "thumbnail", "size": "4x4"}, upscale=1))
    assert not needs_size(_query({"output": "thumbnail", "width": 4}))


def test_storyboards() -> None:
    query = _query(
        {"output": "thumbnails", "interval": "10", "width": 160, "image_format": "jpeg"},
        {"output": "thumbnails", "interval": 2.5, "sprite": "1", "columns": "5", "quality": 30},
    )
    images, sheets = output_specs(query, [0, 1])
    assert isinstance(images, StoryboardSpec)
    assert (images.interval, images.sheets, images.max_drift) == (10.0, False, 5.0)
    assert isinstance(sheets, StoryboardSpec)
    assert (sheets.sheets, sheets.columns, sheets.format) == (True, 5, "png")
    assert file_name(query.format[0], 1) == "thumb_0001.jpg"
    assert file_name(query.format[0], 0) == "thumbnails.vtt"
    assert file_name(query.format[1], 12) == "sprite_0012.png"
    names = {(spec.filename, spec.vtt) for spec in (images, sheets)}
    assert names == {
        ("0/thumb_%04d.jpg", "0/thumbnails.vtt"),
        ("1/sprite_%04d.png", "1/thumbnails.vtt"),
    }
    (alone,) = output_specs(query, [1])
    assert alone == sheets


@pytest.mark.parametrize("crf", range(16, 51))
def test_quality_of_videos(crf: int) -> None:
    assert crf_of(clip_quality(crf)) == pytest.approx(crf, abs=0.2)


def test_quality() -> None:
    assert _spec(quality="35", image_format="jpg").quality == 35
    assert _spec(quality="35").quality == 80
    assert clip_quality(0) == 100
    assert clip_quality(51) == 1


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"output": "thumbnail", "time": 0, "destination": "", "size": None}, None),
        ({"output": "thumbnail", "rotate": 90, "interval": 3}, "rotate, interval"),
        ({"output": "thumbnail", "quality": 3}, "quality"),
        ({"output": "thumbnails", "interval": 3, "columns": 3, "time": 0.5}, "columns, time"),
        ({"output": "mp4", "video_codec": "libx264", "stream": [{}]}, "video_codec, stream"),
    ],
)
def test_ignored_parameters(fields: dict[str, Any], names: str | None) -> None:
    query = _query({"user_tag": "mine"} | fields)
    details = [(each["details"], each["tag"]) for each in query.warnings]
    assert details == ([(f"format[0]: {names}", "mine")] if names else [])


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", 19, "query: expected JSON"),
        ("{", 19, "query: expected JSON"),
        ("[" * 100_000, 19, "query: expected JSON"),
        ('{"query": {"source": NaN}}', 19, "query: expected JSON"),
        ('{"query": {"source": "\\ud800"}}', 19, "query: expected JSON"),
        ('{"query": {"source": "\\u0000"}}', 19, "query: expected JSON"),
        ('"' + "a" * 1_000_001 + '"', 19, "at most 1000000 characters"),
        ("[]", 19, "query field is required"),
        ('{"source": "https://a/b", "format": []}', 19, "query field is required"),
        ('{"query": "x"}', 19, "query field is required"),
        ('{"query": {}}', 14, "source is required"),
        ('{"query": {"source": "https://a/b"}}', 14, "format is required"),
        ('{"query": {"source": 7, "format": [{"output": "mp4"}]}}', 19, "source: expected a text"),
        ('{"query": {"source": "a", "format": {}}}', 19, "format: expected a list of outputs"),
        ('{"query": {"source": "a", "format": []}}', 19, "format: expected at least 1"),
        ('{"query": {"source": "a", "format": [1]}}', 19, r"format\[0\]: expected keys and"),
        ('{"query": {"stitch": ["a"], "format": [{"output": "mp4"}]}}', 19, "stitch: not supp"),
    ],
)
def test_queries_that_are_none(text: str, code: int, words: str) -> None:
    with pytest.raises(QencodeError, match=words) as caught:
        parse_query(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"output": None}, 14, "format[0].output is required"),
        ({"output": "hls"}, 19, "output: expected 'thumbnail', 'thumbnails' or 'mp4', rec"),
        ({"time": "1.5"}, 19, "format[0].time: expected at most 1"),
        ({"time": "soon"}, 19, "format[0].time: expected a number, received 'soon'"),
        ({"width": 0}, 19, "format[0].width: expected at least 1"),
        ({"width": "12.5"}, 19, "format[0].width: expected a whole number"),
        ({"size": "320"}, 19, "format[0].size: expected"),
        ({"size": "0x9"}, 19, "format[0].size: expected"),
        ({"resize_mode": "fit"}, 19, "resize_mode: expected 'scale' or 'crop'"),
        ({"image_format": "gif"}, 19, "image_format: expected 'png', 'jpg' or 'webp'"),
        ({"quality": 0, "image_format": "jpg"}, 19, "quality: expected 1 to 100"),
        ({"output": "mp4", "quality": 80}, 19, "quality: expected 0 to 51 with mp4"),
        ({"output": "thumbnails"}, 14, "format[0].interval is required"),
        ({"output": "thumbnails", "interval": -1}, 19, "interval: expected more than 0"),
        ({"sprite": "maybe"}, 19, "format[0].sprite: expected true or false"),
        ({"destination": {}}, 14, "format[0].destination[0].url is required"),
        ({"destination": [{"url": "s3://a/b", "key": 5}]}, 19, "key: expected a text"),
        ({"destination": ["s3://a/b"] * 11}, 19, "destination: expected at most 10"),
        ({"user_tag": "t" * 1001}, 19, "user_tag: expected at most 1000 characters"),
    ],
)
def test_wrong_fields(fields: dict[str, Any], code: int, words: str) -> None:
    with pytest.raises(QencodeError) as caught:
        _query({"output": "thumbnail"} | fields)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert (caught.value.field is not None) == (code == ErrorCode.FIELD_REQUIRED)


@pytest.mark.parametrize(
    "asked",
    [
        {"source": [f"s3://k:{SECRET}@a/b"], "format": [{"output": "mp4"}]},
        {"source": "s3://k:" + SECRET * 1000, "format": [{"output": "mp4"}]},
        {"source": "a", "format": f"s3://k:{SECRET}@a/b"},
        {"source": "a", "format": [f"s3://k:{SECRET}@a/b"]},
        {"source": "a", "format": [{"output": "mp4", "destination": [SECRET, [SECRET]]}]},
        {"source": "a", "format": [{"output": "mp4", "destination": {"url": [SECRET]}}]},
        {"source": "a", "format": [{"output": "x", "destination": {"secret": {"a": SECRET}}}]},
        {"source": "a", "callback_url": {"a": SECRET}, "format": [{"output": "mp4"}]},
    ],
)
def test_errors_show_no_secret(asked: dict[str, Any]) -> None:
    with pytest.raises(QencodeError) as caught:
        parse_query(json.dumps({"query": asked}))
    assert SECRET not in str(caught.value)


def test_a_query_shows_no_secret() -> None:
    place = {"url": f"s3://k:{SECRET}@h/b/k", "key": SECRET, "secret": SECRET}
    query = _query({"output": "mp4", "destination": place}, source=f"s3://k:{SECRET}@b/k")
    assert SECRET not in repr(query)


def test_payloads() -> None:
    assert check_payload("x" * 1000) == "x" * 1000
    with pytest.raises(QencodeError, match="at most 1000 characters") as caught:
        check_payload("x" * 1001)
    assert caught.value.code == ErrorCode.BAD_PAYLOAD
