"""Decodes still pictures with Pillow: first frame or page, upright by its tag, in sRGB."""

import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import PIL
from PIL import ExifTags, Image, ImageChops, UnidentifiedImageError

from farm.engines import Source
from farm.engines.frame import FrameBatch
from farm.engines.srgb import to_srgb
from farm.errors import (
    CorruptError,
    FarmError,
    LimitError,
    SourceUnavailableError,
    TruncatedError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.media import ColorTags, MediaFormat, MediaInfo, MediaKind
from farm.sampling import Target
from farm.settings import Limits

# Sniffed format -> Pillow plug-in. What is missing here is never opened, above all EPS, which would
# run Ghostscript. JPEG brings MPO with it.
_PLUGINS = {
    "jpeg": "JPEG",
    "png": "PNG",
    "gif": "GIF",
    "webp": "WEBP",
    "tiff": "TIFF",
    "bmp": "BMP",
    "avif": "AVIF",
    "jp2": "JPEG2000",
    "j2k": "JPEG2000",
    "ico": "ICO",
    "cur": "CUR",
    "tga": "TGA",
    "ppm": "PPM",
    "dds": "DDS",
    "psd": "PSD",
    "qoi": "QOI",
    "icns": "ICNS",
    "pcx": "PCX",
    "sgi": "SGI",
    "sun": "SUN",
}

_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)

# All that Pillow's plug-ins were seen to raise at broken files, apart from MemoryError.
_PLUGIN_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
    *_BOMBS,
)
_CUT = re.compile(
    r"truncat|not enough|unexpected end|too short|incomplete|\bEOF\b|end of (?:file|data)", re.I
)
_UNKNOWN = re.compile(
    r"unsupported|not supported|unknown|not implemented|not available|cannot handle",
    re.I,
)


