"""Makes moving pictures from a one-line recipe, without a codec, and fails on demand.

A source is `FARMSYN1 ` and one line of JSON, such as
`FARMSYN1 {"width": 320, "height": 240, "fps": 25, "seconds": 10, "seed": 1}`.
Ledger, scheduling and isolation are tested with it.
"""

import ctypes
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, NoReturn

import torch

from farm.engines import Source, Wish
from farm.engines.frame import FrameBatch
from farm.errors import CorruptError, NoFrameError, TooManyPixelsError, UnsupportedFormatError
from farm.geometry import Size
from farm.media import ColorTags, MediaFormat, MediaInfo, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy

MAGIC = b"FARMSYN1 "
FAULTS_ALLOWED = "FARM_SYNTHETIC_FAULTS"
"""The environment variable under which a recipe's faults strike."""

_RECIPE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a synthetic source shows and how it fails.

    `sleep` is seconds spent on each frame. `fault` is a key of `FAULTS`; with `fault_file` it
    strikes only the first `fault_times` times, counted as bytes appended to that file.
    """

    width: int = 320
    height: int = 240
    fps: float = 25.0
    seconds: float = 10.0
    seed: int = 0
    gop: int = 12
    sleep: float = 0.0
    fault: str | None = None
    fault_file: str | None = None
    fault_times: int = 1

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.gop) < 1 or not self.fps > 0 or self.seconds < 0:
            raise ValueError("expected width, height, gop and fps above 0, seconds 0 or more")
        if self.fault is not None and self.fault not in FAULTS:
            raise ValueError(f"expected fault to be one of {', '.join(FAULTS)}")

    @property
    def frame_count(self) -> int:
        """The number of frames, at least one."""
        return max(1, round(self.seconds * self.fps))


def _segfault(_: str) -> None:
    ctypes.string_at(0)


def _abort(_: str) -> None:
    os.abort()


def _hang(_: str) -> NoReturn:
    while True:
        signal.pause()


def _spin(_: str) -> NoReturn:
    while True:
        pass


def _memory(_: str) -> NoReturn:
    held = []
    while True:
        # Written, not only reserved: the kernel counts pages that were touched.
        held.append(bytearray(b"\1") * (64 << 20))


def _exit(_: str) -> None:
    os._exit(3)


def _error(name: str) -> NoReturn:
    raise CorruptError(f"{name}: the recipe asks for an error")


FAULTS: dict[str, Callable[[str], None]] = {
    "segfault": _segfault,
    "abort": _abort,
    "hang": _hang,
    "spin": _spin,
    "memory": _memory,
    "exit": _exit,
    "error": _error,
}


class SyntheticDecoder:
    """One recipe, ready to be drawn."""

    def __init__(self, recipe: Recipe, *, name: str) -> None:
        self._recipe = recipe
        self._name = name
        self._decoded = 0

    @property
    def info(self) -> MediaInfo:
        """What the recipe says."""
        recipe = self._recipe
        return MediaInfo(
            kind=MediaKind.VIDEO,
            format="synthetic",
            codec="synthetic",
            size=Size(recipe.width, recipe.height),
            duration_seconds=recipe.frame_count / recipe.fps,
            average_fps=recipe.fps,
            frame_count=recipe.frame_count,
        )

    @property
    def notes(self) -> dict[str, int | float | str]:
        """How many frames were drawn."""
        return {"frames_decoded": self._decoded}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Nothing: a recipe is always clear."""
        return ()

    def frames(self, targets: Sequence[Target], wish: Wish) -> Iterator[FrameBatch]:
        """Yields one picture per target, in the order of the targets; nothing shrinks on load."""
        self._strike()
        for index, target in enumerate(targets):
            frame = self._frame_of(target)
            if self._recipe.sleep:  # 0 would let go of the core
                time.sleep(self._recipe.sleep)
            self._decoded += 1
            yield FrameBatch(
                planes=(_draw(self._recipe, frame)[None],),
                color=ColorTags(),
                full_size=Size(self._recipe.width, self._recipe.height),
                answers=((index,),),
                pts_seconds=(frame / self._recipe.fps,),
            )

    def close(self) -> None:
        """Nothing is held."""

    def _frame_of(self, target: Target) -> int:
        recipe, count = self._recipe, self._recipe.frame_count
        if target.frame is not None:
            frame = target.frame + count if target.frame < 0 else target.frame
            if not 0 <= frame < count:
                raise NoFrameError(f"{self._name}: no frame {target.frame} among {count} frames")
        else:
            # A frame is shown from its pts on; the epsilon forgives the rounding of frame / fps.
            frame = min(max(int(target.seconds * recipe.fps + 1e-6), 0), count - 1)
        keyframe_only = target.accuracy is Accuracy.KEYFRAME and target.frame is None
        return frame - frame % recipe.gop if keyframe_only else frame

    def _strike(self) -> None:
        recipe = self._recipe
        if recipe.fault is None:
            return
        if os.environ.get(FAULTS_ALLOWED) != "1":
            # A file from a stranger may be a recipe too.
            raise CorruptError(f"{self._name}: faults are for tests, under {FAULTS_ALLOWED}=1")
        if recipe.fault_file is not None:
            with open(recipe.fault_file, "ab") as counter:
                if counter.tell() >= recipe.fault_times:
                    return
                counter.write(b".")
        FAULTS[recipe.fault](self._name)


class SyntheticEngine:
    """Draws recipes."""

    name: ClassVar[str] = "synthetic"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.VIDEO})
    device: ClassVar[str] = "cpu"

    @property
    def version(self) -> str:
        """The version of the recipe's format."""
        return "1"

    def open(
        self, source: Source, *, media_format: MediaFormat, limits: Limits
    ) -> SyntheticDecoder:
        """Reads the recipe; raises CorruptError where it makes no sense."""
        if media_format.name != "synthetic":
            raise UnsupportedFormatError(
                f"{source.name}: engine synthetic reads recipes only, not {media_format.name}"
            )
        source.file.seek(0)
        recipe = _read(source.file.read(_RECIPE_BYTES), name=source.name)
        if recipe.width * recipe.height > limits.frame_pixels:
            raise TooManyPixelsError(
                f"{source.name}: {recipe.width} x {recipe.height} pixels, "
                f"more than the {limits.frame_pixels} allowed for a frame"
            )
        return SyntheticDecoder(recipe, name=source.name)


def _read(head: bytes, *, name: str) -> Recipe:
    line = head.removeprefix(MAGIC).partition(b"\n")[0]
    try:
        values = json.loads(line)
        unknown = set(values) - {each.name for each in fields(Recipe)}
        if unknown:
            raise ValueError(f"unknown key {sorted(unknown)[0]!r}")
        return Recipe(**values)
    except (ValueError, TypeError) as error:
        raise CorruptError(f"{name}: the recipe makes no sense: {error}") from error


def _draw(recipe: Recipe, frame: int) -> torch.Tensor:
    """Two ramps that move with the frame number, uint8 [H, W, 3]."""
    across = torch.arange(recipe.width, dtype=torch.int64)[None, :]
    down = torch.arange(recipe.height, dtype=torch.int64)[:, None]
    shift = recipe.seed * 31 + frame * 3
    red = (across + shift).expand(recipe.height, recipe.width)
    green = (down * 2 + shift).expand(recipe.height, recipe.width)
    blue = torch.full_like(red, recipe.seed * 17 + frame)
    return torch.stack((red, green, blue), dim=-1).remainder(256).to(torch.uint8)
