"""Decodes plain JPEGs with libjpeg-turbo straight to RGB, shrunk on load; the rest is Pillow's."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import ClassVar

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray

from farm.engines import PassedOnError, Source
from farm.engines.frame import FrameBatch
from farm.engines.jpeg_header import (
    MOST_HEADER_BYTES,
    Buffer,
    HeaderError,
    JpegHeader,
    parse_header,
)
from farm.engines.jpeg_scans import Cut, cut_early, cut_exactly
from farm.engines.pillow import PillowDecoder, PillowEngine
from farm.engines.pillow_errors import check_pixels, translated
from farm.engines.prefix import Prefix
from farm.engines.profile import ProfileError, needed_profile
from farm.engines.still import Planes
from farm.geometry import Size
from farm.media import MediaFormat, MediaInfo, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Fidelity

_MOST_BYTES = 256 << 20  # all of a file is held in memory
_HEAD_BYTES = 64 << 10
_FIRST_BYTES = 256 << 10
_PREVIEW_ASPECT_TOLERANCE = 0.01

_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive, all by Huffman
# N/8 for other N costs more than the next power of two, as only these have SIMD.
_SHRINKS = (8, 4, 2)


class TurboJpegDecoder:
    """One JPEG of gray or colour."""

    def __init__(self, source: Source, data: Prefix, header: JpegHeader, *, limits: Limits) -> None:
        self._source = source
        self._data = data
        self._header = header
        self._limits = limits
        self._notes: dict[str, int | float | str] = {}
        self._warnings = dict.fromkeys(f"{each}_ignored" for each in header.broken)

    @property
    def info(self) -> MediaInfo:
        """Size and orientation as the header tells them."""
        return MediaInfo(
            kind=MediaKind.IMAGE,
            format="jpeg",
            codec="jpeg",
            size=self._header.size,
            orientation=self._header.orientation,
        )

    @property
    def notes(self) -> dict[str, int | float | str]:
        """How many frames were decoded, the shrink factor of the load, and what was left out."""
        return dict(self._notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """`icc_ignored`, `exif_ignored`, and what libjpeg-turbo warned of as `decoder: ...`."""
        return tuple(self._warnings)

    def frames(
        self,
        targets: Sequence[Target],
        *,
        at_least: Size | None,
        fidelity: Fidelity = Fidelity.BALANCED,
        previews: bool = False,
    ) -> Iterator[FrameBatch]:
        """Yields the one picture, for all targets, shrunk on load down to `at_least`."""
        if not targets:
            return
        least = at_least or self._header.size
        try:
            made = self._by_preview(least) if previews else None
            if made is None:
                made = self._by_scans(_shrink(self._header.size, least), fidelity)
        except ValueError as error:
            yield from self._by_pillow(error, targets, at_least)
            return
        except OSError as error:
            raise translated(
                error, self._source, format_name="jpeg", limits=self._limits
            ) from error
        self._notes["frames_decoded"] = 1
        yield FrameBatch(
            planes=tuple(plane[None] for plane in made.planes),
            color=made.color,
            full_size=self._header.size,
            answers=(tuple(range(len(targets))),),
            pts_seconds=(0.0,),
            orientation=self._header.orientation,
            profile=made.profile,
        )

    def close(self) -> None:
        """Nothing is open but the source's file, which stays so."""

    def _by_preview(self, at_least: Size) -> Planes | None:
        """The Exif thumbnail, where it shows the same picture in the size that is asked."""
        found = self._header.thumbnail
        if found is None or found.orientation not in (None, self._header.orientation):
            return None
        try:
            header = parse_header(found.data)
            if header is None or _odd(header) or not _is_alike(header, self._header):
                return None
            if not _covers(header.size, at_least):
                return None
            made = self._decode(found.data, header, _shrink(header.size, at_least))
        except ValueError:
            return None  # The picture itself has none of its faults.
        self._notes["preview"] = "exif"
        return made

    def _by_scans(self, shrink: int, fidelity: Fidelity) -> Planes:
        """The picture by as few of its scans as serve; raises ValueError as `_decode` does."""
        self._notes["shrink"] = shrink
        if cut := self._cut(shrink, fidelity):
            with suppress(ValueError):
                made = self._decode(cut.data, self._header, shrink, fast=fidelity is Fidelity.FAST)
                self._notes["scans"] = f"{cut.kept} of {cut.seen}"
                return made
        fast = fidelity is Fidelity.FAST
        return self._decode(self._data.all(), self._header, shrink, fast=fast)

    def _cut(self, shrink: int, fidelity: Fidelity) -> Cut | None:
        """The scans that the picture needs, where these are not all."""
        if not self._header.is_progressive or fidelity is Fidelity.BEST:
            return None
        if fidelity is Fidelity.BALANCED:
            return cut_exactly(self._data.all(), self._header, shrink=shrink)
        count = _FIRST_BYTES
        while not (cut := cut_early(self._data.first(count), self._header, shrink=shrink)):
            if self._data.is_all:
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
        return Planes((torch.from_numpy(pixels),), profile=self._profile(header))

    def _profile(self, header: JpegHeader) -> bytes | None:
        """The profile by which the picture is to be converted; warns where it is of no use."""
        mode = "L" if len(header.components) == 1 else "RGB"
        try:
            return needed_profile(header.profile or self._header.profile, mode)
        except ProfileError:
            self._warnings["icc_ignored"] = None
            return None

    def _by_pillow(
        self, error: ValueError, targets: Sequence[Target], at_least: Size | None
    ) -> Iterator[FrameBatch]:
        """What Pillow makes of damaged data; raises its verdict where it makes nothing."""
        decoder = PillowDecoder(self._source, format_name="jpeg", limits=self._limits)
        yield from decoder.frames(targets, at_least=at_least)
        self._warnings.update(dict.fromkeys(decoder.warnings))
        if not str(error).startswith("tj"):  # an odd subsampling, which is no fault of the file
            self._warnings[f"decoder: {error}"[:200]] = None
        self._notes.update(decoder.notes | {"decoder": "pillow"})


class TurboJpegEngine:
    """libjpeg-turbo by its own API, without Pillow's way from pixels to tensors."""

    name: ClassVar[str] = "turbojpeg"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE})
    device: ClassVar[str] = "cpu"

    @property
    def version(self) -> str:
        """The version of simplejpeg, which brings its libjpeg-turbo with it."""
        return str(simplejpeg.__version__)

    def open(
        self, source: Source, *, media_format: MediaFormat, limits: Limits
    ) -> TurboJpegDecoder:
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
        return TurboJpegDecoder(source, data, header, limits=limits)


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
