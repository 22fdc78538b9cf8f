"""Tone mapping: the published points of its curves, and what must hold for all colours."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kernels import PRIMARIES, TRANSFERS, Light, tone_map, yuv_to_rgb
from kernels.tone import (
    eetf,
    hlg_to_nits,
    nits_to_pq,
    pq_to_nits,
    system_gamma,
    to_sdr,
)
from tests.kernels.pictures import BY_IMPLEMENTATION, difference, noise

PQ, HLG = Light("pq", "bt2020"), Light("hlg", "bt2020")
HDR = st.builds(
    Light,
    st.sampled_from(["pq", "hlg"]),
    st.sampled_from(PRIMARIES),
    st.sampled_from([80.0, 203.0, 400.0, 1000.0, 4000.0, 10_000.0]) | st.floats(50, 10_000),
)
LIGHTS = HDR | st.builds(Light, st.just("sdr"), st.sampled_from(PRIMARIES))
LUMA = torch.tensor([0.2126, 0.7152, 0.0722], dtype=torch.float64)
parametrize_implementation = pytest.mark.parametrize("implementation", BY_IMPLEMENTATION)


def exact(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def grey(*values: float) -> Tensor:
    """Greys [3, M] of coded values."""
    return exact(*values).expand(3, -1).clone()


def ramp(light: Light, steps: int = 2001) -> Tensor:
    """The SDR values of all greys [steps], in 0 to 255."""
    return to_sdr(torch.linspace(0, 255, steps, dtype=torch.float64).expand(3, -1), light)[1]


# Published with few digits: ITU-R BT.2408-7, tables 1 and 3; SMPTE ST 2084, annex A.
@pytest.mark.parametrize(
    ("nits", "coded"),
    [(0, 0), (26, 0.38), (100, 0.508), (203, 0.58), (1000, 0.7518), (4000, 0.9026), (10_000, 1)],
)
def test_pq_has_its_published_points(nits: float, coded: float) -> None:
    assert nits_to_pq(exact(nits)).item() == pytest.approx(coded, abs=0.001)
    assert pq_to_nits(exact(coded)).item() == pytest.approx(nits, rel=0.02, abs=1e-6)


@given(st.floats(1e-4, 10_000))
def test_pq_leads_there_and_back(nits: float) -> None:
    assert pq_to_nits(nits_to_pq(exact(nits))).item() == pytest.approx(nits, rel=1e-9)


# BT.2408-7, table 1: 18 % grey and the reference white on a display of 1000 cd/m2.
@pytest.mark.parametrize(
    ("coded", "nits"), [(0, 0), (0.38, 26), (0.5, 50.7), (0.75, 203), (1.0, 1000)]
)
def test_hlg_has_its_published_points(coded: float, nits: float) -> None:
    shown = hlg_to_nits(grey(coded), primaries="bt2020", peak_nits=1000)
    assert shown[:, 0].tolist() == pytest.approx([nits] * 3, rel=0.02, abs=1e-9)


@given(st.floats(0, 1))
def test_hlg_is_the_inverse_of_the_oetf(scene: float) -> None:
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * math.log(4 * a)
    coded = math.sqrt(3 * scene) if scene <= 1 / 12 else a * math.log(12 * scene - b) + c
    # The OOTF of a grey is its light to the power of the gamma.
    shown = hlg_to_nits(grey(coded), primaries="bt2020", peak_nits=1000)[0].item()
    assert shown == pytest.approx(1000 * scene**1.2, rel=1e-6, abs=1e-6)


def test_the_ootf_keeps_the_ratios_of_a_colour() -> None:
    coded = exact(0.5, 0.3, 0.1)[:, None]
    shown = hlg_to_nits(coded, primaries="bt2020", peak_nits=1000)[:, 0]
    scene = coded[:, 0].square() / 3
    luminance = float(exact(0.2627, 0.6780, 0.0593) @ scene)
    assert shown.tolist() == pytest.approx((1000 * luminance**0.2 * scene).tolist(), rel=1e-3)


@pytest.mark.parametrize(
    ("peak", "gamma"),
    [(1000, 1.2), (400, 1.2 + 0.42 * math.log10(0.4)), (2000, 1.326), (4000, 1.481), (200, 0.94)],
)
def test_the_system_gamma_follows_the_peak(peak: float, gamma: float) -> None:
    assert system_gamma(peak) == pytest.approx(gamma, abs=1e-3)


@given(st.floats(0.59, 1.0))
def test_the_roll_off_goes_from_peak_to_peak(source: float) -> None:
    target = 0.5807
    coded = torch.linspace(0, source, 3001, dtype=torch.float64)
    mapped = eetf(coded, source_peak=source, target_peak=target)
    knee = 1.5 * target - 0.5 * source
    below = coded < knee - 1e-12
    assert torch.allclose(mapped[below], coded[below], rtol=1e-12)
    assert (mapped.diff() >= -1e-12).all()
    assert (mapped <= coded + 1e-12).all()
    assert mapped[-1].item() == pytest.approx(target, abs=1e-12)
    # The spline leaves the knee without a bend, and ends level.
    slope = mapped.diff() / coded.diff()
    bend = 5 / (~below).sum()
    assert (slope.diff().abs() < bend).all()
    assert slope[-1].abs() < bend
    beyond = eetf(exact(source + 0.01), source_peak=source, target_peak=target)
    assert beyond.item() == pytest.approx(target, abs=1e-12)


def test_a_display_that_is_bright_enough_needs_no_roll_off() -> None:
    coded = exact(0.1, 0.4, 0.5, 0.6)
    assert eetf(coded, source_peak=0.5, target_peak=0.55).tolist() == [0.1, 0.4, 0.5, 0.55]


@pytest.mark.parametrize(
    ("light", "black", "card", "white", "peak"),
    [(PQ, 0, 0.38003, 0.58069, 0.75183), (HLG, 0, 0.3791, 0.75, 1)],
)
def test_where_black_grey_and_white_come_to_lie(light, black, card, white, peak) -> None:
    shown = to_sdr(grey(black, card, white, peak) * 255, light)[0].div(255).tolist()
    # 26 / 203 of white, as a signal: below the knee nothing is rolled off.
    expected = [0, (26 / 203) ** (1 / 2.4), 0.903, 1]
    assert shown == pytest.approx(expected, abs=0.002)


@given(LIGHTS)
def test_a_brighter_grey_is_no_darker(light: Light) -> None:
    shown = ramp(light)
    assert shown.isfinite().all()
    assert (shown.diff() >= -1e-6).all()
    assert shown[0] < 0.01
    assert shown[-1] <= 255 + 1e-6


@given(st.sampled_from(PRIMARIES), st.floats(300, 10_000))
def test_the_peak_comes_to_lie_at_white(primaries: str, peak: float) -> None:
    coded = nits_to_pq(exact(peak)).item() * 255
    shown = to_sdr(grey(coded), Light("pq", primaries, peak))
    assert shown[:, 0].tolist() == pytest.approx([255] * 3, abs=1e-3)


@given(LIGHTS, st.floats(0, 255))
def test_a_grey_stays_grey(light: Light, value: float) -> None:
    red, green, blue = to_sdr(grey(value), light)[:, 0].tolist()
    assert red == pytest.approx(green, abs=0.02)
    assert blue == pytest.approx(green, abs=0.02)


COLOURS = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))


@given(COLOURS, st.floats(0.01, 1), st.sampled_from(PRIMARIES), st.floats(203, 10_000))
def test_more_light_gives_no_less_luminance(colour, share, primaries, peak) -> None:
    linear = exact(*colour)[:, None] * 10_000
    dim, bright = (
        to_sdr(nits_to_pq(part) * 255, Light("pq", primaries, peak))[:, 0]
        for part in (linear * share, linear)
    )
    # Each channel alone grows, so their sum by whatever weights does too.
    assert (bright - dim >= -0.01).all()
    assert LUMA @ bright >= LUMA @ dim - 0.01


@given(HDR, COLOURS)
def test_hue_stays_as_far_as_bt709_has_it(light: Light, colour) -> None:
    own = Light(light.transfer, "bt709", light.peak_nits)
    coded = exact(*colour)[:, None] * 255
    if light.transfer == "pq":
        before = pq_to_nits(coded / 255)
    else:
        before = hlg_to_nits(coded / 255, primaries="bt709", peak_nits=own.peak_nits)
    after = (to_sdr(coded, own) / 255) ** 2.4
    # The cross products of two directions vanish where they are one.
    across = torch.linalg.cross(before[:, 0], after[:, 0])
    assert across.abs().max() <= 1e-6 * before.norm() * after.norm() + 1e-9


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3), LIGHTS)
def test_whatever_comes_in_a_picture_comes_out(values: list[float], light: Light) -> None:
    for dtype in (torch.float32, torch.float64):
        shown = to_sdr(torch.tensor(values, dtype=dtype)[:, None], light)
        if not light.is_plain:
            assert shown.isfinite().all()
            assert shown.min() >= 0
            assert shown.max() <= 255.1


@pytest.mark.parametrize(
    "light", [PQ, HLG, Light("pq", "p3", 4000), Light("sdr", "bt2020")], ids=str
)
def test_float32_is_as_good_as_float64(light: Light) -> None:
    generator = torch.Generator().manual_seed(1)
    coded = torch.rand(3, 200_000, generator=generator) * 255
    off = (to_sdr(coded, light).to(torch.float64) - to_sdr(coded.to(torch.float64), light)).abs()
    assert off.mean() < 0.02
    # The power of 1 / 2.4 is infinitely steep at 0, where a saturated colour's third channel lies.
    assert off.max() < 1
    greys = torch.linspace(0, 255, 5001).expand(3, -1)
    off = to_sdr(greys, light).to(torch.float64) - to_sdr(greys.to(torch.float64), light)
    assert off.abs().max() < 0.1


# ITU-R BT.2087-0, 2: the inverse of its matrix from BT.709, and what BT.709 lacks cut off.
@pytest.mark.parametrize(
    ("primaries", "linear", "expected"),
    [
        ("bt2020", (1, 1, 1), (1, 1, 1)),
        ("bt2020", (0.6274, 0.0691, 0.0164), (1, 0, 0)),
        ("bt2020", (0.3293, 0.9195, 0.0880), (0, 1, 0)),
        ("bt2020", (0.0433, 0.0114, 0.8956), (0, 0, 1)),
        ("bt2020", (0.5, 0.4, 0.3), (0.5734, 0.3884, 0.2863)),
        ("p3", (0.8225, 0.0332, 0.0171), (1, 0, 0)),
        ("bt709", (0.5, 0.4, 0.3), (0.5, 0.4, 0.3)),
    ],
)
def test_primaries_change_in_linear_light(primaries: str, linear, expected) -> None:
    coded = (exact(*linear) ** (1 / 2.4))[:, None] * 255
    shown = (to_sdr(coded, Light("sdr", primaries)) / 255) ** 2.4
    assert shown[:, 0].tolist() == pytest.approx(expected, abs=5e-4)


def test_what_bt709_cannot_show_is_darkened_not_bleached() -> None:
    red = to_sdr(exact(255, 0, 0)[:, None], Light("sdr", "bt2020"))[:, 0]
    assert red.tolist() == pytest.approx([255, 0, 0], abs=0.01)


def test_a_plain_picture_is_left_alone() -> None:
    coded = torch.tensor([[-3.0, 300.0]] * 3)
    assert to_sdr(coded, Light()) is coded
    picture = noise(1, 4, 4, 3)
    assert tone_map(picture, light=Light()) is picture


@pytest.mark.parametrize("light", [PQ, HLG, Light("sdr", "p3")], ids=str)
@pytest.mark.parametrize("channels", [3, 4])
def test_finished_pictures_are_mapped_and_keep_their_alpha(light: Light, channels: int) -> None:
    pictures = noise(2, 9, 7, channels)
    mapped = tone_map(pictures, light=light)
    assert mapped.dtype == torch.uint8
    assert mapped.shape == pictures.shape
    expected = to_sdr(pictures[..., :3].movedim(-1, 0).to(torch.float64), light).movedim(0, -1)
    assert difference(mapped[..., :3], expected) <= 1.5
    assert torch.equal(mapped[..., 3:], pictures[..., 3:])


@parametrize_implementation
@pytest.mark.parametrize("transfer", TRANSFERS)
@pytest.mark.parametrize("primaries", PRIMARIES)
def test_planes_are_mapped_behind_the_matrix(transfer, primaries, implementation: str) -> None:
    light = Light(transfer, primaries)
    planes = tuple(
        torch.randint(64, 940, (2, *shape), generator=torch.Generator().manual_seed(seed)).to(
            torch.int16
        )
        for seed, shape in enumerate([(12, 16), (6, 8), (6, 8)])
    )
    arguments = {
        "box": (1.5, 0, 15, 12),
        "height": 7,
        "width": 9,
        "matrix": "bt2020",
        "full_range": False,
        "siting": "top_left",
        "bits": 10,
        "light": light,
    }
    result = yuv_to_rgb(planes, **arguments, implementation=implementation)
    reference = yuv_to_rgb(planes, **arguments, implementation="reference")
    assert result.shape == (2, 7, 9, 3)
    assert difference(result, reference) <= 2
    assert float((result.float() - reference.float()).abs().mean()) < 0.05
    turned = yuv_to_rgb(
        planes,
        **arguments | {"height": 9, "width": 7},
        orientation=6,
        implementation=implementation,
    )
    assert turned.shape == (2, 9, 7, 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"transfer": "log"}, "expected transfer to be one of sdr, pq, hlg; received 'log'"),
        ({"primaries": "xyz"}, "expected primaries to be one of bt709, bt2020, p3; received 'xyz'"),
        ({"peak_nits": 0}, "expected a peak above 0 and up to 10000 cd/m2, received 0"),
        ({"peak_nits": math.nan}, "received nan"),
        ({"peak_nits": 10_001}, "received 10001"),
    ],
)
def test_light_says_what_is_wrong(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Light(**wrong)
