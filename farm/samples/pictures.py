"""The pictures of the archive: every storage form that decoders must bring to the same card."""

import io
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from farm.geometry import Size
from farm.samples.card import Card, to_image
from farm.samples.png import encode_rgb16
from farm.samples.profile import SRGB, SWAPPED, WIDE, encode_icc, store_in
from farm.samples.sample import Patches, Sample

FOLDER = "pictures"

_SIZE = Size(480, 320)
_SMALL = Size(320, 214)
_PHOTO = Size(4000, 3000)
_EXIF_ORIENTATION = 0x0112

# How an upright picture is stored under each Exif code: the inverse of the turn that shows it.
_STORED_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the card is stored: Pillow's mode and format, and what that does to its colours."""

    name: str
    format: str
    note: str
    mode: str = "RGB"
    options: dict[str, Any] = field(default_factory=dict)
    patches: Patches = Patches.COLOR
    tolerance: int = 0


_LZW: dict[str, Any] = {"compression": "tiff_lzw"}

_KINDS = (
    _Kind("baseline.jpg", "JPEG", "baseline JPEG", tolerance=4),
    _Kind("progressive.jpg", "JPEG", "progressive", options={"progressive": True}, tolerance=4),
    _Kind("fine-444.jpg", "JPEG", "chroma in full", options={"subsampling": 0}, tolerance=4),
    _Kind("cmyk.jpg", "JPEG", "CMYK, inverted as Adobe does", "CMYK", tolerance=8),
    _Kind("gray.jpg", "JPEG", "one channel", "L", patches=Patches.GRAY, tolerance=4),
    _Kind("café 1 %20.jpg", "JPEG", "a name with a space, an accent and a percent", tolerance=4),
    _Kind("rgb.png", "PNG", "RGB"),
    _Kind("alpha.png", "PNG", "fades out at its edges", "RGBA"),
    _Kind("palette.png", "PNG", "256 colours", "P", tolerance=16),
    _Kind("gray.png", "PNG", "8-bit gray", "L", patches=Patches.GRAY, tolerance=1),
    _Kind("gray-alpha.png", "PNG", "gray that fades out", "LA", patches=Patches.GRAY, tolerance=1),
    _Kind("gray-16bit.png", "PNG", "16-bit gray", "I;16", patches=Patches.GRAY, tolerance=1),
    _Kind("one-bit.png", "PNG", "1 bit, dithered", "1", patches=Patches.NONE),
    _Kind("lossless.webp", "WEBP", "lossless WebP", options={"lossless": True, "method": 0}),
    _Kind("lossy-alpha.webp", "WEBP", "lossy, with alpha", "RGBA", {"method": 0}, tolerance=8),
    _Kind("photo.avif", "AVIF", "AVIF", options={"speed": 10}, tolerance=8),
    _Kind("rgb-lzw.tiff", "TIFF", "TIFF, LZW", options=_LZW),
    _Kind("gray-16bit.tiff", "TIFF", "16-bit", "I;16", patches=Patches.GRAY, tolerance=1),
    _Kind("rgb.bmp", "BMP", "BMP"),
)


def make_pictures() -> Iterator[tuple[Sample, bytes]]:
    """Yields each picture: what it is, and its bytes."""
    for number, kind in enumerate(_KINDS, 1):
        data = _save(
            _convert(_card(number, _caption(kind.name)), kind.mode), kind.format, **kind.options
        )
        yield (
            _describe(
                kind.name,
                kind.format,
                kind.note,
                first_number=number,
                patches=kind.patches,
                patch_tolerance=kind.tolerance,
            ),
            data,
        )
    yield from _turned()
    yield from _profiled()
    yield from _special_pngs()
    yield from _several()
    yield from _sizes()


def _turned() -> Iterator[tuple[Sample, bytes]]:
    for code in range(1, 9):
        stored = _card(code, f"EXIF {code}")
        if code != 1:
            stored = stored.transpose(_STORED_BY_ORIENTATION[code])
        exif = Image.Exif()
        exif[_EXIF_ORIENTATION] = code
        sample = _describe(
            f"exif-{code}.jpg",
            "JPEG",
            f"Exif orientation {code}; upright when shown",
            size=Size(*stored.size),
            orientation=code,
            first_number=code,
            patches=Patches.COLOR,
            patch_tolerance=4,
        )
        yield sample, _save(stored, "JPEG", exif=exif)


def _profiled() -> Iterator[tuple[Sample, bytes]]:
    for number, (word, profile) in enumerate(
        {"srgb": SRGB, "wide-gamut": WIDE, "swapped": SWAPPED}.items(), 40
    ):
        name = f"icc-{word}.jpg"
        stored = store_in(_card(number, name), profile)
        sample = _describe(
            name,
            "JPEG",
            f"ICC profile: {profile.name}",
            first_number=number,
            patches=Patches.COLOR,
            patch_tolerance=6,
        )
        yield sample, _save(stored, "JPEG", subsampling=0, icc_profile=encode_icc(profile))


