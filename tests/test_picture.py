"""Finished pictures: they have the planned size, keep their colours and lie on their ground."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels
from farm.engines.frame import FrameBatch
from farm.engines.profile import apply_profile
from farm.geometry import Fit, Size, fit_geometry
from farm.media import ColorTags, Matrix, MediaInfo, MediaKind, Siting
from farm.picture import finish, wish_for
from farm.plan import Plan, make_plans
from farm.samples.profile import WIDE, encode_icc
from farm.settings import Limits
from farm.spec import Entry, ThumbnailSpec
from kernels.filter import taps


def batch(planes, full_size, **tags) -> FrameBatch:
    count = len(planes[0])
    return FrameBatch(
        planes, ColorTags(**tags), full_size, tuple((n,) for n in range(count)), (0.0,) * count
    )


def flat(color, size: Size, count=1) -> torch.Tensor:
    pixels = torch.tensor(color, dtype=torch.uint8)
    return pixels.expand(count, size.height, size.width, len(color)).contiguous()


def finished(frames, spec, *, orientation=1, picks=(0,)):
    geometry = fit_geometry(
        frames.full_size,
        orientation=orientation,
        pixel_aspect=1.0,
        fit=spec.fit,
        width=spec.width,
        height=spec.height,
    )
    return geometry, finish(frames, picks, geometry=geometry, spec=spec)


sides = st.integers(1, 60)


@settings(max_examples=60)
@given(sides, sides, sides, sides, st.sampled_from(Fit), st.integers(1, 8), st.booleans())
def test_a_flat_colour_stays_and_the_canvas_is_met(w, h, width, height, fit, orientation, is_yuv):
    size = Size(w, h)
    if is_yuv:
        half = (1, -(-h // 2), -(-w // 2))
        planes = (torch.full((1, h, w), 150, dtype=torch.uint8),) + (
            torch.full(half, 128, dtype=torch.uint8),
        ) * 2
        frames, color = batch(planes, size, matrix=Matrix.BT601), (150, 150, 150)
    else:
        color = (150, 90, 30)
        frames = batch((flat(color, size),), size)
    spec = ThumbnailSpec(width=width, height=height, fit=fit)
    geometry, pictures = finished(frames, spec, orientation=orientation)
    canvas, (left, top) = geometry.canvas, geometry.offset
    assert pictures.shape == (1, canvas.height, canvas.width, 3)
    inside = pictures[0, top : top + geometry.size.height, left : left + geometry.size.width]
    assert (inside.to(torch.int16) - torch.tensor(color)).abs().max() <= 1
    assert pictures.sum() == inside.sum()


def plan_of(size: Size, output: dict[str, object], orientation: int) -> Plan:
    entry = Entry.model_validate({"source": "s", "destination": "d", "outputs": [output]})
    info = MediaInfo(MediaKind.IMAGE, "jpeg", "jpeg", size, orientation)
    (plan,) = make_plans(entry, 0, info, limits=Limits())
    return plan


def seen_by(span, filter) -> tuple[int, int]:
    """The first and the last sample that a resize depends on."""
    found = taps(span, filter)
    numbers = found.first[:, None] + torch.arange(found.weights.shape[1])
    numbers = numbers[found.weights != 0]
    return int(numbers.min()), int(numbers.max())


@settings(max_examples=150)
@given(
    st.integers(1, 3000),
    st.integers(1, 300),
    st.integers(1, 200),
    st.integers(1, 200),
    st.sampled_from(Fit),
    st.integers(1, 8),
    st.sampled_from((1, 2, 4, 8)),
    st.sampled_from(Siting),
)
def test_no_filter_looks_beyond_the_wished_region(w, h, width, height, fit, code, shrink, siting):
    plan = plan_of(Size(w, h), {"width": width, "height": height, "fit": fit}, code)
    wish = wish_for([plan], Size(w, h))
    rows, columns = -(-h // shrink), -(-w // shrink)
    if columns < wish.at_least.width or rows < wish.at_least.height:
        return
    geometry = plan.geometry
    box = geometry.box.scaled(1 / shrink, 1 / shrink)
    resize = kernels.Resize(box, *reversed(geometry.size), orientation=code)
    color = kernels.Color("bt709", full_range=False, siting=siting, bits=8)
    luma, halved = torch.Size((rows, columns)), torch.Size((-(-rows // 2), -(-columns // 2)))
    for plane, length in ((luma, shrink), (halved, 2 * shrink)):
        for axis, span in enumerate(resize.spans(plane, luma=luma, color=color)):
            first, last = seen_by(span, resize.filter)
            assert length * first >= wish.region[1 - axis] - 1e-6
            assert min((h, w)[axis], length * (last + 1)) <= wish.region[3 - axis] + 1e-6


def test_picks_choose_and_order_the_pictures():
    size = Size(4, 4)
    pixels = torch.cat([flat((value,) * 3, size) for value in (10, 20, 30)])
    spec = ThumbnailSpec(width=2)
    _, pictures = finished(batch((pixels,), size), spec, picks=(2, 0))
    assert pictures[:, 0, 0, 0].tolist() == [30, 10]


@pytest.mark.parametrize("shrink", [1, 2, 4])
def test_what_a_codec_shrank_stays_in_place(shrink):
    # A ramp of 4 per pixel, which no even factor divides: its last sample reaches beyond it.
    full = Size(61, 5)
    columns, rows = -(-full.width // shrink), -(-full.height // shrink)
    ramp = (4 * (shrink * torch.arange(columns) + (shrink - 1) / 2)).to(torch.uint8)
    pixels = ramp[None, None, :, None].expand(1, rows, columns, 3).contiguous()
    _, pictures = finished(batch((pixels,), full), ThumbnailSpec(width=13, height=1, fit=Fit.SCALE))
    expected = 4 * ((torch.arange(13) + 0.5) * full.width / 13 - 0.5)
    inside = slice(3, -3)  # where the filter meets no edge
    assert (pictures[0, 0, inside, 0] - expected[inside]).abs().max() <= 1


@pytest.mark.parametrize(
    ("shrunk", "column"), [(Size(100, 10), slice(45, 55)), (Size(20, 2), slice(9, 11))]
)
def test_the_box_shrinks_with_the_planes(shrunk, column):
    pixels = flat((0, 0, 0), shrunk)
    pixels[:, :, column] = 255
    # One output pixel per stored one, so that no filter reaches beyond the box.
    spec = ThumbnailSpec(width=shrunk.height, height=shrunk.height, fit=Fit.CROP)
    _, pictures = finished(batch((pixels,), Size(200, 20)), spec)
    assert pictures.min() == 255


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"format": "jpg"}, (255, 255, 255)),
        ({"format": "jpg", "background": "#102030"}, (16, 32, 48)),
        ({"format": "webp", "background": "#102030"}, (16, 32, 48)),
        ({"format": "png"}, (0, 0, 0, 0)),
    ],
)
def test_what_lies_under_transparency(output, expected):
    size = Size(4, 4)
    frames = batch((flat((9, 9, 9, 0), size),), size)
    _, pictures = finished(frames, ThumbnailSpec.model_validate({"width": 2} | output))
    assert tuple(pictures[0, 0, 0].tolist()) == expected


@pytest.mark.parametrize(
    ("output", "channels", "expected"),
    [
        ({"format": "jpg"}, 3, (0, 0, 0)),
        ({"format": "jpg", "background": "#102030"}, 3, (16, 32, 48)),
        ({"format": "png"}, 4, (0, 0, 0, 255)),
        ({"format": "png", "background": "#102030"}, 4, (16, 32, 48)),
    ],
)
def test_what_lies_around_a_padded_picture(output, channels, expected):
    size = Size(4, 2)
    frames = batch((flat((200, 200, 200, 255)[:channels], size),), size)
    asked = {"width": 8, "height": 8, "fit": "pad"} | output
    _, pictures = finished(frames, ThumbnailSpec.model_validate(asked))
    assert tuple(pictures[0, 0, 0].tolist()) == expected
    assert pictures[0, 4, 4, :3].tolist() == [200, 200, 200]


WIDE_ICC = encode_icc(WIDE)


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("alpha", [(), (255,), (77,), (0,)])
def test_a_flat_colour_is_read_by_its_profile_inside_the_canvas_only(fit, alpha):
    size = Size(40, 30)
    stored = flat((200, 90, 30, *alpha), size)
    asked = {"width": 20, "height": 20, "fit": fit, "format": "png"}
    spec = ThumbnailSpec.model_validate(asked)
    _, made = finished(replace(batch((stored,), size), profile=WIDE_ICC), spec)
    _, wanted = finished(batch((apply_profile(stored, WIDE_ICC),), size), spec)
    assert torch.equal(made, wanted)
    _, unread = finished(batch((stored,), size), spec)
    assert torch.equal(made, unread) == (alpha == (0,))


def test_what_lies_under_transparency_is_not_read_by_the_profile():
    size = Size(4, 4)
    frames = replace(batch((flat((9, 9, 9, 0), size),), size), profile=WIDE_ICC)
    _, pictures = finished(frames, ThumbnailSpec(width=2, background="#c85a1e"))
    assert tuple(pictures[0, 0, 0].tolist()) == (200, 90, 30)


@pytest.mark.parametrize("channels", [3, 4])
def test_read_by_the_profile_after_the_resize_or_before_is_next_to_the_same(channels):
    # Away from the edge of sRGB, at which colours are clipped and its curve is steep.
    size = Size(240, 180)
    across = torch.linspace(110, 160, size.width).expand(size.height, -1)
    down = torch.linspace(160, 110, size.height)[:, None].expand(-1, size.width)
    alpha = torch.linspace(255, 20, size.width).expand(size.height, -1)
    ramps = (across, down, (across + down) / 2, alpha)[:channels]
    stored = torch.stack(ramps, dim=2)[None].to(torch.uint8)
    spec = ThumbnailSpec(width=60, format="png")
    _, made = finished(replace(batch((stored,), size), profile=WIDE_ICC), spec)
    _, wanted = finished(batch((apply_profile(stored, WIDE_ICC),), size), spec)
    off = (made.int() - wanted.int()).abs()
    assert off.max() <= 2
    assert off.float().mean() <= 0.25


class TestSurfaces:
    """Y beside UV, as video engines leave it, gives the pictures of the three planes."""

    SIZE = Size(46, 34)

    def frames(self, **tags) -> tuple[FrameBatch, FrameBatch]:
        generator = torch.Generator().manual_seed(3)
        y, u, v = (
            torch.randint(0, 1 << tags.get("bits", 8), (3, h, w), generator=generator)
            for h, w in ((34, 46), (17, 23), (17, 23))
        )
        kind = torch.uint8 if tags.get("bits", 8) == 8 else torch.int16
        planar = batch(tuple(plane.to(kind) for plane in (y, u, v)), self.SIZE, **tags)
        surface = batch((y.to(kind), torch.stack([u, v], dim=-1).to(kind)), self.SIZE, **tags)
        return planar, surface

    @pytest.mark.parametrize("picks", [(0,), (0, 2), (0, 1, 2)])
    @pytest.mark.parametrize("orientation", [1, 6])
    def test_as_by_planes(self, picks, orientation):
        spec = ThumbnailSpec(width=20, height=15, fit=Fit.CROP)
        planar, surface = self.frames(matrix=Matrix.BT709)
        _, wanted = finished(planar, spec, orientation=orientation, picks=picks)
        _, made = finished(surface, spec, orientation=orientation, picks=picks)
        assert torch.equal(made, wanted)

    def test_samples_in_the_high_bits(self):
        spec = ThumbnailSpec(width=20)
        planar, surface = self.frames(bits=10, matrix=Matrix.BT2020)
        high = tuple((plane.to(torch.int32) << 6).to(torch.uint16) for plane in surface.planes)
        _, wanted = finished(planar, spec)
        _, made = finished(replace(surface, planes=high, shift=6), spec)
        assert torch.equal(made, wanted)
