"""Colour profiles made by code, and pictures stored in their colours."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Matrix3 = tuple[tuple[float, float, float], ...]

# Rows X, Y and Z of the red, green and blue primaries, adapted to D50.
# IEC 61966-2-1 and Adobe RGB (1998), as their own profiles hold them.
_SRGB: Matrix3 = (
    (0.43607, 0.38515, 0.14307),
    (0.22249, 0.71687, 0.06061),
    (0.01392, 0.09708, 0.71410),
)
_ADOBE_RGB: Matrix3 = (
    (0.60974, 0.20528, 0.14919),
    (0.31111, 0.62567, 0.06322),
    (0.01947, 0.06087, 0.74457),
)
_CURVE_POINTS = 1024


@dataclass(frozen=True, slots=True)
class Profile:
    """An RGB space: its primaries (columns of `matrix`) and its gamma; None: the curve of sRGB."""

    name: str
    matrix: Matrix3
    gamma: float | None = None


SRGB = Profile("sRGB of the samples", _SRGB)
WIDE = Profile("Wide gamut of the samples", _ADOBE_RGB, 563 / 256)
SWAPPED = Profile("Red and blue swapped", tuple((row[2], row[1], row[0]) for row in _SRGB))
"""A decoder that ignores this profile shows blue for red: no one can overlook it."""


def store_in(image: Image.Image, profile: Profile) -> Image.Image:
    """The pixels that, read by `profile`, give the sRGB colours of `image`."""
    linear = _linear_from_srgb(np.asarray(image, np.float64) / 255)
    to_profile = np.linalg.inv(np.array(profile.matrix)) @ np.array(_SRGB)
    values = np.clip(linear @ to_profile.T, 0, 1)
    stored = values ** (1 / profile.gamma) if profile.gamma else _srgb_from_linear(values)
    return Image.fromarray(np.rint(stored * 255).astype(np.uint8))


def encode_icc(profile: Profile) -> bytes:
    """The profile as a file: a matrix and curve display profile, ICC.1:2001-04, 6.3.1.2."""
    text = profile.name.encode("ascii") + b"\0"
    curve = _encode_curve(profile)
    red, green, blue = zip(*profile.matrix, strict=True)
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67),
        b"cprt": b"text\0\0\0\0" + b"Public domain\0",
        b"wtpt": _encode_xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": _encode_xyz(*red),
        b"gXYZ": _encode_xyz(*green),
        b"bXYZ": _encode_xyz(*blue),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    # Size, no preferred module, version 2.1, class, spaces, a date, and the D50 illuminant.
    header = struct.pack(">I4xI", start + len(body), 0x02100000) + b"mntrRGB XYZ "
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += _encode_xyz(0.9642, 1.0, 0.8249)[8:]
    return header.ljust(128, b"\0") + table + body


def _encode_xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _encode_curve(profile: Profile) -> bytes:
    if profile.gamma:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(profile.gamma * 256))
    points = _linear_from_srgb(np.linspace(0, 1, _CURVE_POINTS))
    values = np.rint(points * 65535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", _CURVE_POINTS) + values


def _linear_from_srgb(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _srgb_from_linear(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