def _special_pngs() -> Iterator[tuple[Sample, bytes]]:
    name = "rgb-16bit.png"
    deep = np.asarray(_card(50, name), np.uint16) * np.uint16(257)
    sample = _describe(
        name,
        "PNG",
        "16 bits per channel",
        first_number=50,
        patches=Patches.COLOR,
        patch_tolerance=1,
    )
    yield sample, encode_rgb16(deep)
    name = "palette-transparent.png"
    # The last index is see-through, and magenta for a reader who overlooks that.
    image = _card(51, name).quantize(255, dither=Image.Dither.NONE)
    image.putpalette([*(image.getpalette() or [])[: 3 * 255], 255, 0, 255])
    for edge in ((0, 0, 8, _SIZE.height), (_SIZE.width - 8, 0, _SIZE.width, _SIZE.height)):
        image.paste(255, edge)
    sample = _describe(
        name,
        "PNG",
        "a palette with a transparent entry",
        first_number=51,
        patches=Patches.COLOR,
        patch_tolerance=16,
    )
    yield sample, _save(image, "PNG", transparency=255)


def _several() -> Iterator[tuple[Sample, bytes]]:
    """Files of several pictures; the first one counts."""
    frames = [_card(number, f"frame {number}", _SMALL) for number in range(8)]
    kinds: tuple[tuple[str, str, dict[str, Any], int, Sequence[Image.Image]], ...] = (
        ("animated.gif", "GIF", {"duration": 100}, 16, [_convert(frame, "P") for frame in frames]),
        ("animated.webp", "WEBP", {"duration": 100, "method": 0}, 8, frames),
        ("animated.png", "PNG", {"duration": 100}, 0, frames[:4]),
        ("pages.tiff", "TIFF", _LZW, 0, frames[:3]),
    )
    for name, image_format, options, tolerance, pictures in kinds:
        sample = _describe(
            name,
            image_format,
            f"{len(pictures)} pictures in one file",
            size=_SMALL,
            frame_count=len(pictures),
            first_number=0,
            patches=Patches.COLOR,
            patch_tolerance=tolerance,
        )
        first, *rest = pictures
        yield sample, _save(first, image_format, save_all=True, append_images=rest, **options)


def _sizes() -> Iterator[tuple[Sample, bytes]]:
    photo = to_image(Card(_PHOTO, seed=7).draw(60, "12 megapixels"))
    sample = _describe(
        "photo-12mp.jpg",
        "JPEG",
        "as large as a camera makes them",
        size=_PHOTO,
        first_number=60,
        patches=Patches.COLOR,
        patch_tolerance=4,
    )
    yield sample, _save(photo, "JPEG", quality=85)
    icon = Size(256, 256)
    sample = _describe("icon.ico", "ICO", "a Windows icon", size=icon, first_number=61)
    yield sample, _save(_card(61, "icon", icon), "ICO", sizes=[icon])
    for name, size, note in (
        ("one-pixel.png", Size(1, 1), "a single pixel"),
        ("very-wide.png", Size(6000, 7), "6000 times 7"),
        ("very-tall.jpg", Size(5, 4000), "5 times 4000"),
    ):
        image_format = "PNG" if name.endswith("png") else "JPEG"
        ramp = Image.linear_gradient("L").resize(size).convert("RGB")
        yield _describe(name, image_format, note, size=size), _save(ramp, image_format)


def _describe(
    name: str,
    image_format: str,
    note: str,
    *,
    size: Size = _SIZE,
    orientation: int = 1,
    **found: Any,
) -> Sample:
    shown = Size(size.height, size.width) if orientation >= 5 else size
    return Sample(
        path=f"{FOLDER}/{name}",
        kind="image",
        codec=image_format.lower(),
        width=size.width,
        height=size.height,
        shown_width=shown.width,
        shown_height=shown.height,
        orientation=orientation,
        note=note,
        **found,
    )


def _caption(name: str) -> str:
    # Pillow's own font has no letters with accents.
    return unicodedata.normalize("NFD", name).encode("ascii", "ignore").decode()


@cache
def _blank(size: Size) -> Card:
    return Card(size, seed=30)


def _card(number: int, caption: str, size: Size = _SIZE) -> Image.Image:
    return to_image(_blank(size).draw(number, caption))


def _convert(image: Image.Image, mode: str) -> Image.Image:
    match mode:
        case "RGBA" | "LA":
            faded = image.convert(mode)
            faded.putalpha(_fade(Size(*image.size)))
            return faded
        case "P":
            return image.quantize(256, dither=Image.Dither.NONE)
        case "I;16":
            return Image.fromarray(np.asarray(image.convert("L"), np.uint16) * np.uint16(257))
    return image.convert(mode)


def _fade(size: Size) -> Image.Image:
    """Alpha that rises from 0 at the left and right edges to 255 on the outer 4 per cent."""
    columns = np.minimum(np.arange(size.width), np.arange(size.width)[::-1])
    row = np.clip(columns * (255 / (0.04 * size.width)), 0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(row, (size.height, size.width))))


def _save(image: Image.Image, image_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    defaults = {"quality": 90} if image_format in ("JPEG", "WEBP", "AVIF") else {}
    image.save(file, image_format, **{**defaults, **options})
    return file.getvalue()
