"""Files that are not what they seem: each must fail, or succeed, in a way that can be foretold."""

import io
from collections.abc import Iterator

import av
import numpy as np
from PIL import Image

from farm.errors import (
    EmptyInputError,
    MediaError,
    NotMediaError,
    NoVideoStreamError,
    RefusedFormatError,
    TooManyPixelsError,
    TruncatedError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.samples.card import Card, to_image
from farm.samples.clip import Recipe, make_clip, make_tone
from farm.samples.png import RGB, encode_png
from farm.samples.sample import Patches, Sample

FOLDER = "broken"

_SIZE = Size(320, 240)
_BOMB_SIDE = 60_000

# Names a real file of the archive: one who follows it shows that file's picture.
_PLAYLIST = (
    b"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n../videos/mpeg2-pal-wide.ts\n#EXT-X-ENDLIST\n"
)
_HTML = b"<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head></html>\n"
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="../pictures/rgb.png"/></svg>\n'
_PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"


def make_broken() -> Iterator[tuple[Sample, bytes]]:
    """Yields each odd file: what must come of it, and its bytes."""
    card = to_image(Card(_SIZE, seed=40).draw(70, "PNG named JPG"))
    jpeg, png = _save(card, "JPEG"), _save(card, "PNG")
    clip = make_clip(Recipe("cut.mp4", "libx264", "", size=_SIZE, frames=25))
    yield _misnamed(), png
    for name, data, error, note in (
        ("empty.jpg", b"", EmptyInputError, "no bytes"),
        ("truncated.jpg", jpeg[: len(jpeg) // 4], TruncatedError, "most of it is missing"),
        ("truncated.png", png[: len(png) // 4], TruncatedError, "most of it is missing"),
        ("truncated.mp4", clip[: clip.index(b"moov") - 4], TruncatedError, "the index is missing"),
        ("noise.jpg", _garbage(4096), NotMediaError, "random bytes"),
        ("text.jpg", b"This is not a picture.\n" * 20, NotMediaError, "text"),
        ("page.jpg", _HTML, NotMediaError, "an error page"),
        ("playlist.mp4", _PLAYLIST, RefusedFormatError, "an HLS playlist of another file"),
        ("drawing.png", _SVG, RefusedFormatError, "an SVG drawing that names another file"),
        ("document.png", _PDF, UnsupportedFormatError, "a PDF document"),
        ("bomb.png", _make_bomb(), TooManyPixelsError, "claims 3.6 gigapixels in 200 bytes"),
        ("audio-only.mp4", _make_audio(), NoVideoStreamError, "sound without a picture"),
    ):
        yield _failing(name, error, note), data


def _misnamed() -> Sample:
    return Sample(
        path=f"{FOLDER}/png-named.jpg",
        kind="image",
        codec="png",
        width=_SIZE.width,
        height=_SIZE.height,
        shown_width=_SIZE.width,
        shown_height=_SIZE.height,
        first_number=70,
        patches=Patches.COLOR,
        note="a PNG under a wrong name: must succeed",
    )


def _failing(name: str, error: type[MediaError], note: str) -> Sample:
    return Sample(path=f"{FOLDER}/{name}", kind="broken", error=error.code, note=note)


def _garbage(count: int) -> bytes:
    return np.random.default_rng(41).bytes(count)


def _make_bomb() -> bytes:
    return encode_png(_BOMB_SIDE, _BOMB_SIDE, bits=8, color_type=RGB, lines=bytes(_BOMB_SIDE))


def _make_audio() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("aac", rate=48_000)
        for chunk in make_tone(1.0):
            container.mux(stream.encode(chunk))
        container.mux(stream.encode())
    return file.getvalue()


def _save(image: Image.Image, image_format: str) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format)
    return file.getvalue()
