"""Turns Pillow's pictures, whatever their mode, into 8-bit RGB(A) tensors."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

import kernels
from farm.engines.profile import INTENT, ProfileError, convert, needed_profile, srgb


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture as uint8 [H, W, C], C = 3 or, where a pixel is not opaque, 4.

    `profile` is still to be applied; without one, the colours are sRGB. `honoured` is False where
    the picture has a colour profile that had to be ignored.
    """

    plane: Tensor
    profile: bytes | None = None
    honoured: bool = True


def to_pixels(picture: Image.Image) -> Pixels:
    """The pixels of a picture; those that RGB cannot hold in its own space are converted here."""
    if picture.mode in ("RGB", "RGBA") and "transparency" not in picture.info:
        profile, honoured = _profile(picture, "RGB")
        return Pixels(without_opaque_alpha(_to_tensor(picture)), profile, honoured)
    color, alpha = _split(picture)
    profile, honoured = None, True
    if color.mode == "LAB":
        color = ImageCms.applyTransform(color, _from_lab())  # type: ignore[assignment]
    else:
        profile, honoured = _profile(picture, color.mode)
    if profile and color.mode == "CMYK":
        color, profile = convert(color, profile), None
    color = color.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        color.putalpha(alpha)
    return Pixels(_to_tensor(color), profile, honoured)


def _profile(picture: Image.Image, mode: str) -> tuple[bytes | None, bool]:
    """The profile by which pixels of `mode` are to be converted, and False where it is useless."""
    try:
        return needed_profile(picture.info.get("icc_profile"), mode), True
    except ProfileError:
        return None, False


def without_opaque_alpha(plane: Tensor) -> Tensor:
    """The picture [H, W, C] without a fourth channel that says nothing."""
    if plane.shape[2] == 4 and kernels.is_opaque(plane):
        return plane[..., :3].contiguous()
    return plane


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


@lru_cache(maxsize=1)
def _from_lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), srgb(), "LAB", "RGB", INTENT)


def _to_tensor(picture: Image.Image) -> Tensor:
    flat = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return flat.view(picture.height, picture.width, -1)
