"""Makes SDR pictures of BT.709 of R'G'B' with other primaries or an HDR transfer, in linear light.

Note on the look. Light is counted in SDR whites. The white of SDR stands for HDR's reference white,
203 cd/m2 by ITU-R BT.2408: a grey card, 26 cd/m2 there, comes out at 0.128 of white, near the 0.117
of pictures that were SDR from the start; on a scale of 100 cd/m2 all would be twice as bright. What
is brighter is rolled off by the EETF of ITU-R BT.2390, which leaves alone what lies below its knee:
88 cd/m2 where the peak is 1000. Reference white itself then lies at 0.78 of SDR white, 90 % of the
signal.

The roll-off follows the brightest of R, G and B, and scales the three alike: hues stay, and nothing
is left that would have to be clipped, as it would be if luminance were followed. For that it comes
after the change of primaries, at which negative light, outside of BT.709, becomes 0.

Light is coded by the inverse of BT.1886, a power of 1 / 2.4, because the codes of SDR video, which
are made for that display, are handed on as they are: a film graded for both looks alike in both.
"""

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import cast

import torch
from torch import Tensor

TRANSFERS = ("sdr", "pq", "hlg")
REFERENCE_WHITE_NITS = 203.0
NOMINAL_PEAK_NITS = 1000.0
_PQ_PEAK_NITS = 10_000.0
_DISPLAY_GAMMA = 2.4
# The peak of PQ in one channel of BT.2020 is 1.66 times as much in one of BT.709.
_MOST_WHITES = 1.7 * _PQ_PEAK_NITS / REFERENCE_WHITE_NITS
_GAIN_STEPS = 1 << 14
# Stands for 0, whose logarithm takes ten times as long as that of others.
_BLACK = 1e-12

