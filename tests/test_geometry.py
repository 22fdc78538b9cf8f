"""Geometry: examples of every fit, and what holds for all of them."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.geometry import Box, Fit, Geometry, Size, fit_geometry

sides = st.integers(1, 20_000)
asked_sides = st.none() | st.integers(1, 4_000)
orientations = st.integers(1, 8)
aspects = st.floats(0.25, 4.0)


def fitted(source, fit, width=None, height=None, *, orientation=1, pixel_aspect=1.0) -> Geometry:
    return fit_geometry(
        Size(*source),
        orientation=orientation,
        pixel_aspect=pixel_aspect,
        fit=fit,
        width=width,
        height=height,
    )


@st.composite
def asks(draw, fits=tuple(Fit)):
    """Arguments of `fit_geometry` that it accepts."""
    fit = draw(st.sampled_from(fits))
    both = fit in (Fit.CROP, Fit.PAD)
    return {
        "source": (draw(sides), draw(sides)),
        "fit": fit,
        "width": draw(st.integers(1, 4_000) if both else asked_sides),
        "height": draw(st.integers(1, 4_000) if both else asked_sides),
        "orientation": draw(orientations),
        "pixel_aspect": draw(aspects),
    }


def shown_sides(ask) -> tuple[float, float]:
    width, height = ask["source"][0] * ask["pixel_aspect"], float(ask["source"][1])
    return (height, width) if ask["orientation"] >= 5 else (width, height)


@pytest.mark.parametrize(
    ("source", "fit", "width", "height", "size"),
    [
        ((1920, 1080), Fit.MAX, 320, 320, (320, 180)),
        ((1920, 1080), Fit.MAX, 320, None, (320, 180)),
        ((1920, 1080), Fit.MAX, None, 180, (320, 180)),
        ((1920, 1080), Fit.MAX, None, None, (1920, 1080)),
        ((200, 100), Fit.MAX, 4000, 4000, (200, 100)),
        ((10_000, 1), Fit.MAX, 100, 100, (100, 1)),
        ((1920, 1080), Fit.SCALE, 100, 100, (100, 100)),
        ((192, 108), Fit.SCALE, 1920, None, (1920, 1080)),
        ((192, 108), Fit.SCALE, None, 54, (96, 54)),
        ((192, 108), Fit.SCALE, None, None, (192, 108)),
        ((1920, 1080), Fit.CROP, 100, 100, (100, 100)),
        ((1920, 1080), Fit.PAD, 320, 320, (320, 180)),
        ((32, 18), Fit.PAD, 320, 320, (320, 180)),
    ],
)
def test_size(source, fit, width, height, size):
    assert fitted(source, fit, width, height).size == size


def test_crop_cuts_the_middle():
    assert fitted((1920, 1080), Fit.CROP, 100, 100).box == Box(420, 0, 1500, 1080)
    assert fitted((1080, 1920), Fit.CROP, 100, 100).box == Box(0, 420, 1080, 1500)


def test_crop_of_a_turned_picture_counts_in_stored_pixels():
    # Stored 1920x1080, shown 1080x1920: a wide strip as shown is a narrow column as stored.
    geometry = fitted((1920, 1080), Fit.CROP, 200, 100, orientation=6)
    assert geometry.box == Box(690, 0, 1230, 1080)
    assert geometry.size == (200, 100)


def test_pad_centres_on_the_canvas():
    geometry = fitted((1920, 1080), Fit.PAD, 320, 320)
    assert geometry.canvas == (320, 320)
    assert geometry.offset == (0, 70)


def test_pixel_aspect_widens():
    # PAL 16:9: 720x576 with pixels of 64:45.
    assert fitted((720, 576), Fit.MAX, pixel_aspect=64 / 45).size == (1024, 576)
    assert fitted((720, 576), Fit.MAX, pixel_aspect=64 / 45, orientation=6).size == (576, 1024)
    assert fitted((720, 576), Fit.CROP, 576, 576, pixel_aspect=64 / 45).box == pytest.approx(
        Box(157.5, 0, 562.5, 576)
    )


@given(asks())
def test_box_lies_inside_the_source(ask):
    box = fitted(**ask).box
    assert 0 <= box.left < box.right <= ask["source"][0]
    assert 0 <= box.top < box.bottom <= ask["source"][1]


@given(asks())
def test_picture_lies_on_the_canvas(ask):
    geometry = fitted(**ask)
    left, top = geometry.offset
    assert min(geometry.size) >= 1
    assert min(left, top) >= 0
    assert left + geometry.size.width <= geometry.canvas.width
    assert top + geometry.size.height <= geometry.canvas.height
    assert geometry.canvas == geometry.size or ask["fit"] is Fit.PAD


@given(asks(fits=(Fit.MAX,)))
def test_max_never_enlarges_and_never_exceeds(ask):
    size = fitted(**ask).size
    for side, asked, shown in zip(
        size, (ask["width"], ask["height"]), shown_sides(ask), strict=True
    ):
        assert side <= max(1, round(shown))
        assert asked is None or side <= asked


@given(asks(fits=(Fit.MAX, Fit.PAD)))
def test_aspect_is_kept_within_rounding(ask):
    size, (width, height) = fitted(**ask).size, shown_sides(ask)
    scale = min(
        [a / s for a, s in zip((ask["width"], ask["height"]), (width, height), strict=True) if a]
        + ([1.0] if ask["fit"] is Fit.MAX else []),
    )
    assert abs(size.width - width * scale) <= 0.5 + 1e-6 or size.width == 1
    assert abs(size.height - height * scale) <= 0.5 + 1e-6 or size.height == 1


@given(asks(fits=(Fit.CROP, Fit.SCALE)))
def test_asked_sides_are_met_exactly(ask):
    size = fitted(**ask).canvas
    assert ask["width"] in (None, size.width)
    assert ask["height"] in (None, size.height)


@given(asks(fits=(Fit.CROP,)))
def test_crop_covers_with_one_scale_and_one_whole_side(ask):
    geometry = fitted(**ask)
    box, (width, height) = geometry.box, ask["source"]
    stored = geometry.size[::-1] if ask["orientation"] >= 5 else geometry.size
    across = stored[0] / (box.width * ask["pixel_aspect"])
    down = stored[1] / box.height
    assert math.isclose(across, down, rel_tol=1e-6)
    assert math.isclose(box.width, width) or math.isclose(box.height, height)
    assert math.isclose(box.left + box.right, width)
    assert math.isclose(box.top + box.bottom, height)


@given(asks(fits=(Fit.PAD,)))
def test_pad_has_the_asked_canvas_and_is_centred(ask):
    geometry = fitted(**ask)
    assert geometry.canvas == (ask["width"], ask["height"])
    for axis in (0, 1):
        after = geometry.canvas[axis] - geometry.size[axis] - geometry.offset[axis]
        assert after - geometry.offset[axis] in (0, 1)


@given(asks(), st.integers(1, 4), st.integers(5, 8))
def test_turning_is_the_same_as_swapping_what_is_asked(ask, upright, turned):
    ask["orientation"] = upright
    straight = fitted(**ask)
    ask |= {"orientation": turned, "width": ask["height"], "height": ask["width"]}
    sideways = fitted(**ask)
    assert sideways == replace(
        straight,
        box=sideways.box,
        size=Size(straight.size.height, straight.size.width),
        canvas=Size(straight.canvas.height, straight.canvas.width),
        offset=straight.offset[::-1],
        orientation=turned,
    )
    assert sideways.box == pytest.approx(straight.box)


@given(asks())
def test_needed_size_gives_every_output_pixel_a_stored_one(ask):
    geometry, source = fitted(**ask), Size(*ask["source"])
    needed = geometry.needed_size(source)
    box = geometry.box.scaled(needed.width / source.width, needed.height / source.height)
    stored = geometry.size[::-1] if ask["orientation"] >= 5 else geometry.size
    assert box.width >= stored[0] - 1e-6 or needed.width == source.width
    assert box.height >= stored[1] - 1e-6 or needed.height == source.height
    assert 1 <= needed.width <= source.width
    assert 1 <= needed.height <= source.height


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"source": (0, 10)}, "at least 1x1"),
        ({"orientation": 9}, "1 to 8"),
        ({"orientation": 0}, "1 to 8"),
        ({"pixel_aspect": 0.0}, "above 0"),
        ({"pixel_aspect": math.nan}, "above 0"),
        ({"width": 0}, "at least 1"),
        ({"fit": Fit.CROP, "height": None}, "fit 'crop'"),
        ({"fit": Fit.PAD, "width": None}, "fit 'pad'"),
    ],
)
def test_refuses_what_no_picture_has(change, named):
    ask = {"source": (10, 10), "fit": Fit.MAX, "width": 5, "height": 5} | change
    with pytest.raises(ValueError, match=named):
        fitted(**ask)
