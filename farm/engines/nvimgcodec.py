"""Decodes plain stills with nvImageCodec, those of many entries at once; the rest is Pillow's.

With a GPU the pictures stay in its memory, and baseline JPEGs are shrunk on load. That is
unverified: without a GPU the library's CPU decoders do the work, which is what has been run.
"""

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import torch

from farm.batch import CountError
from farm.engines import PassedOnError, Source, Wish, nvjpeg_scaled
from farm.engines.nvimgcodec_batch import VERSION, Coded, NoPictureError, batch, is_memory
from farm.engines.pillow import PillowEngine
from farm.engines.pillow_errors import check_pixels, translated
from farm.engines.prefix import Prefix
from farm.engines.srgb import without_opaque_alpha
from farm.engines.still import DamagedError, OddError, Planes, StillDecoder, passed_on, still_info
from farm.engines.still_header import FORMATS, StillHeader, read_header
from farm.errors import EngineUnavailableError, UnsupportedFormatError
from farm.geometry import Box, Size
from farm.media import MediaFormat, MediaKind
from farm.settings import Limits

_MOST_BYTES = 256 << 20  # all of a file is held in memory

# The blocks of most JPEGs. A decoder that starts amid one may interpolate chroma in another way.
_BLOCK = 16
_CHROMA_REACH = 2  # where chroma has half the size, a pixel depends on its neighbour's
# Of a larger part the entropy coding, which has to be read up to its end, is most of the work.
_WORTHWHILE_FRACTION = 0.6


@dataclass(frozen=True, slots=True)
class _Still:
    """One still of 8 bits a channel, whose header has been read."""

    source: Source
    data: Prefix
    header: StillHeader

    def decode(self, wish: Wish) -> Planes:
        """The picture, on the GPU if there is one.

        What the library cannot decode, or what looks damaged, is Pillow's. Raises
        UnsupportedFormatError for a picture that the memory has no room for, and
        EngineUnavailableError where the library itself fails.
        """
        data = self.data.all()
        try:
            self.header.check(data)
            shrunk = self._shrunk(data, wish.at_least or self.header.size)
            return shrunk or self._full_size(data, _worthwhile(wish.region, self.header.size))
        except (OddError, NoPictureError) as error:
            raise DamagedError(error) from error

    def _full_size(self, data: memoryview, region: Box | None) -> Planes:
        """The picture, or one region of it."""
        header = self.header
        try:
            plane = batch().decode(Coded(data, header.size, header.has_alpha, region))
        except NoPictureError:
            if region is None:
                raise
            # Perhaps what decodes this codec here knows of no regions.
            return self._full_size(data, None)
        # The library raises nothing else for a file; these are faults of its own or of the GPU.
        except (RuntimeError, ValueError, MemoryError, CountError) as error:
            raise self._own_fault(error) from error
        plane = without_opaque_alpha(plane)
        notes = {} if region is None else {"region": _told(region)}
        return Planes((plane,), notes=notes, profile=header.profile, region=region)

    def _shrunk(self, data: memoryview, at_least: Size) -> Planes | None:
        """The picture shrunk on load by the GPU's JPEG engines; None where that does not serve."""
        shrink = nvjpeg_scaled.shrink(self.header.size, at_least)
        if shrink == 1 or not self.header.is_baseline:
            return None
        if (decoder := nvjpeg_scaled.find()) is None:
            return None
        with suppress(nvjpeg_scaled.ScaleError, torch.OutOfMemoryError):
            plane = decoder.decode(nvjpeg_scaled.Ask(data, self.header.size, shrink))
            return Planes((plane,), notes={"shrink": shrink}, profile=self.header.profile)
        return None

    def _own_fault(self, error: Exception) -> EngineUnavailableError | UnsupportedFormatError:
        """What becomes of an error that is none of the file: another engine may do it."""
        name, (width, height) = self.source.name, self.header.size
        if is_memory(error):
            return UnsupportedFormatError(
                f"{name}: {width} x {height} pixels, for which engine nvimgcodec has not enough "
                "memory"
            )
        return EngineUnavailableError(
            f"{name}: engine nvimgcodec failed at {width} x {height} pixels: {error}"
        )


class NvImageCodecEngine:
    """NVIDIA's nvImageCodec for the plain files of the usual formats."""

    name: ClassVar[str] = "nvimgcodec"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE})
    device: ClassVar[str] = "cuda"

    @property
    def version(self) -> str:
        """The version of nvImageCodec."""
        return VERSION

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> StillDecoder:
        """Reads the header; raises PassedOnError for all but plain files.

        What Pillow cannot open either has its verdict.
        """
        name = media_format.name
        if name not in FORMATS:
            raise PassedOnError(
                f"{source.name}: is {name}; engine {self.name} decodes {', '.join(FORMATS)} only"
            )
        if source.size_bytes > _MOST_BYTES:
            raise passed_on(source, OddError(f"has {source.size_bytes} bytes"))
        try:
            data = Prefix(source)
            header = read_header(data, format_name=name)
        except OddError as error:
            # Pillow says what is wrong where it is more than odd.
            PillowEngine().open(source, media_format=media_format, limits=limits)
            raise passed_on(source, error) from error
        except OSError as error:
            raise translated(error, source, format_name=name, limits=limits) from error
        check_pixels(source, header.size, limits=limits)
        info = still_info(name, header.size, orientation=header.orientation)
        decode = _Still(source, data, header).decode
        return StillDecoder(source, info, decode, limits=limits, ignored=header.ignored)


def _worthwhile(region: Box | None, size: Size) -> Box | None:
    """The blocks in which a region lies, where they are clearly less than the whole picture."""
    if region is None:
        return None
    left, top = (max(0, math.floor(edge - _CHROMA_REACH)) // _BLOCK * _BLOCK for edge in region[:2])
    right, bottom = (
        min(side, -(-math.ceil(edge + _CHROMA_REACH) // _BLOCK) * _BLOCK)
        for edge, side in zip(region[2:], size, strict=True)
    )
    blocks = Box(left, top, right, bottom)
    is_less = blocks.width * blocks.height < _WORTHWHILE_FRACTION * size.width * size.height
    return blocks if is_less else None


def _told(region: Box) -> str:
    """A region as WIDTHxHEIGHT+LEFT+TOP."""
    return f"{region.width:.0f}x{region.height:.0f}+{region.left:.0f}+{region.top:.0f}"
