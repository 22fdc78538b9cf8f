"""The sample archive end to end: the right moments, upright, in true colours."""

import io
import json
import re
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from farm.engines import Source
from farm.errors import FarmError
from farm.media import Matrix, Transfer
from farm.pipeline import Result, make_thumbnails
from farm.samples.broken import make_broken
from farm.samples.card import PATCHES, patch_boxes, read_frame_number, read_patches
from farm.samples.pictures import make_pictures
from farm.samples.videos import RECIPES
from farm.settings import Limits
from farm.spec import Entry, ThumbnailSpec

FRAMES = 5
KEYFRAMES = ThumbnailSpec(width=320, format="png", count=FRAMES, filename="key-%d.png")
EXACT = ThumbnailSpec(width=320, format="png", count=FRAMES, accuracy="exact", filename="at-%d.png")
# Half a level of rounding in the file, half in the thumbnail, and what resampling adds.
SOURCE_TOLERANCE = 2.0
# An anamorphic or a turned card is drawn by the recipes too; only its patches lie elsewhere.
STRAIGHT = [recipe for recipe in RECIPES if not recipe.rotation]
_WIDE = [recipe for recipe in RECIPES if recipe.coding.matrix is Matrix.BT2020]
_LUMA = {
    Matrix.BT601: (0.299, 0.114),
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.BT2020: (0.2627, 0.0593),
}
# ITU-R BT.2407-0, 2: linear R, G, B of BT.2020 as those of BT.709.
_TO_BT709 = np.array(
    ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
)


def thumbnails(path: Path, *outputs: ThumbnailSpec) -> Result:
    entry = Entry(source=str(path), id="sample", outputs=outputs, destination="/nowhere")
    with path.open("rb") as file:
        source = Source(file, path.stat().st_size, path.name)
        return make_thumbnails(entry, 1, source, limits=Limits())


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@cache
def expected(samples: Path) -> dict[str, Any]:
    return dict(json.loads((samples / "expected.json").read_text())["files"])


def frame_times(facts: dict[str, Any], start: float) -> list[float]:
    """When each frame of a sample is shown, from the first one on."""
    if facts["frame_seconds"]:
        return [start + seconds for seconds in facts["frame_seconds"]]
    return [start + number / facts["fps"] for number in range(facts["frame_count"])]


@pytest.mark.parametrize("name", [Path(f"{recipe.name}") for recipe in RECIPES], ids=str)
def test_videos_show_the_moment_that_was_asked(samples: Path, name: Path) -> None:
    facts = expected(samples)[f"videos/{name}"]
    made = thumbnails(samples / "videos" / name, KEYFRAMES, EXACT)
    start = made.info.start_seconds
    times = frame_times(facts, start)
    length = made.info.duration_seconds
    asked = (
        [start + (index + 0.5) / FRAMES * length for index in range(FRAMES)] if length else [start]
    )
    exact = [one for one in made.files if one.output == 1]
    assert len(exact) == len(asked)
    for thumbnail, moment in zip(exact, asked, strict=True):
        frame = max((n for n, time in enumerate(times) if time <= moment + 1e-4), default=0)
        assert read_frame_number(picture(thumbnail.data)) == facts["first_number"] + frame
        assert thumbnail.pts_seconds == pytest.approx(times[frame], abs=0.002)
    for thumbnail, moment in zip(made.files, asked, strict=False):
        shown = read_frame_number(picture(thumbnail.data)) - facts["first_number"]
        assert thumbnail.pts_seconds == pytest.approx(times[shown], abs=0.002)
        assert times[shown] <= max(moment, times[0]) + 1e-4


