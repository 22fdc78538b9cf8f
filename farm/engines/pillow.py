"""Decodes still pictures with Pillow: first frame or page, upright by its tag."""

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO, ClassVar

import PIL
from PIL import ExifTags, Image, ImageChops, ImageFile, UnidentifiedImageError

from farm.engines import Source, Wish
from farm.engines.frame import FrameBatch
from farm.engines.pillow_errors import PLUGIN_ERRORS, check_pixels, translated
from farm.engines.pillow_salvage import FORMATS, is_damage, salvage
from farm.engines.srgb import to_pixels
from farm.errors import UnsupportedFormatError
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


# Pillow's limit and Python's warnings are those of the process: one thread at a time has them.
_GUARD = threading.Lock()


class PillowDecoder:
    """One still picture."""

    def __init__(self, source: Source, *, format_name: str, limits: Limits) -> None:
        self._source = source
        self._format_name = format_name
        self._limits = limits
        self._warnings: dict[str, None] = {}
        self._notes: dict[str, int | float | str] = {}
        with self._guarded():
            self._picture: Image.Image | None = self._open(source.file)
            self._info = self._probe(self._picture)

    @property
    def info(self) -> MediaInfo:
        """Size, format and orientation as the header tells them."""
        return self._info

    @property
    def notes(self) -> dict[str, int | float | str]:
        """Pillow's mode, the shrink factor, how many frames were decoded, the rows if not all."""
        return dict(self._notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """`salvaged`, `icc_ignored`, `exif_ignored`, and Pillow's own as `decoder: ...`."""
        return tuple(self._warnings)

    def frames(self, targets: Sequence[Target], wish: Wish) -> Iterator[FrameBatch]:
        """Yields the one picture, for all targets; a JPEG is shrunk on load as far as serves."""
        if not targets:
            return
        with self._guarded():
            batch = self._decode(len(targets), wish)
        yield batch

    def close(self) -> None:
        """Forgets the picture; Pillow's own close would close the source's file."""
        self._picture = None

    def _open(self, file: BinaryIO, *, at_least: Size | None = None) -> ImageFile.ImageFile:
        """The picture in a file, to be shrunk on load as far as serves."""
        plugin = _PLUGINS[self._format_name]
        file.seek(0)
        try:
            picture = Image.open(file, formats=[plugin])
        except UnidentifiedImageError:
            # Image.open hides the cause; the plug-in itself tells it.
            file.seek(0)
            Image.OPEN[plugin][0](file, "")
            raise
        check_pixels(self._source, Size(*picture.size), limits=self._limits)
        if at_least is not None:
            picture.draft(None, at_least)
        return picture

    def _probe(self, picture: Image.Image) -> MediaInfo:
        # To look for tags behind its pixels, Pillow would decode a whole PNG here.
        hidden = self._format_name == "png" and "exif" not in picture.info
        return MediaInfo(
            kind=MediaKind.IMAGE,
            format=self._format_name,
            codec=(picture.format or self._format_name).lower(),
            size=Size(*picture.size),
            orientation=1 if hidden else self._orientation(picture),
        )

    def _decode(self, count: int, wish: Wish) -> FrameBatch:
        try:
            picture, full_size = self._load(wish.at_least)
        except PLUGIN_ERRORS as error:
            picture, full_size = self._salvage(error, wish)
        self._notes["frames_decoded"] = 1
        self._notes["mode"] = picture.mode
        self._notes["shrink"] = max(1, round(full_size.width / picture.width))
        orientation = self._orientation(picture)
        pixels = to_pixels(_as_stored(picture))
        if not pixels.honoured:
            self._warnings["icc_ignored"] = None
        return FrameBatch(
            planes=(pixels.plane[None],),
            color=ColorTags(),
            full_size=full_size,
            answers=(tuple(range(count)),),
            pts_seconds=(0.0,),
            orientation=orientation,
            profile=pixels.profile,
        )

    def _load(self, at_least: Size | None) -> tuple[Image.Image, Size]:
        """The loaded picture and its full size."""
        picture, self._picture = self._picture or self._open(self._source.file), None
        full_size = Size(*picture.size)
        if at_least is not None and picture.draft(None, at_least) and picture.size != full_size:
            try:
                picture.load()
                return picture, full_size
            except OSError:
                picture = self._open(
                    self._source.file
                )  # A lossless JPEG can be decoded at full size only.
        picture.load()
        check_pixels(self._source, Size(*picture.size), limits=self._limits)
        # An icon or a TIFF may turn out otherwise than its header promised.
        return picture, Size(*picture.size)

    def _salvage(self, error: Exception, wish: Wish) -> tuple[Image.Image, Size]:
        """What is left of a damaged picture, and its full size; raises `error` if too little is."""
        if not (wish.salvage and self._format_name in FORMATS and is_damage(error)):
            raise error
        opened = partial(self._open, at_least=wish.at_least)
        found = salvage(self._source.file, opened, is_jpeg=self._format_name == "jpeg")
        if found is None:
            raise error
        self._warnings["salvaged"] = None
        self._notes["rows"] = f"{found.rows} of {found.picture.height}"
        return found.picture, self._info.size

    def _orientation(self, picture: Image.Image) -> int:
        if picture.format == "TIFF":
            return 1  # Pillow turns a TIFF upright as it loads it and gives the turned size.
        try:
            code = picture.getexif().get(ExifTags.Base.Orientation, 1)
        except PLUGIN_ERRORS:
            self._warnings["exif_ignored"] = None
            return 1
        return code if isinstance(code, int) and 1 <= code <= 8 else 1

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Our pixel limit in place of Pillow's, its warnings collected, its errors translated."""
        with _GUARD, warnings.catch_warnings(record=True) as caught:
            former = Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = self._limits.image_pixels
            warnings.simplefilter("always")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            try:
                yield
            except PLUGIN_ERRORS as error:
                raise translated(
                    error, self._source, format_name=self._format_name, limits=self._limits
                ) from error
            finally:
                Image.MAX_IMAGE_PIXELS = former
        for each in caught:
            self._warnings[f"decoder: {str(each.message).strip()[:200]}"] = None


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
