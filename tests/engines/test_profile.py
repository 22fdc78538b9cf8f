"""Colour profiles: which fit which pixels, and what they make of them."""

import io
import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from farm.engines import profile as module
from farm.engines.profile import ProfileError, apply_profile, needed_profile
from farm.samples.profile import SRGB, SWAPPED, WIDE, encode_icc
from tests.engines.test_pillow import profile_of

WIDE_ICC = encode_icc(WIDE)


def gray_profile() -> bytes:
    """Gray of gamma 2, a monochrome display profile by ICC.1:2001-04, 6.3.1.1."""
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"gray\0" + bytes(78),
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061),
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, 2 << 8),
    }
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    rgb = WIDE_ICC[:128]  # its header but for the space and the size
    header = struct.pack(">I", start + len(body)) + rgb[4:16] + b"GRAY" + rgb[20:]
    return header + table + body


def pictures(channels: int = 3, count: int = 2) -> torch.Tensor:
    shape = (count, 5, 7, channels)
    generator = torch.Generator().manual_seed(channels)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("profile", "mode", "wanted"),
    [
        (None, "RGB", None),
        (b"", "RGB", None),
        (profile_of("sRGB"), "RGB", None),
        (profile_of("sRGB"), "L", None),
        (WIDE_ICC, "RGB", WIDE_ICC),
        (WIDE_ICC, "L", WIDE_ICC),
        (gray_profile(), "L", gray_profile()),
        # Known by its name only, which this one has not.
        (encode_icc(SRGB), "RGB", encode_icc(SRGB)),
    ],
)
def test_a_profile_is_needed_where_it_changes_the_pixels(profile, mode, wanted):
    assert needed_profile(profile, mode) == wanted


@pytest.mark.parametrize(
    ("profile", "mode"),
    [
        (b"rubbish" * 40, "RGB"),
        (WIDE_ICC[:300], "RGB"),
        (WIDE_ICC, "CMYK"),
        (profile_of("LAB"), "RGB"),
        (profile_of("XYZ"), "RGB"),
        (gray_profile(), "RGB"),
    ],
)
def test_a_profile_of_no_use_is_refused(profile, mode):
    with pytest.raises(ProfileError):
        needed_profile(profile, mode)


def test_pictures_become_what_little_cms_makes_of_each_and_alpha_stays():
    stored = pictures(4)
    made = apply_profile(stored, WIDE_ICC)
    assert torch.equal(made[..., 3], stored[..., 3])
    assert torch.equal(made[..., :3], apply_profile(stored[..., :3], WIDE_ICC))
    for one, other in zip(made, stored, strict=True):
        picture = Image.fromarray(other[..., :3].contiguous().numpy())
        wanted = ImageCms.profileToProfile(
            picture,
            ImageCms.ImageCmsProfile(io.BytesIO(WIDE_ICC)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        assert torch.equal(one[..., :3], torch.from_numpy(np.array(wanted)))


def test_exchanged_primaries_exchange_the_channels():
    made = apply_profile(pictures(), encode_icc(SWAPPED))
    assert (made.int() - pictures().flip(3).int()).abs().max() <= 2


@pytest.mark.parametrize("channels", [3, 4])
def test_gray_is_read_by_its_curve(channels):
    stored = pictures(channels)
    stored[..., :3] = stored[..., :1]
    made = apply_profile(stored, gray_profile())
    # The curve of IEC 61966-2-1; where it is steepest, little CMS is off by some more.
    light = (stored[..., :3].double() / 255) ** 2
    curved = torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    assert (made[..., :3] - curved * 255).abs().max() <= 2
    assert torch.equal(made[..., 3:], stored[..., 3:])


def test_the_way_of_a_profile_is_built_once(monkeypatch):
    module._to_srgb.cache_clear()
    build, built = ImageCms.buildTransform, []
    monkeypatch.setattr(
        ImageCms, "buildTransform", lambda *words: built.append(words) or build(*words)
    )
    for _ in range(3):
        assert needed_profile(bytes(bytearray(WIDE_ICC)), "RGB")
        apply_profile(pictures(), WIDE_ICC)
    assert len(built) == 1
