"""Decodes plain PNGs with ISA-L and FFmpeg, in half of Pillow's time; the rest is Pillow's."""

from functools import partial
from typing import ClassVar

import isal

from farm.engines import PassedOnError, Source, Wish
from farm.engines.pillow_errors import check_pixels, translated
from farm.engines.png_chunks import MOST_HEADER_BYTES, PngHeader, image_data, parse_header
from farm.engines.png_rows import decode_rows
from farm.engines.prefix import Prefix
from farm.engines.profile import ProfileError, needed_profile
from farm.engines.srgb import without_opaque_alpha
from farm.engines.still import OddError, Planes, StillDecoder, passed_on, still_info
from farm.media import MediaFormat, MediaKind
from farm.settings import Limits

_MOST_BYTES = 256 << 20  # all of a file is held in memory
_HEAD_BYTES = 16 << 10


class FastPngEngine:
    """RGB and RGBA of 8 bits, neither interlaced nor animated, without tags of a camera."""

    name: ClassVar[str] = "fastpng"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE})
    device: ClassVar[str] = "cpu"

    @property
    def version(self) -> str:
        """The version of the binding to ISA-L."""
        return isal.__version__

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> StillDecoder:
        """Reads the header; raises PassedOnError for all but plain files."""
        if media_format.name != "png":
            raise PassedOnError(
                f"{source.name}: is {media_format.name}; engine {self.name} decodes png only"
            )
        if source.size_bytes > _MOST_BYTES:
            raise passed_on(source, OddError(f"has {source.size_bytes} bytes"))
        try:
            data = Prefix(source)
            header = _read_header(data)
        except OddError as error:
            raise passed_on(source, error) from error
        except OSError as error:
            raise translated(error, source, format_name="png", limits=limits) from error
        check_pixels(source, header.size, limits=limits)
        decode = partial(_decode, data, header)
        return StillDecoder(source, still_info("png", header.size), decode, limits=limits)


def _read_header(data: Prefix) -> PngHeader:
    header = data.parsed(parse_header, first=_HEAD_BYTES, most=MOST_HEADER_BYTES)
    if header is None:
        raise OddError("has no image data")
    return header


def _decode(data: Prefix, header: PngHeader, wish: Wish) -> Planes:
    try:
        profile = needed_profile(header.profile, "RGB")
    except ProfileError as error:
        raise OddError("has a profile of no use") from error
    plane = decode_rows(image_data(data.all()), header)
    return Planes((without_opaque_alpha(plane),), profile=profile)
