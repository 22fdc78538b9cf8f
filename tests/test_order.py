"""Storyboards of real videos: under each cue lies the frame that belongs to its time."""

import io
from collections.abc import Callable
from contextlib import nullcontext
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
import torch
from PIL import Image

from farm.engines import Source
from farm.engines.frame import FrameBatch
from farm.errors import InvalidEntryError, LimitError
from farm.geometry import Size
from farm.media import ColorTags, MediaInfo, MediaKind
from farm.order import Means, order_of
from farm.pipeline import Result, make_thumbnails
from farm.plan import Naming, Plan, make_plans
from farm.samples.card import read_frame_number
from farm.samples.clip import Recipe, make_clip
from farm.samples.yuv import Coding
from farm.settings import Limits
from farm.spec import Entry
from tests.test_storyboard import read_vtt

FPS = 25
BOARD = {"kind": "storyboard", "accuracy": "exact", "format": "png"}
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("even.mp4", "libx264", "two seconds, 3 keyframes", frames=50, gop=20, b_frames=2),
        Recipe("late.mp4", "libx264", "begins at 2 s", frames=50, start_seconds=2),
        Recipe("upright.mp4", "libx264", "a telephone's", frames=30, rotation=90),
        Recipe("uneven.mp4", "libx264", "VFR", frames=40, cadence=(40, 40, 120, 20)),
        Recipe("odd.webm", "libvpx-vp9", "odd sides", size=Size(333, 251), frames=30),
        Recipe(
            *("wide.ts", "mpeg2video", "oblong pixels"),
            size=Size(720, 576),
            frames=30,
            gop=12,
            coding=Coding(),
            pixel_aspect=Fraction(64, 45),
            bit_rate=6_000_000,
        ),
    )
}


@cache
def clip(name: str) -> bytes:
    return make_clip(RECIPES[name])


def make(data: bytes, *outputs: dict[str, Any], limits: Limits = Limits()) -> Result:
    entry = Entry.model_validate(
        {"source": "/in/clip.mp4", "id": "e", "outputs": outputs, "destination": "/out"}
    )
    source = Source(io.BytesIO(data), len(data), "clip.mp4")
    return make_thumbnails(entry, 1, source, limits=limits)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def tiles(result: Result, output: int = 0) -> list[tuple[float, float, Image.Image]]:
    """What a player shows: start and end of each cue in seconds, and the picture under it."""
    files = {file.key: file for file in result.files if file.output == output}
    (vtt,) = (file for file in files.values() if file.index == 0)
    folder = vtt.key.rpartition("/")[0]
    shown = []
    for start, end, address in read_vtt(vtt.data.decode()):
        name, _, box = address.partition("#xywh=")
        picture = opened(files[f"{folder}/{name}".lstrip("/")].data)
        if box:
            left, top, width, height = map(int, box.split(","))
            assert 0 <= left < left + width <= picture.width
            assert 0 <= top < top + height <= picture.height
            picture = picture.crop((left, top, left + width, top + height))
        shown.append((start / 1000, end / 1000, picture))
    return shown


def numbers(result: Result) -> list[int]:
    return [read_frame_number(picture) for _, _, picture in tiles(result)]


