import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farm.media import Matrix, Siting
from kernels import MATRICES, SITINGS, Filter, yuv_to_rgb
from tests.kernels.pictures import BY_IMPLEMENTATION, assert_near, difference, noise

LUMA_WEIGHTS = {
    "bt601": (0.299, 0.587, 0.114),
    "bt709": (0.2126, 0.7152, 0.0722),
    "bt2020": (0.2627, 0.6780, 0.0593),
    "smpte240m": (0.212, 0.701, 0.087),
    "fcc": (0.30, 0.59, 0.11),
}
COLOURS = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 30, 60)]
DTYPES = {8: torch.uint8, 10: torch.int16, 12: torch.int32, 16: torch.int32}
parametrize_implementation = pytest.mark.parametrize("implementation", BY_IMPLEMENTATION)


def coded(rgb: np.ndarray, *, matrix: str, full_range: bool, bits: int) -> np.ndarray:
    """Y, U and V of R, G, B (last axis, 0 to 255) by the equations of ITU-T H.273, unrounded."""
    red, green, blue = np.moveaxis(np.asarray(rgb, dtype=np.float64) / 255, -1, 0)
    top, step = 2**bits - 1, 2 ** (bits - 8)
    if matrix == "ycgco":
        luma, u = 0.5 * green + 0.25 * (red + blue), 0.5 * green - 0.25 * (red + blue)
        v, chroma_steps = 0.5 * (red - blue), 219 * step
    else:
        by_red, by_green, by_blue = LUMA_WEIGHTS[matrix]
        luma = by_red * red + by_green * green + by_blue * blue
        u, v = (blue - luma) / (2 * (1 - by_blue)), (red - luma) / (2 * (1 - by_red))
        chroma_steps = 224 * step
    center = 2 ** (bits - 1)
    if full_range:
        return np.stack([luma * top, u * top + center, v * top + center], axis=-1)
    return np.stack(
        [(219 * luma + 16) * step, u * chroma_steps + center, v * chroma_steps + center], axis=-1
    )


def planes_of(codes: np.ndarray, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """4:4:4 planes [1, H, W] of codes [H, W, 3], rounded."""
    rounded = np.clip(np.rint(codes), 0, 2**bits - 1).astype(np.int32)
    y, u, v = torch.from_numpy(rounded).movedim(-1, 0)[:, None].to(DTYPES[bits])
    return y, u, v


def random_planes(height: int, width: int, down: int, across: int, count: int = 1) -> tuple:
    chroma = (count, -(-height // down), -(-width // across))
    return noise(count, height, width, seed=1), noise(*chroma, seed=2), noise(*chroma, seed=3)


@parametrize_implementation
@pytest.mark.parametrize("bits", DTYPES)
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_known_colours(matrix: str, full_range: bool, bits: int, implementation: str) -> None:
    expected = torch.tensor(COLOURS, dtype=torch.uint8)[None, None]
    codes = coded(expected[0].numpy(), matrix=matrix, full_range=full_range, bits=bits)
    result = yuv_to_rgb(
        planes_of(codes, bits),
        box=(0, 0, len(COLOURS), 1),
        height=1,
        width=len(COLOURS),
        matrix=matrix,
        full_range=full_range,
        siting="left",
        bits=bits,
        implementation=implementation,
    )
    # Rounding the codes to 8 bits of limited range alone costs up to 2 steps of blue or red.
    assert difference(result, expected) <= (2 if bits == 8 else 1)


@pytest.mark.parametrize(
    ("full_range", "bits", "black", "white"),
    [(False, 8, 16, 235), (True, 8, 0, 255), (False, 10, 64, 940), (True, 12, 0, 4095)],
)
def test_ranges_end_where_the_standard_says(full_range, bits, black, white) -> None:
    luma = torch.tensor([[[black, white]]]).to(DTYPES[bits])
    chroma = torch.full_like(luma, 1 << (bits - 1))
    result = yuv_to_rgb(
        (luma, chroma, chroma),
        box=(0, 0, 2, 1),
        height=1,
        width=2,
        matrix="bt709",
        full_range=full_range,
        siting="center",
        bits=bits,
    )
    assert result.tolist() == [[[[0, 0, 0], [255, 255, 255]]]]


@st.composite
def conversions(draw: st.DrawFn) -> tuple[tuple, dict]:
    width, height = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    planes = random_planes(
        height, width, draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 2, 4])), 2
    )
    edges = st.floats(0, 1, width=32)
    apart = st.tuples(edges, edges).filter(lambda pair: abs(pair[0] - pair[1]) > 1e-3)
    across, down = sorted(draw(apart)), sorted(draw(apart))
    return planes, {
        "box": (across[0] * width, down[0] * height, across[1] * width, down[1] * height),
        "height": draw(st.integers(1, 80)),
        "width": draw(st.integers(1, 80)),
        "matrix": draw(st.sampled_from(MATRICES)),
        "full_range": draw(st.booleans()),
        "siting": draw(st.sampled_from(SITINGS)),
        "filter": draw(st.sampled_from(Filter)),
        "orientation": draw(st.integers(1, 8)),
    }


