"""Codes the light of SDR pictures of BT.709 for the primaries of BT.2020: as SDR, PQ or HLG."""

import numpy as np
from numpy.typing import NDArray

from farm.media import Transfer

Values = NDArray[np.float32]

_DISPLAY_GAMMA = 2.4
_WHITE_NITS = 203.0
"""Where HDR has the white of a picture: ITU-R BT.2408, table 1."""
_HLG_PEAK_NITS, _HLG_GAMMA = 1000.0, 1.2

# ITU-R BT.2087-0, 2.
_TO_BT2020 = np.array(
    ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956)), np.float32
)
_LUMA = np.array((0.2627, 0.6780, 0.0593), np.float32)


def encode_light(rgb: Values, transfer: Transfer) -> Values:
    """R'G'B' [3, ...] of BT.2020 that look as those of BT.709 do, both in 0 to 1."""
    light = np.asarray(np.tensordot(_TO_BT2020, rgb**_DISPLAY_GAMMA, 1), np.float32)
    match transfer:
        case Transfer.PQ:
            return _encode_pq(light * np.float32(_WHITE_NITS))
        case Transfer.HLG:
            return _encode_hlg(light * np.float32(_WHITE_NITS))
        case Transfer.SDR:
            return np.asarray(light ** (1 / _DISPLAY_GAMMA), np.float32)


def _encode_pq(nits: Values) -> Values:
    """Source: SMPTE ST 2084, 5.3."""
    root = (nits / 10_000) ** (2610 / 16384)
    ratio = (3424 / 4096 + 2413 / 128 * root) / (1 + 2392 / 128 * root)
    return np.asarray(ratio ** (2523 / 32), np.float32)


def _encode_hlg(nits: Values) -> Values:
    """The inverse of the OOTF, then the OETF. Source: ITU-R BT.2100-2, table 5."""
    shown = nits / _HLG_PEAK_NITS
    luminance = np.maximum(np.tensordot(_LUMA, shown, 1), 1e-9)
    scene = shown * luminance ** (1 / _HLG_GAMMA - 1)
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    bright = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright), np.float32)
