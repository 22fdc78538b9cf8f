import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torch import Tensor

from kernels import Filter, flatten_alpha, orient, resize_crop
from tests.kernels.pictures import BY_IMPLEMENTATION, assert_near, noise, whole

PILLOW = {
    Filter.TRIANGLE: Image.Resampling.BILINEAR,
    Filter.CATMULL_ROM: Image.Resampling.BICUBIC,
    Filter.LANCZOS3: Image.Resampling.LANCZOS,
}
# Stored width and height, box, shown width and height.
SHAPES = [
    ((53, 37), (0, 0, 53, 37), (19, 11)),
    ((53, 37), (2.3, 1.7, 50.1, 36), (19, 90)),
    ((53, 37), (2.25, 0, 50.5, 37), (120, 7)),
    ((53, 37), (0, 0, 53, 37), (120, 90)),
    ((7, 300), (0, 0, 7, 300), (3, 1)),
    ((300, 3), (17, 1, 280.5, 2), (1, 9)),
    ((1, 1), (0, 0, 1, 1), (7, 5)),
    ((50, 40), (3, 4, 43, 34), (40, 30)),
    ((500, 375), (0, 0, 500, 375), (320, 240)),
    ((640, 201), (99.9, 0.1, 540.2, 200.3), (160, 90)),
]
parametrize_implementation = pytest.mark.parametrize("implementation", BY_IMPLEMENTATION)


def by_pillow(picture: Tensor, box: tuple, size: tuple[int, int], filter: Filter) -> Tensor:
    resized = Image.fromarray(picture.numpy()).resize(size, PILLOW[filter], box=box)
    return torch.from_numpy(np.array(resized))[None]


@parametrize_implementation
@pytest.mark.parametrize("filter", Filter)
@pytest.mark.parametrize(("stored", "box", "shown"), SHAPES)
def test_equals_pillow(stored, box, shown, filter: Filter, implementation: str) -> None:
    # Pillow clamps between its two passes: values far from 0 and 255 keep that out of the picture.
    pictures = noise(1, stored[1], stored[0], 3, low=90, high=165)
    result = resize_crop(
        pictures,
        box=box,
        height=shown[1],
        width=shown[0],
        filter=filter,
        implementation=implementation,
    )
    assert_near(result, by_pillow(pictures[0], box, shown, filter))


def by_pillow_in_float(samples: Tensor, box: tuple, size: tuple[int, int]) -> Tensor:
    """Channels of [H, W, C] by Pillow's mode F: nothing is rounded or clamped."""
    images = [Image.fromarray(channel.to(torch.float32).numpy()) for channel in samples.unbind(-1)]
    resized = [image.resize(size, Image.Resampling.LANCZOS, box=box) for image in images]
    return torch.stack([torch.from_numpy(np.array(image)) for image in resized], dim=-1)[None]


@parametrize_implementation
@pytest.mark.parametrize(("stored", "box", "shown"), SHAPES)
def test_equals_pillow_with_alpha(stored, box, shown, implementation: str) -> None:
    pictures = noise(1, stored[1], stored[0], 4)
    result = resize_crop(
        pictures, box=box, height=shown[1], width=shown[0], implementation=implementation
    )
    alpha = pictures[0, ..., 3:].to(torch.float64)
    multiplied = torch.cat([pictures[0, ..., :3] * alpha / 255, alpha], dim=-1)
    expected = by_pillow_in_float(multiplied, box, shown)
    expected[..., :3] *= 255 / expected[..., 3:]
    expected = expected.add(0.5).clamp(0, 255).to(torch.uint8)
    visible = result[..., 3] > 0
    assert_near(result[..., 3], expected[..., 3])
    assert_near(result[visible], expected[visible])
    assert not result[~visible].any()


@parametrize_implementation
@pytest.mark.parametrize(("stored", "box", "shown"), SHAPES)
def test_equals_pillow_where_all_is_opaque(stored, box, shown, implementation: str) -> None:
    pictures = noise(1, stored[1], stored[0], 4, low=90, high=165)
    pictures[..., 3] = 255
    result = resize_crop(
        pictures, box=box, height=shown[1], width=shown[0], implementation=implementation
    )
    assert_near(result, by_pillow(pictures[0], box, shown, Filter.LANCZOS3))


@parametrize_implementation
@pytest.mark.parametrize(("stored", "box", "shown"), SHAPES)
def test_clamps_after_both_axes_only(stored, box, shown, implementation: str) -> None:
    pictures = noise(1, stored[1], stored[0], 3)
    result = resize_crop(
        pictures, box=box, height=shown[1], width=shown[0], implementation=implementation
    )
    expected = by_pillow_in_float(pictures[0], box, shown)
    assert_near(result, expected.add(0.5).clamp(0, 255).to(torch.uint8))


@st.composite
def resizes(draw: st.DrawFn) -> tuple[Tensor, dict]:
    width, height = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    edges = st.floats(0, 1, width=32)
    apart = st.tuples(edges, edges).filter(lambda pair: abs(pair[0] - pair[1]) > 1e-3)
    across, down = sorted(draw(apart)), sorted(draw(apart))
    count, channels, seed = draw(
        st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
    )
    arguments = {
        "box": (across[0] * width, down[0] * height, across[1] * width, down[1] * height),
        "height": draw(st.integers(1, 120)),
        "width": draw(st.integers(1, 120)),
        "filter": draw(st.sampled_from(Filter)),
        "orientation": draw(st.integers(1, 8)),
    }
    return noise(count, height, width, channels, seed=seed), arguments


