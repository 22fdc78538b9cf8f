"""One plain still, as the engines see it that leave whatever is odd to the next engine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor

from farm.engines import PassedOnError, Source
from farm.engines.frame import FrameBatch
from farm.engines.pillow_errors import translated
from farm.geometry import Size
from farm.media import ColorTags, MediaInfo, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Fidelity

Note: TypeAlias = int | float | str


class OddError(ValueError):
    """What a file has that is not plain, or a fault in it: another engine's business."""


@dataclass(frozen=True, slots=True)
class Planes:
    """A decoded picture without its batch dimension; see `FrameBatch`."""

    planes: tuple[Tensor, ...]
    color: ColorTags = field(default_factory=ColorTags)
    notes: dict[str, Note] = field(default_factory=dict)
    profile: bytes | None = None


Decode: TypeAlias = Callable[[Size, Fidelity], Planes]
"""Decodes for a smallest size that serves; raises OddError or what the file does."""


class StillDecoder:
    """One upright still whose pixels `decode` gives."""

    def __init__(
        self, source: Source, *, format_name: str, size: Size, decode: Decode, limits: Limits
    ) -> None:
        self._source = source
        self._size = size
        self._format_name = format_name
        self._decode = decode
        self._limits = limits
        self._notes: dict[str, Note] = {}

    @property
    def info(self) -> MediaInfo:
        """Size and format as the header tells them."""
        name = self._format_name
        return MediaInfo(kind=MediaKind.IMAGE, format=name, codec=name, size=self._size)

    @property
    def notes(self) -> dict[str, Note]:
        """How many frames were decoded, and what was left out."""
        return dict(self._notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """None: whatever deserves one is left to the next engine."""
        return ()

    def frames(
        self,
        targets: Sequence[Target],
        *,
        at_least: Size | None,
        fidelity: Fidelity = Fidelity.BALANCED,
        previews: bool = False,
    ) -> Iterator[FrameBatch]:
        """Yields the one picture, for all targets; raises PassedOnError at whatever is odd."""
        if not targets:
            return
        try:
            made = self._decode(at_least or self._size, fidelity)
        except OddError as error:
            raise passed_on(self._source, error) from error
        except OSError as error:
            raise translated(
                error, self._source, format_name=self._format_name, limits=self._limits
            ) from error
        self._notes |= {"frames_decoded": 1} | made.notes
        yield FrameBatch(
            planes=tuple(plane[None] for plane in made.planes),
            color=made.color,
            full_size=self._size,
            answers=(tuple(range(len(targets))),),
            pts_seconds=(0.0,),
            profile=made.profile,
        )

    def close(self) -> None:
        """Nothing is open but the source's file, which stays so."""


def passed_on(source: Source, error: OddError) -> PassedOnError:
    """The error by which a file goes to the next engine."""
    return PassedOnError(f"{source.name}: {error}, which engine pillow is for")