@pytest.mark.parametrize("recipe", STRAIGHT, ids=lambda recipe: recipe.name)
def test_colours_are_those_of_the_source(samples: Path, recipe: Any) -> None:
    """Against the planes of the same frame, turned into RGB here, by the tags of the recipe."""
    path = samples / "videos" / recipe.name
    made = thumbnails(path, EXACT)
    thumbnail = made.files[FRAMES // 2 if len(made.files) > 1 else 0]
    source = source_patches(path, thumbnail.pts_seconds or 0.0, recipe.coding)
    for name, found in read_patches(picture(thumbnail.data)).items():
        assert found == pytest.approx(source[name], abs=SOURCE_TOLERANCE), name


def source_patches(path: Path, seconds: float, coding: Any) -> dict[str, tuple[float, ...]]:
    """The mean colour of each patch in the frame at a pts, in float64."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frame = next(
            frame
            for frame in container.decode(stream)
            if abs(float(frame.time or 0) - seconds) < 2e-3
        )
    scale = 1 << (frame.format.components[0].bits - 8)
    offset, luma_span, chroma_span = (0, 255, 255) if coding.full_range else (16, 219, 224)
    red_weight, blue_weight = _LUMA[coding.matrix]
    found = {}
    for name, box in patch_boxes().items():
        y, u, v = (_mean(plane, box, scale) for plane in frame.planes)
        y, u, v = (y - offset) / luma_span, (u - 128) / chroma_span, (v - 128) / chroma_span
        red, blue = y + 2 * (1 - red_weight) * v, y + 2 * (1 - blue_weight) * u
        green = (y - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
        rgb = np.clip((red, green, blue), 0, 1)
        if coding.matrix is Matrix.BT2020:
            rgb = to_sdr(rgb, coding.transfer)
        found[name] = tuple(255 * rgb)
    return found


def to_sdr(rgb: Any, transfer: Transfer) -> Any:
    """R'G'B' of BT.2020 in 0 to 1 as SDR of BT.709; HDR is that of a display of 1000 cd/m2."""
    if transfer is Transfer.SDR:
        return np.clip(_TO_BT709 @ rgb**2.4, 0, 1) ** (1 / 2.4)
    nits = pq_to_nits(rgb) if transfer is Transfer.PQ else hlg_to_nits(rgb)
    nits = np.clip(_TO_BT709 @ nits, 0, None)
    brightest = nits.max()
    gain = roll_off(brightest) / brightest if brightest else 1.0
    return (nits * gain / 203) ** (1 / 2.4)


def pq_to_nits(coded: Any) -> Any:
    """SMPTE ST 2084, 5.2."""
    root = coded ** (32 / 2523)
    ratio = np.clip(root - 3424 / 4096, 0, None) / (2413 / 128 - 2392 / 128 * root)
    return 10_000 * ratio ** (16384 / 2610)


def hlg_to_nits(coded: Any) -> Any:
    """ITU-R BT.2100-2, table 5, at 1000 cd/m2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    return 1000 * (scene @ (0.2627, 0.6780, 0.0593)) ** 0.2 * scene


def roll_off(nits: float) -> float:
    """ITU-R BT.2390-11, 5.4.1, from 1000 to 203 cd/m2."""
    peak, white = 0.751827, 0.580689
    grid = np.linspace(0, peak, 200_001)
    coded = np.interp(nits, pq_to_nits(grid), grid) / peak
    most = white / peak
    knee = 1.5 * most - 0.5
    if coded < knee:
        return nits
    t = (coded - knee) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * most
    )
    return float(pq_to_nits(spline * peak))


def _mean(plane: Any, box: Any, scale: int) -> float:
    kind = np.uint8 if scale == 1 else np.uint16
    rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]
    top, bottom = round(box.top * plane.height), round(box.bottom * plane.height)
    left, right = round(box.left * plane.width), round(box.right * plane.width)
    return float(rows[top:bottom, left:right].mean()) / scale


@pytest.mark.parametrize("recipe", _WIDE, ids=lambda recipe: recipe.name)
def test_wide_colours_look_as_they_were_drawn(samples: Path, recipe: Any) -> None:
    made = thumbnails(samples / "videos" / recipe.name, EXACT)
    is_hdr = recipe.coding.transfer is not Transfer.SDR
    assert made.notes.get("tone_mapped") == (recipe.coding.transfer.value if is_hdr else None)
    assert made.warnings == ()
    for thumbnail in made.files:
        for name, found in read_patches(picture(thumbnail.data)).items():
            assert found == pytest.approx(PATCHES[name], abs=recipe.tolerance), name


@pytest.mark.parametrize("sample", [sample for sample, _ in make_pictures()], ids=lambda _: _.path)
def test_pictures_are_upright_and_true(samples: Path, sample: Any) -> None:
    made = thumbnails(samples / sample.path, ThumbnailSpec(width=320, height=320, format="png"))
    (thumbnail,) = made.files
    shown = Fraction(sample.shown_width, sample.shown_height)
    assert (made.info.shown_size) == (sample.shown_width, sample.shown_height)
    if max(sample.shown_width, sample.shown_height) <= 320:
        assert (thumbnail.width, thumbnail.height) == (sample.shown_width, sample.shown_height)
    else:
        assert max(thumbnail.width, thumbnail.height) == 320
        side = 320 / shown if shown > 1 else 320 * shown
        assert abs(min(thumbnail.width, thumbnail.height) - max(1, float(side))) <= 0.5
    if sample.first_number is not None:
        assert read_frame_number(picture(thumbnail.data)) == sample.first_number
    if sample.patches.value == "color":
        found = read_patches(picture(thumbnail.data))
        for name, color in PATCHES.items():
            assert found[name] == pytest.approx(color, abs=sample.patch_tolerance), name


@pytest.mark.parametrize("sample", [sample for sample, _ in make_broken()], ids=lambda _: _.path)
def test_broken_files_fail_with_their_code(samples: Path, sample: Any) -> None:
    if not sample.error:
        assert thumbnails(samples / sample.path, EXACT).files
        return
    with pytest.raises(FarmError, match=re.escape(Path(sample.path).name)) as caught:
        thumbnails(samples / sample.path, EXACT)
    assert caught.value.code == sample.error


def test_expects_something_of_every_file(samples: Path) -> None:
    files = {str(path.relative_to(samples)) for path in samples.glob("*/*") if path.is_file()}
    assert files == set(expected(samples))
