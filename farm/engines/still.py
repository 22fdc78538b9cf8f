"""One plain still, as the engines see it that leave whatever is odd to the next engine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor

from farm.engines import PassedOnError, Source, Wish
from farm.engines.frame import FrameBatch
from farm.engines.pillow import PillowDecoder
from farm.engines.pillow_errors import translated
from farm.geometry import Box, Size
from farm.media import ColorTags, MediaInfo, MediaKind
from farm.sampling import Target
from farm.settings import Limits

Note: TypeAlias = int | float | str


class OddError(ValueError):
    """What a file has that is not plain, or a fault in it: another engine's business."""


class DamagedError(ValueError):
    """Why Pillow is to decode a file in the engine's stead.

    The record warns of it where it `is_fault`: one of the file, that a picture may show.
    """

    def __init__(self, reason: object, *, is_fault: bool = True) -> None:
        super().__init__(str(reason))
        self.is_fault = is_fault


@dataclass(frozen=True, slots=True)
class Planes:
    """A decoded picture without its batch dimension; see `FrameBatch`."""

    planes: tuple[Tensor, ...]
    color: ColorTags = field(default_factory=ColorTags)
    notes: Mapping[str, Note] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    profile: bytes | None = None
    region: Box | None = None


Decode: TypeAlias = Callable[[Wish], Planes]
"""Decodes what is wished for; raises OddError, DamagedError or what the source's file does."""


class StillDecoder:
    """One still whose pixels `decode` gives; `ignored` names metadata of no use."""

    def __init__(
        self,
        source: Source,
        info: MediaInfo,
        decode: Decode,
        *,
        limits: Limits,
        ignored: Sequence[str] = (),
    ) -> None:
        self._source = source
        self._info = info
        self._decode = decode
        self._limits = limits
        self._notes: dict[str, Note] = {}
        self._warnings = dict.fromkeys(f"{each}_ignored" for each in ignored)

    @property
    def info(self) -> MediaInfo:
        """Size, format and orientation as the header tells them."""
        return self._info

    @property
    def notes(self) -> dict[str, Note]:
        """How many frames were decoded, how, and whether it was by Pillow."""
        return dict(self._notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """`icc_ignored`, `exif_ignored`, and why Pillow had to do it as `decoder: ...`."""
        return tuple(self._warnings)

    def frames(self, targets: Sequence[Target], wish: Wish) -> Iterator[FrameBatch]:
        """Yields the one picture, for all targets.

        Raises PassedOnError at whatever is odd, and Pillow's verdict on what is damaged.
        """
        if not targets:
            return
        try:
            made = self._decode(wish)
        except DamagedError as error:
            yield from self._by_pillow(error, targets, wish)
            return
        except OddError as error:
            raise passed_on(self._source, error) from error
        except OSError as error:
            raise translated(
                error, self._source, format_name=self._info.format, limits=self._limits
            ) from error
        self._warnings.update(dict.fromkeys(made.warnings))
        self._notes.update({"frames_decoded": 1, **made.notes})
        yield FrameBatch(
            planes=tuple(plane[None] for plane in made.planes),
            color=made.color,
            full_size=self._info.size,
            answers=(tuple(range(len(targets))),),
            pts_seconds=(0.0,),
            orientation=self._info.orientation,
            profile=made.profile,
            region=made.region,
        )

    def close(self) -> None:
        """Nothing is open but the source's file, which stays so."""

    def _by_pillow(
        self, reason: DamagedError, targets: Sequence[Target], wish: Wish
    ) -> Iterator[FrameBatch]:
        """What Pillow makes of the file; raises its verdict where it makes nothing."""
        decoder = PillowDecoder(self._source, format_name=self._info.format, limits=self._limits)
        yield from decoder.frames(targets, wish)
        self._warnings.update(dict.fromkeys(decoder.warnings))
        if reason.is_fault:
            self._warnings[f"decoder: {reason}"[:200]] = None
        self._notes |= decoder.notes | {"decoder": "pillow"}


def still_info(format_name: str, size: Size, *, orientation: int = 1) -> MediaInfo:
    """What a header tells of a still; `size` is the coded one."""
    return MediaInfo(
        kind=MediaKind.IMAGE,
        format=format_name,
        codec=format_name,
        size=size,
        orientation=orientation,
    )


def passed_on(source: Source, error: OddError) -> PassedOnError:
    """The error by which a file goes to the next engine."""
    return PassedOnError(f"{source.name}: {error}, which engine pillow is for")
