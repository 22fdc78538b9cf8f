"""Decodes plain stills with nvImageCodec, those of many entries at once; the rest is Pillow's.

With a GPU the pictures stay in its memory, and baseline JPEGs are shrunk on load. That is
unverified: without a GPU the library's CPU decoders do the work, which is what has been run.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import ClassVar

import torch
from torch import Tensor

from farm.batch import CountError
from farm.engines import PassedOnError, Source, nvjpeg_scaled
from farm.engines.frame import FrameBatch
from farm.engines.nvimgcodec_batch import VERSION, Coded, NoPictureError, batch, is_memory
from farm.engines.pillow import PillowDecoder, PillowEngine
from farm.engines.pillow_errors import check_pixels, translated
from farm.engines.prefix import Prefix
from farm.engines.srgb import without_opaque_alpha
from farm.engines.still import Note, OddError, passed_on
from farm.engines.still_header import FORMATS, StillHeader, read_header
from farm.errors import EngineUnavailableError, UnsupportedFormatError
from farm.geometry import Size
from farm.media import ColorTags, MediaFormat, MediaInfo, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Fidelity

_MOST_BYTES = 256 << 20  # all of a file is held in memory


class NvImageDecoder:
    """One still of 8 bits a channel."""

    def __init__(
        self,
        source: Source,
        data: Prefix,
        header: StillHeader,
        *,
        format_name: str,
        limits: Limits,
    ) -> None:
        self._source = source
        self._data = data
        self._header = header
        self._format_name = format_name
        self._limits = limits
        self._notes: dict[str, Note] = {}
        self._warnings = dict.fromkeys(f"{each}_ignored" for each in header.ignored)

    @property
    def info(self) -> MediaInfo:
        """Size, format and orientation as the header tells them."""
        name = self._format_name
        return MediaInfo(
            kind=MediaKind.IMAGE,
            format=name,
            codec=name,
            size=self._header.size,
            orientation=self._header.orientation,
        )

    @property
    def notes(self) -> dict[str, Note]:
        """How many frames were decoded, the shrink factor of the load, and if it was by Pillow."""
        return dict(self._notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """`icc_ignored`, `exif_ignored`, and why Pillow had to do it as `decoder: ...`."""
        return tuple(self._warnings)

    def frames(
        self,
        targets: Sequence[Target],
        *,
        at_least: Size | None,
        fidelity: Fidelity = Fidelity.BALANCED,
        previews: bool = False,
    ) -> Iterator[FrameBatch]:
        """Yields the one picture, for all targets.

        What the library cannot decode, or what looks damaged, is Pillow's: its picture with a
        warning, or its verdict. Raises UnsupportedFormatError for a picture that the memory has no
        room for, and EngineUnavailableError where the library itself fails.
        """
        if not targets:
            return
        try:
            plane = self._decode(at_least or self._header.size)
        except (OddError, NoPictureError) as error:
            yield from self._by_pillow(error, targets, at_least)
            return
        self._notes["frames_decoded"] = 1
        yield FrameBatch(
            planes=(plane[None],),
            color=ColorTags(),
            full_size=self._header.size,
            answers=(tuple(range(len(targets))),),
            pts_seconds=(0.0,),
            orientation=self._header.orientation,
            profile=self._header.profile,
        )

    def close(self) -> None:
        """Nothing is open but the source's file, which stays so."""

    def _decode(self, at_least: Size) -> Tensor:
        data, header = self._read(), self._header
        header.check(data)
        if (plane := self._scaled(data, at_least)) is not None:
            return plane
        try:
            plane = batch().decode(Coded(data, header.size, header.has_alpha))
        except NoPictureError:
            raise
        # The library raises nothing else for a file; these are faults of its own or of the GPU.
        except (RuntimeError, ValueError, MemoryError, CountError) as error:
            raise self._own_fault(error) from error
        return without_opaque_alpha(plane)

    def _read(self) -> memoryview:
        try:
            return self._data.all()
        except OSError as error:
            raise translated(
                error, self._source, format_name=self._format_name, limits=self._limits
            ) from error

    def _scaled(self, data: memoryview, at_least: Size) -> Tensor | None:
        """The picture shrunk on load by the GPU's JPEG engines; None where that does not serve."""
        shrink = nvjpeg_scaled.shrink(self._header.size, at_least)
        if shrink == 1 or not self._header.is_baseline:
            return None
        if (decoder := nvjpeg_scaled.find()) is None:
            return None
        with suppress(nvjpeg_scaled.ScaleError, torch.OutOfMemoryError):
            plane = decoder.decode(nvjpeg_scaled.Ask(data, self._header.size, shrink))
            self._notes["shrink"] = shrink
            return plane
        return None

    def _own_fault(self, error: Exception) -> EngineUnavailableError | UnsupportedFormatError:
        """What becomes of an error that is none of the file: another engine may do it."""
        width, height = self._header.size
        if is_memory(error):
            return UnsupportedFormatError(
                f"{self._source.name}: {width} x {height} pixels, for which engine nvimgcodec has "
                "not enough memory"
            )
        return EngineUnavailableError(
            f"{self._source.name}: engine nvimgcodec failed at {width} x {height} pixels: {error}"
        )

    def _by_pillow(
        self,
        reason: OddError | NoPictureError,
        targets: Sequence[Target],
        at_least: Size | None,
    ) -> Iterator[FrameBatch]:
        """What Pillow makes of the file; raises its verdict where it makes nothing."""
        decoder = PillowDecoder(self._source, format_name=self._format_name, limits=self._limits)
        yield from decoder.frames(targets, at_least=at_least)
        self._warnings.update(dict.fromkeys(decoder.warnings))
        self._warnings[f"decoder: {reason}"[:200]] = None
        self._notes.update(decoder.notes | {"decoder": "pillow"})


class NvImageCodecEngine:
    """NVIDIA's nvImageCodec for the plain files of the usual formats."""

    name: ClassVar[str] = "nvimgcodec"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE})
    device: ClassVar[str] = "cuda"

    @property
    def version(self) -> str:
        """The version of nvImageCodec."""
        return VERSION

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> NvImageDecoder:
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
        return NvImageDecoder(source, data, header, format_name=name, limits=limits)
