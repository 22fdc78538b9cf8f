"""The `dali` engine: stills and videos decoded by NVIDIA DALI, many at once.

It is worth choosing on a GPU, where it is unverified; on a CPU it serves where it is named, for
stills and for VP8, VP9 and MJPEG. It takes what DALI surely shows right, and leaves the rest to
other engines. On the CPU, damaged VP8 and VP9 may crash DALI 2.4, and with it the lane.
"""

import os
from typing import ClassVar

import nvidia.dali
from PIL import Image

from farm.engines import Decoder, Source
from farm.engines.dali_header import FORMATS, read_header
from farm.engines.dali_pipeline import Decoders, device_here
from farm.engines.dali_still import DaliStill
from farm.engines.dali_video import DaliVideo
from farm.engines.pillow_errors import check_pixels, translated
from farm.engines.prefix import Prefix
from farm.engines.pyav_errors import explained
from farm.engines.pyav_open import media_info, open_video
from farm.engines.still import OddError, StillDecoder, passed_on, still_info
from farm.errors import EngineUnavailableError, UnsupportedFormatError
from farm.media import MediaFormat, MediaKind
from farm.settings import Limits

_MOST_BYTES = 256 << 20  # all of a file is held in memory


class DaliEngine:
    """Decodes from bytes in memory, on the first GPU where there is one."""

    name: ClassVar[str] = "dali"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE, MediaKind.VIDEO})
    device: ClassVar[str] = "cuda"

    def __init__(self) -> None:
        Image.init()
        self._process = os.getpid()
        self._decoders = Decoders(device_here())

    @property
    def version(self) -> str:
        """The version of DALI."""
        return str(nvidia.dali.__version__)

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> Decoder:
        """Opens a source without decoding anything; raises a MediaError that names it.

        Raises EngineUnavailableError in a process forked from one that had loaded the engine: the
        threads that DALI waits for are not in it.
        """
        if os.getpid() != self._process:
            raise EngineUnavailableError(
                "engine dali was loaded before this process was forked, and would hang in it"
            )
        if source.size_bytes > _MOST_BYTES:
            raise UnsupportedFormatError(
                f"{source.name}: {source.size_bytes} bytes, and DALI, which takes a whole file "
                f"into memory, is given {_MOST_BYTES} at most"
            )
        if media_format.kind is MediaKind.IMAGE:
            return self._open_still(source, media_format, limits)
        return self._open_video(source, media_format, limits)

    def _open_still(
        self, source: Source, media_format: MediaFormat, limits: Limits
    ) -> StillDecoder:
        name = media_format.name
        if name not in FORMATS:
            raise UnsupportedFormatError(
                f"{source.name}: is {name}; engine dali decodes {', '.join(sorted(FORMATS))}"
            )
        try:
            data = Prefix(source)
            header = read_header(data, format_name=name)
        except OddError as error:
            raise passed_on(source, error) from error
        except OSError as error:
            raise translated(error, source, format_name=name, limits=limits) from error
        check_pixels(source, header.size, limits=limits)
        still = DaliStill(source, data, header, name, limits, self._decoders)
        info = still_info(name, header.size, orientation=header.orientation)
        return StillDecoder(source, info, still.decode, limits=limits, ignored=header.ignored)

    def _open_video(self, source: Source, media_format: MediaFormat, limits: Limits) -> DaliVideo:
        with explained(source.name):
            opened = open_video(source, media_format=media_format, limits=limits)
            with opened.container:
                info = media_info(opened, source, format_name=media_format.name, limits=limits)
        return DaliVideo(
            source, info, media_format=media_format, limits=limits, decoders=self._decoders
        )
