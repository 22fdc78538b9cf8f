"""Turns Pillow's pictures, whatever their mode and colour profile, into 8-bit sRGB tensors."""

import io
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

_SRGB_NAMES = ("sRGB IEC61966-2", "sRGB built-in")

# What a profile says of itself in its header -> the Pillow modes that it can describe.
_PROFILE_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_srgb(picture: Image.Image) -> tuple[Tensor, bool]:
    """The picture as uint8 [H, W, C], C = 3 or, where a pixel is not opaque, 4.

    The second value is False where the picture has a colour profile that had to be ignored.
    """
    profile = picture.info.get("icc_profile")
    if picture.mode in ("RGB", "RGBA") and not profile and "transparency" not in picture.info:
        return without_opaque_alpha(_to_tensor(picture)), True
    color, alpha = _split(picture)
    honoured = True
    if color.mode == "LAB":
        color = ImageCms.applyTransform(color, _from_lab())  # type: ignore[assignment]
    elif profile:
        color, honoured = _apply_profile(color, profile)
    color = color.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        color.putalpha(alpha)
    return _to_tensor(color), honoured


def without_opaque_alpha(plane: Tensor) -> Tensor:
    """The picture [H, W, C] without a fourth channel that says nothing."""
    if plane.shape[2] == 4 and int(plane[..., 3].min()) == 255:
        return plane[..., :3].contiguous()
    return plane


def is_srgb(profile: bytes) -> bool:
    """Whether a colour profile is sRGB by its name, so that it changes nothing."""
    try:
        return _to_srgb_transform(profile)[1] is None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False


def _split(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours in mode L, RGB, CMYK or LAB, and the alpha channel."""
    if picture.has_transparency_data:
        return _split_alpha(picture)
    mode = picture.mode
    if mode.startswith("I") or mode == "F":
        return _to_gray(picture), None
    if mode in ("L", "RGB", "CMYK", "LAB"):
        return picture, None
    return picture.convert("L" if mode == "1" else "RGB"), None


def _split_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    if picture.mode in ("LA", "La"):
        picture = picture.convert("LA")
        return picture.getchannel("L"), picture.getchannel("A")
    key = picture.info.get("transparency")
    if picture.mode.startswith("I"):
        opaque = np.asarray(picture) != key
        return _to_gray(picture), Image.fromarray(opaque.astype(np.uint8) * 255)
    if isinstance(key, tuple) and max(key) > 255:
        # The key of a 16-bit picture: Pillow keeps the high byte of the samples only.
        picture.info["transparency"] = tuple(value >> 8 for value in key)
    full = picture.convert("RGBA")
    return full.convert("RGB"), full.getchannel("A")


def _to_gray(picture: Image.Image) -> Image.Image:
    """Integers and floats as 8-bit gray.

    White is 1 or 255 for floats and 65,535 for integers and floats beyond, whichever first covers
    the largest value; what exceeds even that is scaled to its own largest value. Below 0 is black.
    """
    values = np.nan_to_num(np.asarray(picture), posinf=0, neginf=0)
    largest = float(values.max())
    whites = (1.0, 255.0, 65_535.0) if picture.mode == "F" else (65_535.0,)
    white = next((white for white in whites if largest <= white), largest)
    gray = values.clip(0) * np.float32(255 / white) + np.float32(0.5)
    return Image.fromarray(gray.clip(0, 255).astype(np.uint8))


def _apply_profile(color: Image.Image, profile: bytes) -> tuple[Image.Image, bool]:
    try:
        mode, transform = _to_srgb_transform(profile)
        if transform is None:
            return color, True
        if mode == "RGB" and color.mode == "L":
            color = color.convert("RGB")
        if color.mode != mode:
            return color, False
        converted = ImageCms.applyTransform(color, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return color, False
    return (color if converted is None else converted), True


@lru_cache(maxsize=16)
def _to_srgb_transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """The mode that a profile describes and its way to sRGB, None where it is sRGB already."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = _PROFILE_MODES.get(source.profile.xcolor_space, "")
    description = (source.profile.profile_description or "").strip("\0 ")
    if description == "sRGB" or description.startswith(_SRGB_NAMES):
        return mode, None
    return mode, ImageCms.buildTransform(source, _srgb(), mode, "RGB", _INTENT, _FLAGS)


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@lru_cache(maxsize=1)
def _from_lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB", _INTENT)


def _to_tensor(picture: Image.Image) -> Tensor:
    flat = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return flat.view(picture.height, picture.width, -1)
