"""Where a storyboard's tiles lie on their sheets, and the WebVTT text that tells players so."""

import math
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from farm.errors import OutputTooLargeError
from farm.geometry import Size
from farm.sampling import Span
from farm.settings import Limits
from farm.spec import DEFAULT_COLUMNS, ImageFormat, StoryboardSpec

_WEBP_SIDE_PIXELS = 16_383


class Place(NamedTuple):
    """Where a tile lies: its sheet, from 0, and its upper left pixel there."""

    sheet: int
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class Layout:
    """`count` tiles of one size, row by row, on sheets of at most `columns` by `rows` tiles.

    Sheets are filled one after the other; the last one has only the rows that it needs.
    """

    tile: Size
    count: int
    columns: int
    rows: int

    @property
    def sheets(self) -> int:
        """How many sheets there are."""
        return math.ceil(self.count / (self.columns * self.rows))

    def place(self, tile: int) -> Place:
        """Where a tile, counted from 0, lies."""
        sheet, at = divmod(tile, self.columns * self.rows)
        row, column = divmod(at, self.columns)
        return Place(sheet, column * self.tile.width, row * self.tile.height)

    def tiles(self, sheet: int) -> range:
        """The tiles of a sheet."""
        capacity = self.columns * self.rows
        return range(sheet * capacity, min((sheet + 1) * capacity, self.count))

    def size(self, sheet: int) -> Size:
        """The pixels of a sheet."""
        rows = math.ceil(len(self.tiles(sheet)) / self.columns)
        return Size(self.columns * self.tile.width, rows * self.tile.height)


def make_layout(spec: StoryboardSpec, tile: Size, count: int, *, limits: Limits) -> Layout:
    """The layout of `count` tiles: as many columns as are asked for, fewer where they do not fit.

    Sheets keep to the output's longest side, to the limits of all pictures and to what WebP can
    hold. Raises OutputTooLargeError where not even one tile fits.
    """
    side = min(spec.sheet_pixels, limits.output_side_pixels)
    if spec.format is ImageFormat.WEBP:
        side = min(side, _WEBP_SIDE_PIXELS)
    most = limits.output_pixels // (tile.width * tile.height)
    if max(tile) > side or most < 1:
        raise OutputTooLargeError(
            f"expected tiles that fit on a sheet of at most {side} pixels a side and "
            f"{limits.output_pixels} in all; they would have {tile.width}x{tile.height}"
        )
    columns = min(spec.columns or DEFAULT_COLUMNS, count, side // tile.width, most)
    return Layout(tile, count, columns, rows=min(side // tile.height, most // columns))


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown for a stretch of the video: an image, or a tile of `size` at `place` on it."""

    span: Span
    key: str
    place: Place | None = None
    size: Size | None = None


def webvtt(cues: Iterable[Cue], *, key: str) -> str:
    """The WebVTT file, itself stored under `key`, that names the picture of each cue.

    Addresses are relative to the file. A tile is a rectangle in pixels by a media fragment,
    `#xywh=left,top,width,height`. Times count from the first frame, in milliseconds; a cue that is
    shorter than one is left out.
    """
    folder = posixpath.dirname(key)
    blocks = ["WEBVTT"]
    for cue in cues:
        start, end = map(_clock, cue.span)
        if start != end:
            blocks.append(f"{start} --> {end}\n{_address(cue, folder)}")
    return "\n\n".join(blocks) + "\n"


def _clock(seconds: float) -> str:
    """`HH:MM:SS.mmm`, as all players read it; hours may have more digits."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def _address(cue: Cue, folder: str) -> str:
    address = quote(posixpath.relpath(cue.key, folder or "."), safe="/~")
    if cue.place is None or cue.size is None:
        return address
    return f"{address}#xywh={cue.place.left},{cue.place.top},{cue.size.width},{cue.size.height}"