@given(resizes())
@settings(deadline=None)
def test_equals_the_reference(case: tuple[Tensor, dict]) -> None:
    pictures, arguments = case
    result = resize_crop(pictures, **arguments)
    expected = resize_crop(pictures, **arguments, implementation="reference")
    assert result.shape == (
        pictures.shape[0],
        arguments["height"],
        arguments["width"],
        pictures.shape[3],
    )
    if pictures.shape[3] % 2:
        assert_near(result, expected)
        return
    # Colour is a quotient by alpha: where little is seen of it, compare what is seen.
    assert_near(result[..., -1], expected[..., -1])
    assert_near(*(flatten_alpha(p, color=(0, 0, 0)) for p in (result, expected)))


@given(resizes(), st.integers(0, 255))
@settings(deadline=None)
def test_a_flat_colour_stays(case: tuple[Tensor, dict], value: int) -> None:
    pictures, arguments = case
    pictures = torch.full_like(pictures, value)
    if pictures.shape[3] % 2 == 0:
        pictures[..., -1] = 255
    result = resize_crop(pictures, **arguments)
    assert torch.equal(result, pictures[0, 0, 0].expand(result.shape))


@parametrize_implementation
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_turns_the_result(orientation: int, implementation: str) -> None:
    pictures = noise(2, 30, 44, 3)
    box = (3.5, 2.0, 40.0, 29.25)
    upright = resize_crop(pictures, box=box, height=12, width=17)
    height, width = (17, 12) if orientation >= 5 else (12, 17)
    turned = resize_crop(
        pictures,
        box=box,
        height=height,
        width=width,
        orientation=orientation,
        implementation=implementation,
    )
    assert_near(turned, orient(upright, orientation))


@pytest.mark.parametrize("code", range(1, 9))
def test_orient_does_as_pillow(code: int) -> None:
    picture = noise(1, 5, 8, 3)
    image = Image.fromarray(picture[0].numpy())
    image.getexif()[0x0112] = code
    expected = np.array(ImageOps.exif_transpose(image))
    assert torch.equal(orient(picture, code)[0], torch.from_numpy(expected))


@parametrize_implementation
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_whole_picture_at_its_size_is_itself(channels: int, implementation: str) -> None:
    pictures = noise(2, 23, 41, channels)
    if channels % 2 == 0:
        pictures[..., -1].clamp_(min=1)
    result = resize_crop(
        pictures, box=whole(pictures), height=23, width=41, implementation=implementation
    )
    assert torch.equal(result, pictures)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_crop_at_its_size_is_a_slice(channels: int, orientation: int) -> None:
    pictures = noise(2, 23, 41, channels)
    expected = pictures[:, 3:20, 5:36]
    if channels % 2 == 0:
        pictures[:, ::2, :, -1] = 0
        expected = expected * (expected[..., -1:] > 0)
    height, width = (31, 17) if orientation >= 5 else (17, 31)
    result = resize_crop(
        pictures, box=(5, 3, 36, 20), height=height, width=width, orientation=orientation
    )
    assert torch.equal(result, orient(expected, orientation))


@parametrize_implementation
def test_hidden_colour_does_not_bleed(implementation: str) -> None:
    pictures = torch.tensor([[[[200, 10, 30, 255], [0, 255, 0, 0]]]], dtype=torch.uint8)
    pictures = pictures.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    result = resize_crop(
        pictures, box=(0, 0, 16, 8), height=1, width=9, implementation=implementation
    )[0, 0]
    seen = result[:, 3] > 0
    assert 4 <= int(seen.sum()) < 9
    assert torch.equal(result[seen][:, :3].unique(dim=0), torch.tensor([[200, 10, 30]]).byte())
    assert not result[~seen].any()


def test_each_picture_of_a_batch_is_its_own() -> None:
    pictures = noise(3, 20, 30, 3)
    arguments = {"box": (1.5, 0.0, 29.0, 20.0), "height": 7, "width": 9}
    together = resize_crop(pictures, **arguments)
    alone = torch.cat([resize_crop(picture[None], **arguments) for picture in pictures])
    assert torch.equal(together, alone)


def test_takes_views_of_other_memory_orders() -> None:
    planar = noise(2, 3, 20, 30)
    view = planar.permute(0, 2, 3, 1)
    arguments = {"box": (0.0, 0.0, 30.0, 20.0), "height": 7, "width": 40}
    assert torch.equal(resize_crop(view, **arguments), resize_crop(view.contiguous(), **arguments))


def test_no_pictures_give_no_pictures() -> None:
    none = torch.empty(0, 20, 30, 3, dtype=torch.uint8)
    assert resize_crop(none, box=whole(none), height=4, width=5).shape == (0, 4, 5, 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"box": (0, 0, 11, 8)}, "expected a box inside the picture of 10x8"),
        ({"box": (5, 0, 5, 8)}, "left < right"),
        ({"box": (float("nan"), 0, 5, 8)}, "left < right"),
        ({"height": 0}, "expected a size of 1x1 or more, received 4x0"),
        ({"orientation": 9}, "expected an Exif orientation from 1 to 8, received 9"),
        ({"filter": "box"}, "'box' is not a valid Filter"),
        ({"implementation": "abacus"}, r"one of \('torch_cpu', .*'reference'\); received 'abacus'"),
        ({"pictures": noise(1, 8, 10, 5)}, r"received uint8 \[1, 8, 10, 5\]"),
        ({"pictures": torch.zeros(1, 8, 10, 3)}, r"received float32 \[1, 8, 10, 3\]"),
    ],
)
def test_says_what_is_wrong(wrong: dict, message: str) -> None:
    arguments = {"pictures": noise(1, 8, 10, 3), "box": (0, 0, 10, 8), "height": 4, "width": 4}
    arguments |= wrong
    with pytest.raises(ValueError, match=message):
        resize_crop(arguments.pop("pictures"), **arguments)
