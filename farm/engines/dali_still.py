"""One still for the `dali` engine: decoded at full size, together with those of other threads."""

from collections.abc import Iterator, Sequence

import numpy as np

from farm.engines import Source
from farm.engines.dali_pipeline import DaliError, Decoders
from farm.engines.frame import FrameBatch
from farm.engines.pillow import PillowEngine
from farm.engines.pillow_errors import translated
from farm.engines.prefix import Prefix
from farm.engines.still import Note, OddError, passed_on
from farm.engines.still_header import StillHeader
from farm.errors import UnsupportedFormatError
from farm.geometry import Size
from farm.media import ColorTags, MediaFormat, MediaInfo, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy, Fidelity

_ANY = Target(0.0, Accuracy.KEYFRAME)


class DaliStill:
    """One opened picture, whose header has been read."""

    def __init__(
        self,
        source: Source,
        data: Prefix,
        header: StillHeader,
        *,
        format_name: str,
        limits: Limits,
        decoders: Decoders,
    ) -> None:
        self._source = source
        self._data = data
        self._header = header
        self._format_name = format_name
        self._limits = limits
        self._decoders = decoders
        self._notes: dict[str, Note] = {}

    @property
    def info(self) -> MediaInfo:
        """Size and orientation as the header tells them."""
        return MediaInfo(
            kind=MediaKind.IMAGE,
            format=self._format_name,
            codec=self._format_name,
            size=self._header.size,
            orientation=self._header.orientation,
        )

    @property
    def notes(self) -> dict[str, Note]:
        """How many frames were decoded, and on which device."""
        return dict(self._notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """`icc_ignored` and `exif_ignored`; whatever else deserves one is left to other engines."""
        return tuple(f"{each}_ignored" for each in self._header.ignored)

    def frames(
        self,
        targets: Sequence[Target],
        *,
        at_least: Size | None,
        fidelity: Fidelity = Fidelity.BALANCED,
        previews: bool = False,
    ) -> Iterator[FrameBatch]:
        """Yields the one picture, for all targets; DALI shrinks nothing on load.

        Where the file is damaged, or DALI fails, which does not say why: raises what Pillow finds
        wrong with it, and UnsupportedFormatError where that is nothing.
        """
        if not targets:
            return
        try:
            file = np.frombuffer(self._data.all(), np.uint8)
        except OSError as error:
            raise translated(
                error, self._source, format_name=self._format_name, limits=self._limits
            ) from error
        try:
            self._header.check(self._data.all())
            picture = self._decoders.picture(file, size=self._header.size)
        except OddError as error:
            self._ask_pillow()
            raise passed_on(self._source, error) from error
        except DaliError as error:
            self._ask_pillow()
            raise UnsupportedFormatError(
                f"{self._source.name}: DALI cannot decode this {self._format_name}: {error}"
            ) from error
        self._notes |= {"frames_decoded": 1, "device": self._decoders.device}
        yield FrameBatch(
            planes=(picture[None],),
            color=ColorTags(),
            full_size=self._header.size,
            answers=(tuple(range(len(targets))),),
            pts_seconds=(0.0,),
            orientation=self._header.orientation,
            profile=self._header.profile,
        )

    def _ask_pillow(self) -> None:
        """Raises the MediaError for what is wrong with the file, as far as Pillow notices."""
        media_format = MediaFormat(MediaKind.IMAGE, self._format_name)
        engine = PillowEngine()
        decoder = engine.open(self._source, media_format=media_format, limits=self._limits)
        for _ in decoder.frames([_ANY], at_least=None):
            pass

    def close(self) -> None:
        """Nothing is open but the source's file, which stays so."""