@given(conversions())
@settings(deadline=None)
def test_equals_the_reference(case: tuple[tuple, dict]) -> None:
    planes, arguments = case
    result = yuv_to_rgb(planes, **arguments)
    assert result.shape == (2, arguments["height"], arguments["width"], 3)
    assert_near(result, yuv_to_rgb(planes, **arguments, implementation="reference"))


@given(conversions(), st.integers(16, 235))
@settings(deadline=None)
def test_a_gray_stays_that_gray(case: tuple[tuple, dict], level: int) -> None:
    (luma, u, v), arguments = case
    planes = (torch.full_like(luma, level), torch.full_like(u, 128), torch.full_like(v, 128))
    result = yuv_to_rgb(planes, **arguments)
    gray = level if arguments["full_range"] else (level - 16) * 255 / 219
    assert float((result - gray).abs().max()) <= 0.501


def colour_edge(siting: str, width: int, at: float) -> tuple[Tensor, Tensor]:
    """A 4:2:0 U plane of a smooth edge at luma coordinate `at`, and the edge at full size."""

    def edge(x: np.ndarray) -> np.ndarray:
        return 128 + 90 * np.tanh((x - at) / 6)

    shift = 0.5 if siting in ("left", "top_left") else 1.0
    chroma = edge(np.arange(width // 2) * 2 + shift)
    return torch.from_numpy(chroma), torch.from_numpy(edge(np.arange(width) + 0.5))


@parametrize_implementation
@pytest.mark.parametrize("axis", ["horizontal", "vertical"])
@pytest.mark.parametrize("siting", SITINGS)
def test_chroma_lies_where_its_siting_says(siting, axis: str, implementation: str) -> None:
    along = siting if axis == "horizontal" else {"left": "center"}.get(siting, siting)
    chroma, expected = colour_edge(along, 64, at=29.3)
    row = chroma.round().to(torch.uint8).expand(1, 32, 32)
    plane = row if axis == "horizontal" else row.transpose(1, 2)
    flat = torch.full_like(plane, 128)
    luma = torch.full((1, 64, 64), 128, dtype=torch.uint8)

    def blue(taken_as: str) -> Tensor:
        result = yuv_to_rgb(
            (luma, plane, flat),
            box=(0, 0, 64, 64),
            height=64,
            width=64,
            matrix="bt601",
            full_range=True,
            siting=taken_as,
            filter=Filter.CATMULL_ROM,
            implementation=implementation,
        )[0, :, :, 2]
        return (result if axis == "horizontal" else result.T)[20].to(torch.float64)

    wanted = (128 + 1.772 * (expected - 128)).clamp(0, 255)
    assert float((blue(siting) - wanted).abs().max()) < 3
    other = "center" if along != "center" else "top_left"
    assert float((blue(other) - wanted).abs().max()) > 8


@parametrize_implementation
def test_a_plane_of_odd_width_covers_a_luma_sample_more(implementation: str) -> None:
    # Chroma sample k of centre siting covers luma [2k, 2k + 2): the box cuts exactly at sample 1.
    luma = torch.full((1, 3, 5), 128, dtype=torch.uint8)
    u = torch.tensor([[[128, 200, 128], [128, 200, 128]]], dtype=torch.uint8)
    result = yuv_to_rgb(
        (luma, u, torch.full_like(u, 128)),
        box=(2.5, 0, 3.5, 3),
        height=1,
        width=1,
        matrix="bt601",
        full_range=True,
        siting="center",
        filter=Filter.TRIANGLE,
        implementation=implementation,
    )
    assert result[0, 0, 0, 2] == 255
    assert result[0, 0, 0, 0] == 128


@pytest.mark.parametrize("matrix", MATRICES)
def test_full_size_444_is_the_bare_matrix(matrix: str) -> None:
    rgb = noise(9, 13, 3).numpy()
    planes = planes_of(coded(rgb, matrix=matrix, full_range=True, bits=12), 12)
    result = yuv_to_rgb(
        planes,
        box=(0, 0, 13, 9),
        height=9,
        width=13,
        matrix=matrix,
        full_range=True,
        siting="left",
        bits=12,
    )
    assert torch.equal(result[0], torch.from_numpy(rgb))


def test_values_are_clamped_after_the_matrix_only() -> None:
    # Y below black and U above its range cancel in blue: clamping before would give 20 or more.
    one = torch.ones(1, 1, 1, dtype=torch.uint8)
    result = yuv_to_rgb(
        (one * 0, one * 144, one * 128),
        box=(0, 0, 1, 1),
        height=1,
        width=1,
        matrix="bt709",
        full_range=False,
        siting="left",
    )
    expected = (0 - 16) * 255 / 219 + (144 - 128) * 1.8556 * 255 / 224
    assert abs(float(result[0, 0, 0, 2]) - expected) <= 0.5


def test_the_words_are_those_of_the_farm() -> None:
    assert {matrix.value for matrix in Matrix} - {"rgb"} == set(MATRICES)
    assert {siting.value for siting in Siting} == set(SITINGS)
    planes = random_planes(4, 6, 2, 2)
    arguments = {"box": (0, 0, 6, 4), "height": 4, "width": 6, "full_range": False}
    by_enum = yuv_to_rgb(planes, **arguments, matrix=Matrix.BT2020, siting=Siting.TOP_LEFT)
    by_word = yuv_to_rgb(planes, **arguments, matrix="bt2020", siting="top_left")
    assert torch.equal(by_enum, by_word)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"matrix": "rgb"}, "expected matrix to be one of bt601, .*; received 'rgb'"),
        ({"siting": "right"}, "expected siting to be one of left, center, top_left"),
        ({"bits": 10}, "expected 8 to 8 bits in torch.uint8, received 10"),
        ({"box": (0, 0, 6, 5)}, "expected a box inside the picture of 6x4"),
        ({"planes": (noise(1, 4, 6), noise(1, 3, 3), noise(1, 3, 3))}, "divided by 1, 2 or 4"),
        ({"planes": (noise(1, 4, 6), noise(1, 2, 3), noise(1, 2, 2))}, "divided by 1, 2 or 4"),
        ({"planes": (noise(1, 4, 6), noise(1, 2, 3))}, "expected three planes of one type"),
        ({"planes": (torch.zeros(1, 4, 6),) * 3}, "expected three planes of one type"),
    ],
)
def test_says_what_is_wrong(wrong: dict, message: str) -> None:
    arguments = {
        "planes": random_planes(4, 6, 2, 2),
        "box": (0, 0, 6, 4),
        "height": 2,
        "width": 3,
        "matrix": "bt709",
        "full_range": False,
        "siting": "left",
    } | wrong
    with pytest.raises(ValueError, match=message):
        yuv_to_rgb(arguments.pop("planes"), **arguments)
