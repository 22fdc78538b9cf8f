"""The pictures of clips: even sides, upright, square pixels, true colours."""

import io
from fractions import Fraction

import av
import pytest
import torch

from farm.clip.canvas import Canvas
from farm.engines.frame import FrameBatch
from farm.geometry import Size
from farm.media import ColorTags, Matrix, Transfer
from farm.samples.card import PATCHES, read_patches
from farm.samples.yuv import Coding
from farm.settings import Limits
from farm.spec import ClipSpec
from tests.clip.clips import FAST, file_of, make, see

X265 = {"preset": "ultrafast", "crf": "22", "x265-params": "log-level=none"}


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({}, (332, 250)),
        ({"width": 201}, (200, 150)),
        ({"width": 161, "height": 161, "fit": "crop"}, (160, 160)),
        ({"width": 401, "height": 181, "fit": "pad"}, (400, 180)),
        ({"width": 501, "fit": "scale"}, (500, 376)),
        ({"width": 1, "height": 1, "fit": "scale"}, (2, 2)),
        ({"width": 1000}, (332, 250)),
    ],
)
def test_sides_are_even(asked, size):
    odd = file_of(size=Size(333, 251), coding=Coding("yuv444p"), frames=3, has_audio=False)
    clip = make(odd, **asked)
    seen = see(clip.data)
    assert (clip.width, clip.height) == size == seen.pictures[0].size
    if size == (400, 180):
        assert seen.pictures[0].crop((0, 0, 70, 180)).convert("L").getextrema()[1] < 20


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_video_becomes_upright(rotation):
    data = file_of(rotation=rotation, frames=6, size=Size(640, 360), has_audio=False)
    clip = make(data, height=320)
    # The number is found on an upright card only, and a player turns it no more.
    seen = see(clip.data)
    assert seen.numbers == [0, 1, 2, 3, 4, 5]
    assert seen.pictures[0].size == ((568, 320) if rotation == 180 else (180, 320))


def test_oblong_pixels_become_square():
    data = file_of(pixel_aspect=Fraction(4, 3), size=Size(480, 360), frames=3, has_audio=False)
    clip = make(data)
    with av.open(io.BytesIO(clip.data)) as container:
        assert container.streams.video[0].sample_aspect_ratio in (None, 1)
    assert (clip.width, clip.height) == (640, 360)


@pytest.mark.parametrize(
    ("coding", "codec", "tolerance", "note"),
    [
        (Coding(), "libx264", 4, None),
        (Coding(matrix=Matrix.BT601), "libx264", 4, None),
        (Coding(full_range=True), "libx264", 4, None),
        (Coding("yuv420p10le", Matrix.BT2020, transfer=Transfer.HLG), "libx265", 18, "hlg"),
        (Coding("yuv420p10le", Matrix.BT2020, transfer=Transfer.PQ), "libx265", 18, "pq"),
    ],
    ids=str,
)
def test_colours_are_true(coding, codec, tolerance, note):
    options, tag = (FAST, None) if codec == "libx264" else (X265, "hvc1")
    data = file_of(
        coding=coding, codec=codec, options=options, codec_tag=tag, frames=5, has_audio=False
    )
    clip = make(data, width=480, quality=95)
    found = read_patches(see(clip.data).pictures[-1])
    for name, color in PATCHES.items():
        assert found[name] == pytest.approx(color, abs=tolerance), name
    assert clip.notes.get("tone_mapped") == note


def white(width: int, height: int) -> FrameBatch:
    pixels = torch.full((1, height, width, 3), 255, dtype=torch.uint8)
    return FrameBatch((pixels,), ColorTags(), Size(width, height), ((0,),), (0.0,))


def lit(canvas: Canvas, batch: FrameBatch) -> tuple[Size, int, int]:
    """The size of a painted picture, and how much of its middle row and column is white."""
    luma = canvas.paint(batch).to_ndarray()[: canvas.size.height]
    middle_row, middle_column = luma[luma.shape[0] // 2], luma[:, luma.shape[1] // 2]
    size = Size(luma.shape[1], luma.shape[0])
    return size, int((middle_row > 200).sum()), int((middle_column > 200).sum())


@pytest.mark.parametrize(
    ("fit", "shown"), [("max", (50, 100)), ("pad", (50, 100)), ("crop", (200, 100))]
)
def test_frames_of_another_shape_fit_the_first_ones(fit, shown):
    spec = ClipSpec(kind="clip", width=200, height=100, fit=fit)
    canvas = Canvas(spec, white(400, 200), limits=Limits())
    assert lit(canvas, white(400, 200)) == ((200, 100), 200, 100)
    assert lit(canvas, white(300, 600)) == ((200, 100), *shown)
    assert lit(canvas, white(40, 20)) == ((200, 100), 200, 100)


def test_under_transparency_it_is_black():
    pixels = torch.full((1, 20, 40, 4), 255, dtype=torch.uint8)
    pixels[..., 3] = 0
    batch = FrameBatch((pixels,), ColorTags(), Size(40, 20), ((0,),), (0.0,))
    canvas = Canvas(ClipSpec(kind="clip"), batch, limits=Limits())
    assert canvas.paint(batch).to_ndarray()[:20].max() == 16