class PillowDecoder:
    """One still picture."""

    def __init__(self, source: Source, *, format_name: str, limits: Limits) -> None:
        self._source = source
        self._format_name = format_name
        self._limits = limits
        self._warnings: dict[str, None] = {}
        self._notes: dict[str, int | float | str] = {}
        with self._guarded():
            self._picture: Image.Image | None = self._open()
            self._info = self._probe(self._picture)

    @property
    def info(self) -> MediaInfo:
        """Size, format and orientation as the header tells them."""
        return self._info

    @property
    def notes(self) -> dict[str, int | float | str]:
        """Pillow's mode, the shrink factor of the load, and how many frames were decoded."""
        return dict(self._notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """`icc_ignored`, `exif_ignored`, and what Pillow warned of as `decoder: ...`."""
        return tuple(self._warnings)

    def frames(self, targets: Sequence[Target], *, at_least: Size | None) -> Iterator[FrameBatch]:
        """Yields the one picture, for all targets; a JPEG is shrunk on load down to `at_least`."""
        if not targets:
            return
        with self._guarded():
            batch = self._decode(len(targets), at_least)
        yield batch

    def close(self) -> None:
        """Forgets the picture; Pillow's own close would close the source's file."""
        self._picture = None

    def _open(self) -> Image.Image:
        file, plugin = self._source.file, _PLUGINS[self._format_name]
        file.seek(0)
        try:
            picture = Image.open(file, formats=[plugin])
        except UnidentifiedImageError:
            # Image.open hides the cause; the plug-in itself tells it.
            file.seek(0)
            Image.OPEN[plugin][0](file, "")
            raise
        self._check_pixels(picture)
        return picture

    def _probe(self, picture: Image.Image) -> MediaInfo:
        return MediaInfo(
            kind=MediaKind.IMAGE,
            format=self._format_name,
            codec=(picture.format or self._format_name).lower(),
            size=Size(*picture.size),
            orientation=self._orientation(picture),
        )

    def _decode(self, count: int, at_least: Size | None) -> FrameBatch:
        picture, self._picture = self._picture or self._open(), None
        full_size = Size(*picture.size)
        if at_least is not None:
            picture.draft(None, at_least)
        picture.load()
        self._check_pixels(picture)
        shrunk = full_size.width > picture.width or full_size.height > picture.height
        if not shrunk or self._format_name != "jpeg":
            # An icon or a TIFF may turn out otherwise than its header promised.
            full_size = Size(*picture.size)
        self._notes["frames_decoded"] = 1
        self._notes["mode"] = picture.mode
        self._notes["shrink"] = max(1, round(full_size.width / picture.width))
        orientation = self._orientation(picture)
        plane, honoured = to_srgb(_as_stored(picture))
        if not honoured:
            self._warnings["icc_ignored"] = None
        return FrameBatch(
            planes=(plane[None],),
            color=ColorTags(),
            full_size=full_size,
            answers=(tuple(range(count)),),
            pts_seconds=(0.0,),
            orientation=orientation,
        )

    def _orientation(self, picture: Image.Image) -> int:
        if picture.format == "TIFF":
            return 1  # Pillow turns a TIFF upright as it loads it and gives the turned size.
        try:
            # Not picture.getexif(), which decodes a whole PNG to find tags behind its pixels.
            code = Image.Image.getexif(picture).get(ExifTags.Base.Orientation, 1)
        except _PLUGIN_ERRORS:
            self._warnings["exif_ignored"] = None
            return 1
        return code if isinstance(code, int) and 1 <= code <= 8 else 1

    def _check_pixels(self, picture: Image.Image) -> None:
        if picture.width * picture.height > self._limits.image_pixels:
            raise self._too_large(f"{picture.width} x {picture.height} pixels")

    def _too_large(self, what: str) -> LimitError:
        allowed = self._limits.image_pixels
        return LimitError(
            f"{self._source.name}: {what}, more than the {allowed} allowed for a picture"
        )

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Our pixel limit in place of Pillow's, its warnings collected, its errors translated."""
        former = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = self._limits.image_pixels
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            try:
                yield
            except _PLUGIN_ERRORS as error:
                raise self._translated(error) from error
            finally:
                Image.MAX_IMAGE_PIXELS = former
        for each in caught:
            self._warnings[f"decoder: {str(each.message).strip()[:200]}"] = None

    def _translated(self, error: Exception) -> FarmError | MemoryError:
        """What a plug-in's error means, which only its text tells."""
        name, text = self._source.name, _text(error)
        if isinstance(error, _BOMBS):
            pixels = re.search(r"\d+", text)
            return self._too_large(f"{pixels[0] if pixels else 'too many'} pixels")
        if isinstance(error, OSError) and error.errno is not None:
            return SourceUnavailableError(f"{name}: cannot be read: {text}")
        if "too large for PngImagePlugin" in text:
            return LimitError(f"{name}: {text.partition(' for ')[0]} for a text or colour profile")
        if "out of memory" in text:
            return MemoryError(f"{name}: {text}")
        told = f"{name}: Pillow cannot decode this {self._format_name}: {text[:300]}"
        cut = _declared_bytes(self._source, self._format_name) > self._source.size_bytes
        if cut or isinstance(error, EOFError) or _CUT.search(text):
            return TruncatedError(told)
        if isinstance(error, NotImplementedError) or _UNKNOWN.search(text):
            return UnsupportedFormatError(told)
        return CorruptError(told)


def _text(error: Exception) -> str:
    text = str(error).strip()
    if text == "not identified by this driver":
        return "the header gives no size or no kind of pixels"
    # A plug-in's error of these kinds carries a bare key or number; Pillow wraps it in SyntaxError.
    root = error.__cause__ or error
    return f"{type(root).__name__} {text}" if isinstance(root, LookupError) or not text else text


def _declared_bytes(source: Source, format_name: str) -> int:
    """How long a RIFF or an ISO base media file says it is, 0 where it does not say."""
    source.file.seek(0)
    head = source.file.read(8)
    if format_name == "webp":
        return 8 + int.from_bytes(head[4:8], "little")
    if format_name != "avif":
        return 0
    end = 0
    while len(head) == 8 and (size := int.from_bytes(head[:4], "big")) >= 8:
        end += size
        source.file.seek(end)
        head = source.file.read(8)
    return end


def _as_stored(picture: Image.Image) -> Image.Image:
    """Undoes Pillow's inversion of CMYK in a JPEG without Adobe's marker, which is what inverts."""
    if picture.mode == "CMYK" and picture.format == "JPEG" and "adobe" not in picture.info:
        profile = picture.info.get("icc_profile")
        picture = ImageChops.invert(picture)
        picture.info["icc_profile"] = profile
    return picture


class PillowEngine:
    """Pillow's decoders, each opened only for the format that the content shows."""

    name: ClassVar[str] = "pillow"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE})
    device: ClassVar[str] = "cpu"

    def __init__(self) -> None:
        Image.init()

    @property
    def version(self) -> str:
        """The version of Pillow."""
        return PIL.__version__

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> PillowDecoder:
        """Reads the header; raises UnsupportedFormatError where Pillow has no such decoder."""
        # Pillow raises KeyError for a plug-in that this build lacks.
        if _PLUGINS.get(media_format.name) not in Image.OPEN:
            raise UnsupportedFormatError(
                f"{source.name}: is {media_format.name}, "
                f"which Pillow {PIL.__version__} cannot decode"
            )
        return PillowDecoder(source, format_name=media_format.name, limits=limits)
