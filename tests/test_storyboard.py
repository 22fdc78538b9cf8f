"""Layouts and WebVTT files: no tile is lost, lies over another one or has the wrong time."""

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import LimitError
from farm.geometry import Size
from farm.media import MediaInfo, MediaKind
from farm.sampling import Span, make_spans
from farm.settings import Limits
from farm.spec import StoryboardSpec
from farm.storyboard import Cue, Layout, Place, make_layout, webvtt

_CUE = re.compile(r"(\d\d+):(\d\d):(\d\d)\.(\d{3}) --> (\d\d+):(\d\d):(\d\d)\.(\d{3})\n(\S+)")


def spec(**fields: Any) -> StoryboardSpec:
    return StoryboardSpec.model_validate(
        {"kind": "storyboard", "count": 1, "sheets": True} | fields
    )


def layout(
    tile: tuple[int, int], count: int, *, limits: Limits = Limits(), **fields: Any
) -> Layout:
    return make_layout(spec(**fields), Size(*tile), count, limits=limits)


def read_vtt(text: str) -> list[tuple[int, int, str]]:
    """The cues of a file as a strict reader sees them: start and end in milliseconds, address."""
    header, *blocks = text.removesuffix("\n").split("\n\n")
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        match = _CUE.fullmatch(block)
        assert match, block
        numbers = [int(each) for each in match.groups()[:8]]
        ends = [
            ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds
            for hours, minutes, seconds, milliseconds in (numbers[:4], numbers[4:])
        ]
        assert all(each < 60 for each in (numbers[1], numbers[2], numbers[5], numbers[6]))
        cues.append((ends[0], ends[1], match[9]))
    return cues


@pytest.mark.parametrize(
    ("tile", "count", "fields", "expected"),
    [
        ((160, 90), 16, {"columns": 5}, (5, 45, [(800, 360)])),
        ((160, 90), 3, {}, (3, 45, [(480, 90)])),
        ((160, 90), 101, {}, (10, 45, [(1600, 990)])),
        ((160, 90), 7, {"sheet_pixels": 330}, (2, 3, [(320, 270), (320, 90)])),
        ((1000, 10), 9, {"columns": 9}, (4, 409, [(4000, 30)])),
    ],
)
def test_tiles_are_laid_row_by_row(
    tile: Any, count: int, fields: dict[str, Any], expected: Any
) -> None:
    made = layout(tile, count, **fields)
    sizes = [made.size(sheet) for sheet in range(made.sheets)]
    assert (made.columns, made.rows, sizes) == expected


def test_places_go_from_left_to_right_and_down_and_on() -> None:
    made = layout((10, 20), 6, columns=2, sheet_pixels=40)
    places = [(0, 0, 0), (0, 10, 0), (0, 0, 20), (0, 10, 20), (1, 0, 0), (1, 10, 0)]
    assert [made.place(tile) for tile in range(6)] == places


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.integers(1, 500),
    st.none() | st.integers(1, 60),
    st.integers(300, 2000),
    st.integers(90_000, 1_000_000),
)
def test_all_tiles_lie_on_their_sheets_and_none_on_another(
    tile: tuple[int, int], count: int, columns: int | None, side: int, pixels: int
) -> None:
    limits = Limits(output_pixels=pixels)
    made = layout(tile, count, columns=columns, sheet_pixels=side, limits=limits)
    seen = set()
    for number in range(count):
        place = made.place(number)
        width, height = made.size(place.sheet)
        assert 0 <= place.left <= width - tile[0]
        assert 0 <= place.top <= height - tile[1]
        # All corners are on one grid, so tiles are apart if their corners are.
        assert (place.left % tile[0], place.top % tile[1]) == (0, 0)
        assert number in made.tiles(place.sheet)
        seen.add(place)
    assert len(seen) == count
    assert {place.sheet for place in seen} == set(range(made.sheets))
    for sheet in range(made.sheets):
        width, height = made.size(sheet)
        assert max(width, height) <= side
        assert width * height <= pixels
        # No row is empty.
        rows = {place.top for place in seen if place.sheet == sheet}
        assert len(rows) * tile[1] == height