# x and y of red, green and blue by ITU-T H.273, table 2; the white of all is D65.
_PRIMARIES = {
    "bt709": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_WHITE = (0.3127, 0.3290)
PRIMARIES = tuple(_PRIMARIES)

# SMPTE ST 2084, 5.2.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32

# ITU-R BT.2100-2, table 5; b and c follow from it.
_A = 0.17883277


@dataclass(frozen=True, slots=True)
class Light:
    """What R'G'B' values mean as light: a word of `TRANSFERS`, one of `PRIMARIES`, and a peak.

    `peak_nits` is the brightest light in cd/m2 of a PQ picture, or of the display that an HLG one
    is rendered for; it does not matter to SDR. Raises ValueError for words that are neither.
    """

    transfer: str = "sdr"
    primaries: str = "bt709"
    peak_nits: float = NOMINAL_PEAK_NITS

    def __post_init__(self) -> None:
        for name, word, allowed in (
            ("transfer", self.transfer, TRANSFERS),
            ("primaries", self.primaries, PRIMARIES),
        ):
            if word not in allowed:
                raise ValueError(
                    f"expected {name} to be one of {', '.join(allowed)}; received {word!r}"
                )
        if not 0 < self.peak_nits <= _PQ_PEAK_NITS:
            raise ValueError(
                f"expected a peak above 0 and up to 10000 cd/m2, received {self.peak_nits}"
            )

    @property
    def is_plain(self) -> bool:
        """Whether the values are those of an SDR picture of BT.709 already."""
        return self.transfer == "sdr" and self.primaries == "bt709"


def to_sdr(coded: Tensor, light: Light) -> Tensor:
    """R'G'B' of `light` as R'G'B' of SDR and BT.709: float [3, ...] on a scale of 0 to 255.

    What lies outside of 0 to 255 counts as its end; the result lies within, but for rounding. See
    the note above. float64 is exact; the roll-off of other types is tabulated, to 0.1.
    """
    if light.is_plain:
        return coded
    linear, white = _linear(coded.flatten(1).div(255).clamp_(_BLACK, 1), light)
    # What other primaries can show and BT.709 can't has a negative part, which is cut off.
    linear = (_to_bt709(light.primaries).to(linear) / white @ linear).clamp_(min=_BLACK)
    brightest = linear.amax(0)
    if light.transfer == "sdr":
        gain = brightest.clamp_(min=1).reciprocal_()
    elif linear.dtype == torch.float64:
        gain = _gain(brightest, light.peak_nits)
    else:
        gain = _tabulated_gain(brightest, light.peak_nits)
    return _power_(linear.mul_(gain), 1 / _DISPLAY_GAMMA).mul_(255).view(coded.shape)


def tone_map(pictures: Tensor, *, light: Light) -> Tensor:
    """Finished pictures of `light` as SDR pictures of BT.709: uint8 [N, H, W, 3 or 4]."""
    if light.is_plain:
        return pictures
    color = to_sdr(pictures[..., :3].movedim(-1, 0).to(torch.float32), light)
    color = color.add_(0.5).clamp_(0, 255).to(torch.int16).to(torch.uint8).movedim(0, -1)
    return torch.cat([color, pictures[..., 3:]], dim=-1)


def _linear(coded: Tensor, light: Light) -> tuple[Tensor, float]:
    """Light [3, M] of R'G'B' [3, M] in 0 to 1, which are lost, and what SDR white is among it."""
    match light.transfer:
        case "pq":
            return pq_to_nits(coded), REFERENCE_WHITE_NITS
        case "hlg":
            nits = hlg_to_nits(coded, primaries=light.primaries, peak_nits=light.peak_nits)
            return nits, REFERENCE_WHITE_NITS
        case _:
            return _power_(coded, _DISPLAY_GAMMA), 1.0


def pq_to_nits(coded: Tensor) -> Tensor:
    """The light in cd/m2 that PQ values of 0 to 1 stand for. Source: SMPTE ST 2084, 5.2."""
    root = _power_(coded.clone(), 1 / _M2)
    below = torch.rsub(root, _C2, alpha=_C3)
    return _power_(root.sub_(_C1).clamp_(min=_BLACK).div_(below), 1 / _M1).mul_(_PQ_PEAK_NITS)


def nits_to_pq(nits: Tensor) -> Tensor:
    """The PQ values of light in cd/m2. Source: SMPTE ST 2084, 5.3."""
    root = _power_(nits / _PQ_PEAK_NITS, _M1)
    return _power_((root * _C2).add_(_C1).div_(root.mul_(_C3).add_(1)), _M2)


def hlg_to_nits(coded: Tensor, *, primaries: str, peak_nits: float) -> Tensor:
    """The light in cd/m2 by which a display shows HLG values of 0 to 1: [3, M] to [3, M].

    Inverse OETF, then OOTF. Source: ITU-R BT.2100-2, table 5.
    """
    # Both branches of the inverse OETF as a sum, in which what is beyond 1/2 adds (exp - 1) a / 3.
    above = (coded - 0.5).clamp_(min=0).mul_(math.log2(math.e) / _A).exp2_().sub_(1)
    scene = coded.clamp(max=0.5).square_().div_(3).add_(above, alpha=_A / 3)
    luminance = (_to_xyz(primaries)[1].to(scene) @ scene).clamp_(min=_BLACK)
    return scene.mul_(_power_(luminance, system_gamma(peak_nits) - 1).mul_(peak_nits))


def system_gamma(peak_nits: float) -> float:
    """The gamma of the OOTF for displays of a nominal peak in cd/m2: 1.2 at 1000.

    Source: ITU-R BT.2100-2, notes 5e and 5f; the second formula serves below 400 and above 2000.
    """
    if 400 <= peak_nits <= 2000:
        return 1.2 + 0.42 * math.log10(peak_nits / 1000)
    return 1.2 * float(1.111 ** math.log2(peak_nits / 1000))


def eetf(coded: Tensor, *, source_peak: float, target_peak: float) -> Tensor:
    """PQ values of a display of `source_peak` as those of one of `target_peak`, both PQ values too.

    Nothing changes below the knee; above it a Hermite spline leads up to the target's peak. Both
    displays' black is 0. Source: ITU-R BT.2390-11, 5.4.1.
    """
    most = target_peak / source_peak
    knee = 1.5 * most - 0.5
    if knee >= 1:
        return coded.clamp(max=target_peak)
    scaled = (coded / source_peak).clamp_(max=1)
    t = (scaled - knee) / (1 - knee)
    spline = ((2 * knee - 2 * most + 1 - knee) * t + (-3 * knee - 2 * (1 - knee) + 3 * most)) * t
    spline = (spline + (1 - knee)) * t + knee
    return torch.where(scaled < knee, scaled, spline).mul_(source_peak)


def _gain(brightest: Tensor, peak_nits: float) -> Tensor:
    """The factor by which light is scaled whose brightest part, in SDR whites, is `brightest`."""
    ends = torch.tensor([peak_nits, REFERENCE_WHITE_NITS], dtype=torch.float64)
    peak, white = nits_to_pq(ends).tolist()
    nits = brightest * REFERENCE_WHITE_NITS
    coded = nits_to_pq(nits)
    rolled = eetf(coded, source_peak=max(peak, white), target_peak=white)
    # There and back again in PQ would not give exactly 1 below the knee, and nothing for black.
    return torch.where(rolled < coded, pq_to_nits(rolled).div_(nits), 1.0)


def _tabulated_gain(brightest: Tensor, peak_nits: float) -> Tensor:
    """`_gain` from a table, in place; it saves a third of all the time."""
    index = brightest.sqrt_().mul_(_GAIN_STEPS / math.sqrt(_MOST_WHITES)).add_(0.5)
    index = index.clamp_(max=_GAIN_STEPS).to(torch.int32)
    return _gain_table(peak_nits).to(brightest.device).index_select(0, index)


@lru_cache(maxsize=16)
def _gain_table(peak_nits: float) -> Tensor:
    """The gain for evenly spaced square roots of light, float32."""
    roots = torch.linspace(0, math.sqrt(_MOST_WHITES), _GAIN_STEPS + 1, dtype=torch.float64)
    return _gain(roots.square(), peak_nits).to(torch.float32)


def _power_(base: Tensor, exponent: float) -> Tensor:
    """`base` of 0 or more to a power, in place; measured, it takes half as long as torch.pow."""
    return base.log2_().mul_(exponent).exp2_()


@cache
def _to_bt709(primaries: str) -> Tensor:
    """The float64 matrix [3, 3] from linear R, G, B of some primaries to those of BT.709."""
    return _solve(_to_xyz("bt709"), _to_xyz(primaries))


@cache
def _to_xyz(primaries: str) -> Tensor:
    """The float64 matrix [3, 3] from linear R, G, B to X, Y, Z, white having Y = 1.

    Source: SMPTE RP 177.
    """
    columns = [_xyz(*chromaticity) for chromaticity in _PRIMARIES[primaries]]
    directions = torch.tensor(columns, dtype=torch.float64).T
    white = torch.tensor(_xyz(*_WHITE), dtype=torch.float64)
    return directions * _solve(directions, white)


def _solve(matrix: Tensor, result: Tensor) -> Tensor:
    return cast(Tensor, torch.linalg.solve(matrix, result))


def _xyz(x: float, y: float) -> tuple[float, float, float]:
    return x / y, 1.0, (1 - x - y) / y
