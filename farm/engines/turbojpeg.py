"""Decodes plain JPEGs with libjpeg-turbo straight to RGB, shrunk on load; the rest is Pillow's."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray

from farm.engines import PassedOnError, Source, Wish
from farm.engines.jpeg_header import (
    MOST_HEADER_BYTES,
    Buffer,
    HeaderError,
    JpegHeader,
    parse_header,
)
from farm.engines.jpeg_scans import Cut, cut_early, cut_exactly
from farm.engines.pillow import PillowEngine
from farm.engines.pillow_errors import check_pixels, translated
from farm.engines.prefix import Prefix
from farm.engines.profile import ProfileError, needed_profile
from farm.engines.still import DamagedError, Note, Planes, StillDecoder, still_info
from farm.geometry import Size
from farm.media import MediaFormat, MediaKind
from farm.settings import Limits
from farm.spec import Fidelity

_MOST_BYTES = 256 << 20  # all of a file is held in memory
_HEAD_BYTES = 64 << 10
_FIRST_BYTES = 256 << 10
_PREVIEW_ASPECT_TOLERANCE = 0.01

_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive, all by Huffman
# N/8 for other N costs more than the next power of two, as only these have SIMD.
_SHRINKS = (8, 4, 2)


@dataclass(frozen=True, slots=True)
class _Still:
    """One JPEG of gray or colour."""

    data: Prefix
    header: JpegHeader

    def decode(self, wish: Wish) -> Planes:
        """The picture, shrunk on load as far as serves; what libjpeg-turbo warns of is Pillow's."""
        least = wish.at_least or self.header.size
        try:
            made = self._by_preview(least) if wish.previews else None
            return made or self._by_scans(_shrink(self.header.size, least), wish.fidelity)
        except ValueError as error:
            # An odd subsampling is no fault of the file.
            raise DamagedError(error, is_fault=not str(error).startswith("tj")) from error

    def _by_preview(self, at_least: Size) -> Planes | None:
        """The Exif thumbnail, where it shows the same picture in the size that is asked."""
        found = self.header.thumbnail
        if found is None or found.orientation not in (None, self.header.orientation):
            return None
        try:
            header = parse_header(found.data)
            if header is None or _odd(header) or not _is_alike(header, self.header):
                return None
            if not _covers(header.size, at_least):
                return None
            made = self._decode(found.data, header, _shrink(header.size, at_least))
        except ValueError:
            return None  # The picture itself has none of its faults.
        return replace(made, notes={"preview": "exif"})

    def _by_scans(self, shrink: int, fidelity: Fidelity) -> Planes:
        """The picture by as few of its scans as serve; raises ValueError as `_decode` does."""
        fast = fidelity is Fidelity.FAST
        notes: dict[str, Note] = {"shrink": shrink}
        if cut := self._cut(shrink, fidelity):
            with suppress(ValueError):
                made = self._decode(cut.data, self.header, shrink, fast=fast)
                return replace(made, notes=notes | {"scans": f"{cut.kept} of {cut.seen}"})
        made = self._decode(self.data.all(), self.header, shrink, fast=fast)
        return replace(made, notes=notes)

    def _cut(self, shrink: int, fidelity: Fidelity) -> Cut | None:
        """The scans that the picture needs, where these are not all."""
        if not self.header.is_progressive or fidelity is Fidelity.BEST:
            return None
        if fidelity is Fidelity.BALANCED:
            return cut_exactly(self.data.all(), self.header, shrink=shrink)
        count = _FIRST_BYTES
        while not (cut := cut_early(self.data.first(count), self.header, shrink=shrink)):
            if self.data.is_all:
                return None
            count *= 2
        return cut

    def _decode(
        self, data: Buffer, header: JpegHeader, shrink: int, *, fast: bool = False
    ) -> Planes:
        """The picture as uint8 [H, W, 3]; raises ValueError at anything that libjpeg warns of."""
        width, height = _shrunk(header.size, shrink)
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, colorspace="RGB", fastupsample=fast, min_width=width, min_height=height
        )
        made = Planes((torch.from_numpy(pixels),))
        mode = "L" if len(header.components) == 1 else "RGB"
        try:
            return replace(
                made, profile=needed_profile(header.profile or self.header.profile, mode)
            )
        except ProfileError:
            return replace(made, warnings=("icc_ignored",))


class TurboJpegEngine:
    """libjpeg-turbo by its own API, without Pillow's way from pixels to tensors."""

    name: ClassVar[str] = "turbojpeg"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE})
    device: ClassVar[str] = "cpu"

    @property
    def version(self) -> str:
        """The version of simplejpeg, which brings its libjpeg-turbo with it."""
        return str(simplejpeg.__version__)

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> StillDecoder:
        """Reads the header; raises PassedOnError for all but gray and colour of 8 bits."""
        if media_format.name != "jpeg":
            raise PassedOnError(
                f"{source.name}: is {media_format.name}; engine {self.name} decodes jpeg only"
            )
        if source.size_bytes > _MOST_BYTES:
            raise PassedOnError(
                f"{source.name}: {source.size_bytes} bytes, which engine pillow reads in parts"
            )
        try:
            data = Prefix(source)
            header = _read_header(data)
        except OSError as error:
            raise translated(error, source, format_name="jpeg", limits=limits) from error
        except HeaderError as error:
            # Pillow's decoder is more lenient, or says what is wrong.
            PillowEngine().open(source, media_format=media_format, limits=limits)
            raise PassedOnError(f"{source.name}: {error}; engine pillow opens it") from error
        if odd := _odd(header):
            raise PassedOnError(f"{source.name}: {odd}, which engine pillow is for")
        check_pixels(source, header.size, limits=limits)
        info = still_info("jpeg", header.size, orientation=header.orientation)
        decode = _Still(data, header).decode
        return StillDecoder(source, info, decode, limits=limits, ignored=header.broken)


def _read_header(data: Prefix) -> JpegHeader:
    header = data.parsed(parse_header, first=_HEAD_BYTES, most=MOST_HEADER_BYTES)
    if header is None:
        raise HeaderError("has no scan")
    return header


def _odd(header: JpegHeader) -> str | None:
    """What of the header is not plain."""
    if header.frame not in _FRAMES:
        return f"has a frame of kind {header.frame:#04x}"
    if header.bits != 8:
        return f"has {header.bits} bits a sample"
    if len(header.components) not in (1, 3):
        return f"has {len(header.components)} components"
    return None


def _is_alike(preview: JpegHeader, whole: JpegHeader) -> bool:
    """Whether a preview has the colours and the aspect of the picture, and is no larger.

    Many have black bars on two sides.
    """
    if len(preview.components) != len(whole.components) or not _covers(whole.size, preview.size):
        return False
    one = preview.size.width * whole.size.height
    other = preview.size.height * whole.size.width
    return abs(one - other) <= _PREVIEW_ASPECT_TOLERANCE * other


def _covers(size: Size, other: Size) -> bool:
    return size.width >= other.width and size.height >= other.height


def _shrunk(size: Size, shrink: int) -> Size:
    return Size(-(-size.width // shrink), -(-size.height // shrink))


def _shrink(size: Size, at_least: Size) -> int:
    """The largest factor by which `size` can be shrunk and still be `at_least`."""
    return next((each for each in _SHRINKS if _covers(_shrunk(size, each), at_least)), 1)