def frame_at(recipe: Recipe) -> Callable[[float], int]:
    """Which frame a player shows so many seconds after the first one."""
    cadence = recipe.cadence or (1000 // FPS,)
    times = [0]
    for number in range(recipe.frames - 1):
        times.append(times[-1] + cadence[number % len(cadence)])
    return lambda seconds: max(n for n, time in enumerate(times) if time <= seconds * 1000 + 0.1)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("is_sheet", [True, False], ids=["sheets", "images"])
def test_the_frame_of_its_time_lies_under_each_cue(name: str, is_sheet: bool) -> None:
    board = BOARD | {"width": 160, "interval": 0.31, "sheets": is_sheet}
    board |= {"columns": 2, "sheet_pixels": 420} if is_sheet else {}
    result = make(clip(name), board)
    length = result.info.duration_seconds
    shown = tiles(result)
    assert [start for start, _, _ in shown] == pytest.approx([i * 0.31 for i in range(len(shown))])
    assert len(shown) * 0.31 >= length > (len(shown) - 1) * 0.31
    assert shown[-1][1] == pytest.approx(length, abs=0.0006)
    expected = [frame_at(RECIPES[name])(start) for start, _, _ in shown]
    assert numbers(result) == expected
    assert len({picture.size for _, _, picture in shown}) == 1
    assert (shown[0][2].height > shown[0][2].width) == (name == "upright.mp4")


def test_a_count_takes_the_middles_of_equal_parts() -> None:
    shown = tiles(make(clip("late.mp4"), BOARD | {"width": 200, "count": 4}))
    assert [ends[:2] for ends in shown] == [(0, 0.5), (0.5, 1), (1, 1.5), (1.5, 2)]
    assert [read_frame_number(picture) for _, _, picture in shown] == [6, 18, 31, 43]


def test_sheets_are_numbered_and_the_last_one_is_cut_short() -> None:
    board = BOARD | {"width": 160, "count": 9, "sheets": True, "columns": 2, "sheet_pixels": 400}
    result = make(clip("even.mp4"), board)
    assert [(file.index, file.format, file.width, file.height) for file in result.files] == [
        (0, "vtt", 0, 0), (1, "png", 320, 360), (2, "png", 320, 90),
    ]  # fmt: skip
    assert [file.key.rpartition("~")[2] for file in result.files] == [
        "clip-w160-storyboard.vtt",
        "clip-w160-storyboard-0001.png",
        "clip-w160-storyboard-0002.png",
    ]
    assert [opened(file.data).size for file in result.files[1:]] == [(320, 360), (320, 90)]
    # Nothing lies beside the ninth tile.
    assert opened(result.files[2].data).crop((160, 0, 320, 90)).getextrema() == ((0, 0),) * 3
    assert all(file.pts_seconds is None for file in result.files)


def test_keyframes_are_reused_and_all_outputs_share_one_pass() -> None:
    board = {"kind": "storyboard", "count": 10, "width": 160, "format": "png"}
    result = make(clip("even.mp4"), board, board | {"sheets": True, "width": 128}, {"width": 64})
    images = [file for file in result.files if file.output == 0 and file.index]
    assert len(images) == 10
    assert len({file.data for file in images}) == 3
    assert [read_frame_number(picture) for _, _, picture in tiles(result, 1)] == (
        [0] * 4 + [20] * 4 + [40] * 2
    )
    assert result.notes["keyframes"] == 3
    assert result.files[-1].output == 2


def test_a_still_and_an_unknown_length_have_one_picture_for_all_times() -> None:
    picture = io.BytesIO()
    Image.new("RGBA", (40, 20), (255, 0, 0, 0)).save(picture, "PNG")
    board = {"kind": "storyboard", "interval": 1, "sheets": True, "format": "png"}
    result = make(picture.getvalue(), board)
    assert [(start, end) for start, end, _ in tiles(result)] == [(0, 86_400)]
    # Tiles are opaque.
    assert Image.open(io.BytesIO(result.files[1].data)).mode == "RGB"
    assert opened(result.files[1].data).getpixel((0, 0)) == (255, 255, 255)
    live = make(make_clip(_LIVE), board)
    assert [(start, end) for start, end, _ in tiles(live)] == [(0, 86_400)]
    assert "duration_unknown" in live.warnings


_LIVE = Recipe(
    *("live.webm", "libvpx", "no length"),
    frames=10,
    size=Size(320, 240),
    muxing={"live": "1", "cluster_time_limit": "1000"},
)


def test_no_webvtt_file_where_none_is_wanted() -> None:
    result = make(clip("even.mp4"), BOARD | {"count": 2, "width": 64, "webvtt": False})
    assert [file.index for file in result.files] == [1, 2]
    assert result.files[0].pts_seconds == pytest.approx(0.48)


@pytest.mark.parametrize(
    ("outputs", "error", "said"),
    [
        (
            [BOARD | {"count": 3, "sheets": True, "sheet_pixels": 700, "filename": "a.png"}],
            InvalidEntryError,
            r"outputs\[0\]\.filename: expected %d or \{index\}",
        ),
        (
            [BOARD | {"interval": 1, "filename": "a.png"}],
            InvalidEntryError,
            r"outputs\[0\]\.filename: expected %d or \{index\}",
        ),
        (
            [BOARD | {"count": 1, "sheets": True, "filename": "a%d.png"}, {"filename": "a1.png"}],
            InvalidEntryError,
            r"outputs\[1\] and outputs\[0\] have the same name|outputs\[0\] and outputs\[1\]",
        ),
        ([BOARD | {"interval": 0.001}], LimitError, r"at most 1000 pictures .* ask for 2000"),
        ([BOARD | {"count": 2, "sheets": True, "sheet_pixels": 639}], LimitError, "640x360"),
    ],
)
def test_what_cannot_be_is_refused(
    outputs: list[dict[str, Any]], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        make(clip("even.mp4"), *outputs)


def test_one_sheet_needs_no_number_and_the_webvtt_file_lies_beside() -> None:
    result = make(clip("even.mp4"), BOARD | {"count": 4, "sheets": True, "filename": "a/s.png"})
    assert [file.key for file in result.files] == ["a/s.vtt", "a/s.png"]
    assert len(tiles(result)) == 4


@pytest.mark.parametrize("is_sheet", [True, False])
def test_frames_of_another_size_are_fitted_onto_the_first_ones_canvas(is_sheet: bool) -> None:
    """As after a cut to portrait in a stream: all tiles keep one size, in any order of batches."""
    entry = Entry.model_validate(
        {
            "source": "/a.mp4",
            "destination": "/out",
            "outputs": [BOARD | {"count": 3, "width": 40, "sheets": is_sheet}],
        }
    )
    info = MediaInfo(MediaKind.VIDEO, "mp4", "h264", Size(80, 40), duration_seconds=3.0)
    (plan,) = make_plans(entry, 1, info, limits=Limits())
    assert isinstance(plan, Plan)
    order = order_of(plan, Means(Naming(entry, 1, Limits()), nullcontext, is_still=False))
    targets = [shot.target for shot in plan.shots]
    files = []
    for number, (height, width) in ((1, (40, 80)), (0, (40, 80)), (2, (80, 20))):
        picture = torch.full((1, height, width, 3), 50 + number, dtype=torch.uint8)
        batch = FrameBatch((picture,), ColorTags(), Size(width, height), ((0,),), (float(number),))
        target = targets[number]
        assert target is not None
        files += order.take(batch, [[target]])
    files += order.end()
    pictures = {file.index: opened(file.data) for file in files if file.index}
    if is_sheet:
        assert pictures[1].size == (120, 20)
        pictures = {i: pictures[1].crop((40 * i - 40, 0, 40 * i, 20)) for i in (1, 2, 3)}
    assert [pictures[index].size for index in (1, 2, 3)] == [(40, 20)] * 3
    middles = [pictures[index].getpixel((20, 10)) for index in (1, 2, 3)]
    assert middles == [(50,) * 3, (51,) * 3, (52,) * 3]
    assert pictures[3].getpixel((0, 0)) == (0, 0, 0)