@pytest.mark.parametrize(
    ("limits", "fields", "said"),
    [
        (Limits(), {"sheet_pixels": 99}, "at most 99 pixels a side .* would have 100x50"),
        (Limits(output_side_pixels=80), {}, "at most 80 pixels a side"),
        (Limits(output_pixels=4999), {}, "4999 in all"),
    ],
)
def test_a_tile_that_fits_on_no_sheet_is_refused(
    limits: Limits, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(LimitError, match=said):
        layout((100, 50), 4, limits=limits, **fields)


def test_webp_sheets_keep_to_what_webp_can_hold() -> None:
    limits = Limits(output_side_pixels=60_000, output_pixels=10**10)
    fields = {"columns": 60_000, "sheet_pixels": 60_000}
    assert layout((1, 1), 50_000, limits=limits, format="webp", **fields).columns == 16_383
    assert layout((1, 1), 50_000, limits=limits, format="png", **fields).columns == 50_000


def test_webvtt_names_tiles_and_times() -> None:
    cues = [
        Cue(Span(0.0, 3599.9996), "a/b c%1.jpg", Place(0, 320, 90), Size(160, 90)),
        Cue(Span(3599.9996, 360_001.25), "x/é#?.jpg"),
        Cue(Span(360_001.25, 360_001.2501), "never.jpg"),
    ]
    assert webvtt(cues, key="a/board.vtt") == (
        "WEBVTT\n"
        "\n"
        "00:00:00.000 --> 01:00:00.000\n"
        "b%20c%251.jpg#xywh=320,90,160,90\n"
        "\n"
        "01:00:00.000 --> 100:00:01.250\n"
        "../x/%C3%A9%23%3F.jpg\n"
    )


@pytest.mark.parametrize(
    ("key", "vtt", "address"),
    [
        ("a.jpg", "a.vtt", "a.jpg"),
        ("f/a.jpg", "a.vtt", "f/a.jpg"),
        ("a.jpg", "f/g/a.vtt", "../../a.jpg"),
        ("f/g/a.jpg", "f/h/a.vtt", "../g/a.jpg"),
        ("f/~a.jpg", "f/a.vtt", "~a.jpg"),
    ],
)
def test_addresses_are_relative_to_the_file(key: str, vtt: str, address: str) -> None:
    assert webvtt([Cue(Span(0, 1), key)], key=vtt).splitlines()[-1] == address


@given(
    st.floats(0.001, 86_400),
    st.one_of(
        st.fixed_dictionaries({"interval": st.floats(0.001, 100_000), "count": st.none()}),
        st.fixed_dictionaries({"count": st.integers(1, 1000)}),
    ),
    st.floats(0, 100),
)
def test_cues_follow_each_other_from_the_start_to_the_end(
    duration: float, fields: dict[str, Any], start: float
) -> None:
    if fields.get("interval") and fields["interval"] < min(86_400, duration / 1000):
        fields["interval"] = duration / 1000
    if (fields.get("interval") or 0) > 86_400:
        fields["interval"] = 86_400
    info = MediaInfo(
        *(MediaKind.VIDEO, "mp4", "h264", Size(16, 16)),
        start_seconds=start,
        duration_seconds=duration,
    )
    targets, spans, warnings = make_spans(spec(**fields), info)
    assert len(targets) == len(spans)
    assert not warnings
    assert (spans[0].start_seconds, spans[-1].end_seconds) == (0.0, duration)
    for one, other in pairwise(spans):
        assert one.start_seconds < one.end_seconds == other.start_seconds
    for target, span in zip(targets, spans, strict=True):
        seconds = target.seconds - start
        assert span.start_seconds - 1e-6 <= seconds <= span.end_seconds + 1e-6
    cues = read_vtt(webvtt([Cue(span, "a.jpg") for span in spans], key="a.vtt"))
    assert (cues[0][0], cues[-1][1]) == (0, round(duration * 1000))
    assert all(first < last for first, last, _ in cues)
    assert all(one[1] == other[0] for one, other in pairwise(cues))
