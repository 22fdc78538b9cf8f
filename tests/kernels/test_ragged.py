"""Ragged batches: the fused kernel, under Triton's interpreter or on a GPU, is as the reference."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels import MATRICES, SITINGS, Filter, Item, Light, Resize, implementations, resample
from kernels.color import Color
from tests.kernels.pictures import assert_near, noise

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
OTHERS = [name for name in implementations(DEVICE) if name != "reference"]
parametrize_implementation = pytest.mark.parametrize("implementation", OTHERS)


def resize(box, width: int, height: int, **options) -> Resize:
    options = {"filter": Filter.LANCZOS3, "orientation": 1} | options
    return Resize(tuple(map(float, box)), height, width, **options)


def picture(width: int, height: int, channels: int = 3, *, seed: int = 0) -> Tensor:
    return noise(height, width, channels, seed=seed).to(DEVICE)


def made(items: list[Item], implementation: str, **options) -> list[Tensor]:
    return [result.cpu() for result in resample(items, implementation=implementation, **options)]


def assert_as_reference(items: list[Item], implementation: str) -> None:
    results = made(items, implementation)
    for result, wanted in zip(results, made(items, "reference"), strict=True):
        assert result.dtype == torch.uint8
        assert_near(result, wanted)


PICTURES = [
    ((53, 37), (0, 0, 53, 37), (19, 11)),
    ((37, 53), (2.3, 1.7, 35.1, 50), (19, 40)),
    ((7, 90), (0, 0, 7, 90), (3, 1)),
    ((90, 3), (17, 1, 80.5, 2), (1, 9)),
    ((1, 1), (0, 0, 1, 1), (7, 5)),
    ((40, 30), (3, 4, 33, 24), (30, 20)),
    ((200, 9), (0, 0, 200, 9), (4, 3)),
]


@parametrize_implementation
@pytest.mark.parametrize("filter", Filter)
def test_pictures_of_all_sizes_in_one_batch(filter: Filter, implementation: str) -> None:
    items = [
        Item((picture(*stored, seed=seed),), resize(box, *shown, filter=filter))
        for seed, (stored, box, shown) in enumerate(PICTURES)
    ]
    assert_as_reference(items, implementation)


@parametrize_implementation
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_all_channels(channels: int, implementation: str) -> None:
    items = [
        Item((picture(31, 23, channels, seed=seed),), resize((1, 2, 30.5, 20), 11, 7))
        for seed in range(3)
    ]
    assert_as_reference(items, implementation)


@parametrize_implementation
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns(orientation: int, implementation: str) -> None:
    """Each item of one batch by another turn, and by the same."""
    items = [
        Item((picture(31, 23, seed=turn),), resize((0, 0, 31, 23), 9, 14, orientation=turn))
        for turn in (orientation, 1, 6)
    ]
    assert_as_reference(items, implementation)


@parametrize_implementation
def test_hidden_colour_does_not_bleed(implementation: str) -> None:
    hidden = torch.zeros(20, 20, 4, dtype=torch.uint8)
    hidden[:, :10] = torch.tensor([0, 200, 0, 255], dtype=torch.uint8)
    hidden[:, 10:, 0] = 255  # red, fully transparent
    (result,) = made([Item((hidden.to(DEVICE),), resize((0, 0, 20, 20), 5, 5))], implementation)
    assert int(result[..., 0].max()) == 0
    assert int(result[..., 3].max()) == 255


def planes_of(width: int, height: int, layout: str, *, bits: int = 8, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    x, y = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "nv12": (2, 2), "p010": (2, 2)}[layout]
    sizes = [(height, width), *[(-(-height // y), -(-width // x))] * 2]
    dtype = torch.uint8 if bits == 8 else torch.int32
    planes = [
        torch.randint(0, 1 << bits, size, generator=generator, dtype=dtype).to(DEVICE)
        for size in sizes
    ]
    if layout in ("420", "422", "444"):
        return tuple(plane if bits == 8 else plane.to(torch.int16) for plane in planes), 0
    pair = torch.stack(planes[1:], dim=-1)
    if layout == "nv12":
        return (planes[0], pair), 0
    return tuple((plane << 6).to(torch.uint16) for plane in (planes[0], pair)), 6


def yuv_item(size, box, shown, *, layout="nv12", bits=8, seed=0, orientation=1, **color) -> Item:
    planes, shift = planes_of(*size, layout, bits=bits, seed=seed)
    color = {"matrix": "bt709", "full_range": False, "siting": "left", "bits": bits} | color
    return Item(planes, resize(box, *shown, orientation=orientation), Color(**color), shift)


@parametrize_implementation
@pytest.mark.parametrize("layout", ["420", "422", "444", "nv12"])
def test_layouts(layout: str, implementation: str) -> None:
    items = [
        yuv_item((33, 21), (0, 0, 33, 21), (13, 8), layout=layout),
        yuv_item((64, 48), (3.3, 2, 61, 47.5), (20, 15), layout=layout, seed=1, orientation=6),
        yuv_item((5, 3), (0, 0, 5, 3), (9, 9), layout=layout, seed=2),
    ]
    assert_as_reference(items, implementation)


@parametrize_implementation
@pytest.mark.parametrize("layout", ["p010", "420", "444"])
def test_ten_bits(layout: str, implementation: str) -> None:
    items = [yuv_item((33, 21), (0, 0, 33, 21), (13, 8), layout=layout, bits=10)]
    assert_as_reference(items, implementation)


@parametrize_implementation
def test_what_samples_mean(implementation: str) -> None:
    """Every matrix, range and siting, all in one batch."""
    items = [
        yuv_item((22, 14), (1, 1, 21.5, 13), (9, 6), matrix=matrix, full_range=full, siting=siting)
        for matrix, full, siting in itertools.product(MATRICES, (False, True), SITINGS)
    ]
    assert_as_reference(items, implementation)


@parametrize_implementation
@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_hdr_beside_sdr(transfer: str, implementation: str) -> None:
    light = Light(transfer, "bt2020", 1000.0)
    items = [
        yuv_item((22, 14), (0, 0, 22, 14), (9, 6), layout="p010", bits=10, matrix="bt2020",
                 light=light, orientation=3),
        yuv_item((22, 14), (0, 0, 22, 14), (9, 6), seed=1),
    ]  # fmt: skip
    assert_as_reference(items, implementation)


@parametrize_implementation
def test_planes_in_padded_memory(implementation: str) -> None:
    """As video engines leave them: rows further apart than they are long."""
    surface = noise(36, 64).to(DEVICE)
    luma, pair = surface[:24, :33], surface[24:, :34].view(12, 17, 2)
    padded = Item(
        (luma, pair),
        resize((0, 0, 33, 24), 12, 9),
        Color("bt601", full_range=False, siting="center", bits=8),
    )
    compact = Item((luma.contiguous(), pair.contiguous()), padded.resize, padded.color)
    assert torch.equal(*made([padded, compact], implementation))
    assert_as_reference([padded], implementation)


def spread(picture: Tensor) -> Tensor:
    """A copy of a picture whose rows lie so far apart that the last is past 2^31 samples.

    Memory that nobody touches is none on a CPU.
    """
    rows, columns, channels = picture.shape
    apart = (1 << 31) // (rows - 1) + 1
    memory = torch.empty((rows - 1) * apart + columns * channels, dtype=torch.uint8, device=DEVICE)
    view = memory.as_strided(picture.shape, (apart, channels, 1))
    return view.copy_(picture)


@parametrize_implementation
@pytest.mark.parametrize("orientation", [1, 8])
def test_samples_and_results_past_2_31(orientation: int, implementation: str) -> None:
    stored = picture(31, 23)
    asked = resize((0, 0, 31, 23), 14, 9, orientation=orientation)
    (wanted,) = made([Item((stored,), asked)], "reference")
    far = spread(torch.zeros_like(wanted).to(DEVICE))
    (result,) = made([Item((spread(stored),), asked)], implementation, into=[far])
    assert_near(result, wanted)
    assert_near(far.cpu(), wanted)


@parametrize_implementation
def test_light_instead_of_values(implementation: str) -> None:
    checks = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 255
    checks = checks.to(torch.uint8)[..., None].expand(-1, -1, 3).contiguous().to(DEVICE)
    plain, linear = (
        Item((checks,), resize((4, 4, 12, 12), 1, 1, filter=Filter.TRIANGLE, linear_light=value))
        for value in (False, True)
    )
    results = made([plain, linear], implementation)
    # Half of the light is 188 in sRGB.
    assert [int(result[0, 0, 0]) for result in results] == [128, 188]
    items = [
        Item((picture(31, 23, channels),), resize((0, 0, 31, 23), 9, 5, linear_light=True))
        for channels in (3, 4)
    ]
    assert_as_reference(items, implementation)


@parametrize_implementation
def test_into_a_sheet(implementation: str) -> None:
    """Results may be parts of a larger picture."""
    items = [Item((picture(20, 10, seed=n),), resize((0, 0, 20, 10), 8, 4)) for n in range(4)]
    sheet = torch.full((8, 20, 3), 7, dtype=torch.uint8, device=DEVICE)
    cells = [sheet[top : top + 4, left : left + 8] for top in (0, 4) for left in (0, 10)]
    results = resample(items, into=cells, implementation=implementation)
    assert all(one is other for one, other in zip(results, cells, strict=True))
    for cell, wanted in zip(cells, made(items, "reference"), strict=True):
        assert_near(cell.cpu(), wanted)
    assert bool((sheet[:, 8:10] == 7).all())


@parametrize_implementation
def test_none(implementation: str) -> None:
    assert resample([], implementation=implementation) == []


@parametrize_implementation
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_sizes(implementation: str, data) -> None:
    side = st.integers(1, 40)
    items = []
    for seed in range(data.draw(st.integers(1, 3))):
        width, height = data.draw(side), data.draw(side)
        left, top = (data.draw(st.floats(0, side * 0.9)) for side in (width, height))
        right = data.draw(st.floats(min(left + 0.05, width), width))
        bottom = data.draw(st.floats(min(top + 0.05, height), height))
        shown = resize(
            (left, top, right, bottom), data.draw(side), data.draw(side),
            filter=data.draw(st.sampled_from(Filter)),
            orientation=data.draw(st.integers(1, 8)),
        )  # fmt: skip
        items.append(Item((picture(width, height, seed=seed),), shown))
    assert_as_reference(items, implementation)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (Item((torch.zeros(4, 4),), resize((0, 0, 4, 4), 2, 2)), "uint8"),
        (Item((torch.zeros(4, 4, 3, dtype=torch.uint8),), resize((0, 0, 9, 4), 2, 2)), "box"),
        (Item((torch.zeros(4, 4, 3, dtype=torch.uint8),), resize((0, 0, 4, 4), 0, 2)), "size"),
    ],
)
def test_wrong_items_are_refused(item: Item, message: str) -> None:
    with pytest.raises(ValueError, match=f"item 1: .*{message}"):
        resample([Item((picture(4, 4).cpu(),), resize((0, 0, 4, 4), 2, 2)), item])


def test_results_of_other_sizes_are_refused() -> None:
    item = Item((picture(4, 4).cpu(),), resize((0, 0, 4, 4), 2, 2))
    with pytest.raises(ValueError, match=r"item 0: expected .* \[2, 2, 3\]"):
        resample([item], into=[torch.zeros(3, 2, 3, dtype=torch.uint8)])
