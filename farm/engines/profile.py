"""Turns pictures into sRGB by the colour profiles (ICC) that they bring."""

import io
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

_SRGB_NAMES = ("sRGB IEC61966-2", "sRGB built-in")

# What a profile says of itself in its header -> the Pillow mode of the pixels that it describes.
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}

INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


class ProfileError(Exception):
    """A profile that is broken, or made for other pixels than those that it comes with."""


def is_srgb(profile: bytes) -> bool:
    """Whether a colour profile is sRGB by its name, so that it changes nothing."""
    try:
        return _to_srgb(profile)[1] is None
    except ProfileError:
        return False


def needed_profile(profile: bytes | None, mode: str) -> bytes | None:
    """The profile where it changes pixels of Pillow's `mode`, None where these are sRGB as it is.

    Raises ProfileError where it is of no use for them. What is returned can be applied.
    """
    if not profile:
        return None
    described, transform = _to_srgb(profile)
    if transform is None:
        return None
    if mode != described and (mode, described) != ("L", "RGB"):
        raise ProfileError(f"a profile for {described or 'unknown'} pixels, received {mode}")
    return profile


def convert(picture: Image.Image, profile: bytes) -> Image.Image:
    """The picture, of the very mode that the profile describes, in sRGB."""
    _, transform = _to_srgb(profile)
    if transform is None:
        return picture
    converted = ImageCms.applyTransform(picture, transform)
    return picture if converted is None else converted


def apply_profile(pictures: Tensor, profile: bytes) -> Tensor:
    """Pictures uint8 [N, H, W, 3 or 4] whose colours are the profile's, in sRGB; alpha stays.

    The profile is one that `needed_profile` returned. One for gray reads the first channel.
    """
    is_gray = _to_srgb(profile)[0] == "L"
    # lcms needs 14 ns a pixel whatever their number: below one another, all pictures are one.
    stored = pictures[..., 0 if is_gray else slice(3)].flatten(0, 1).contiguous()
    converted = torch.from_numpy(np.array(convert(Image.fromarray(stored.numpy()), profile)))
    colors = converted.view(*pictures.shape[:3], 3)
    return torch.cat((colors, pictures[..., 3:]), dim=3) if pictures.shape[3] == 4 else colors


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """The mode that a profile describes and its way to sRGB, None where it is sRGB already.

    To build the way takes as long as to apply it to 250,000 pixels.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get(source.profile.xcolor_space, "")
        description = (source.profile.profile_description or "").strip("\0 ")
        if description == "sRGB" or description.startswith(_SRGB_NAMES):
            return mode, None
        return mode, ImageCms.buildTransform(source, srgb(), mode, "RGB", INTENT, _FLAGS)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ProfileError(str(error)) from error


@lru_cache(maxsize=1)
def srgb() -> ImageCms.ImageCmsProfile:
    """The profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
