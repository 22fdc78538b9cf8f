"""An output of pictures while it is made: it takes decoded frames and gives finished files."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

import kernels
from farm import encoders
from farm.encoding import Encoding
from farm.engines.frame import FrameBatch
from farm.geometry import Fit, Geometry, Size, fit_geometry
from farm.picture import finish
from farm.plan import Naming, Plan, Shot, settle
from farm.sampling import Target
from farm.spec import StoryboardSpec
from farm.storyboard import Cue, Layout, make_layout, webvtt
from farm.template import VTT, VTT_INDEX

_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class File:
    """One finished file: `output` counts from 0, pictures' `index` from 1.

    A WebVTT file has index 0 and no size. What shows no one moment of a video has no pts.
    """

    output: int
    index: int
    key: str
    data: bytes
    width: int
    height: int
    format: str
    pts_seconds: float | None


@dataclass(frozen=True, slots=True)
class Means:
    """What an order needs to work: names and limits, a clock by stage, the kind of the source."""

    naming: Naming
    timed: Callable[[str], AbstractContextManager[None]]
    is_still: bool


class Order:
    """Images of their own: of each batch of frames, those that the plan waits for."""

    def __init__(self, plan: Plan, means: Means) -> None:
        self.plan = plan
        self._means = means
        self._encoding = Encoding.of(plan.spec)
        self._shots: dict[Target | None, list[Shot]] = {}
        for shot in plan.shots:
            self._shots.setdefault(shot.target, []).append(shot)

    def take(self, batch: FrameBatch, moments: Sequence[Sequence[Target]]) -> list[File]:
        """The files that a batch completes, `moments` being the targets of its pictures.

        A picture that answers several shots is resized and encoded once.
        """
        found = [
            [shot for target in targets for shot in self._shots.get(target, ())]
            for targets in moments
        ]
        shots = {pick: wanted for pick, wanted in enumerate(found) if wanted}
        if not shots:
            return []
        geometry = self._geometry(batch)
        with self._means.timed("resize"):
            pictures = self._finish(batch, list(shots), geometry)
        pts = {pick: None if self._means.is_still else batch.pts_seconds[pick] for pick in shots}
        return self._deliver(pictures, shots, pts)

    def end(self) -> list[File]:
        """The files that are complete only when all frames were taken."""
        return []

    def _geometry(self, batch: FrameBatch) -> Geometry:
        return settle(
            self.plan,
            full_size=batch.full_size,
            orientation=batch.orientation,
            pixel_aspect=batch.pixel_aspect,
            limits=self._means.naming.limits,
        )

    def _finish(self, batch: FrameBatch, picks: Sequence[int], geometry: Geometry) -> Tensor:
        return finish(batch, picks, geometry=geometry, spec=self.plan.spec)

    def _deliver(
        self,
        pictures: Tensor,
        shots: Mapping[int, Sequence[Shot]],
        pts: Mapping[int, float | None],
    ) -> list[File]:
        with self._means.timed("encode"):
            images = encoders.encode(pictures, self._encoding)
        size = Size(pictures.shape[2], pictures.shape[1])
        return [
            self._file(shot.index, data, size, pts[pick])
            for (pick, wanted), data in zip(shots.items(), images, strict=True)
            for shot in wanted
        ]

    def _file(self, index: int, data: bytes, size: Size, pts: float | None) -> File:
        output, is_vtt = self.plan.output, index == VTT_INDEX
        return File(
            output=output,
            index=index,
            key=self._means.naming.key(output, index),
            data=data,
            width=size.width,
            height=size.height,
            format=VTT if is_vtt else self.plan.spec.format.value,
            pts_seconds=pts,
        )


class StoryboardOrder(Order):
    """Opaque images of one size, and the WebVTT file that names them.

    Where frames of the stream change their size, later ones are fitted onto the first one's canvas.
    """

    def __init__(self, plan: Plan, means: Means) -> None:
        super().__init__(plan, means)
        self._canvas: Size | None = None

    def end(self) -> list[File]:
        """The WebVTT file, unless it is not wanted."""
        if self.plan.vtt is None:
            return []
        text = webvtt(self._cues(), key=self.plan.vtt)
        return [self._file(VTT_INDEX, text.encode(), Size(0, 0), None)]

    def _cues(self) -> list[Cue]:
        naming, output = self._means.naming, self.plan.output
        shots = zip(self.plan.spans, self.plan.shots, strict=True)
        return [Cue(span, naming.key(output, shot.index)) for span, shot in shots]

    def _geometry(self, batch: FrameBatch) -> Geometry:
        geometry = super()._geometry(batch)
        if self._canvas is None:
            self._canvas = geometry.canvas
        if geometry.canvas == self._canvas:
            return geometry
        return fit_geometry(
            batch.full_size,
            orientation=batch.orientation,
            pixel_aspect=batch.pixel_aspect,
            fit=Fit.PAD,
            width=self._canvas.width,
            height=self._canvas.height,
        )

    def _finish(self, batch: FrameBatch, picks: Sequence[int], geometry: Geometry) -> Tensor:
        pictures = super()._finish(batch, picks, geometry)
        if pictures.shape[-1] == 3:
            return pictures
        return kernels.flatten_alpha(pictures, color=self.plan.spec.background_rgb or _WHITE)


class SheetOrder(StoryboardOrder):
    """Tiles on sheets, each of which is encoded as soon as it is full."""

    def __init__(self, plan: Plan, spec: StoryboardSpec, means: Means) -> None:
        super().__init__(plan, means)
        self._spec = spec
        self._layout: Layout | None = None
        self._tiles: dict[int, Tensor] = {}

    def _deliver(
        self,
        pictures: Tensor,
        shots: Mapping[int, Sequence[Shot]],
        pts: Mapping[int, float | None],
    ) -> list[File]:
        layout = self._laid(Size(pictures.shape[2], pictures.shape[1]))
        sheets = set()
        for picture, wanted in zip(pictures, shots.values(), strict=True):
            for shot in wanted:
                self._tiles[shot.index - 1] = picture
                sheets.add(layout.place(shot.index - 1).sheet)
        full = [each for each in sorted(sheets) if self._tiles.keys() >= set(layout.tiles(each))]
        return [self._sheet(layout, each) for each in full]

    def _laid(self, tile: Size) -> Layout:
        if self._layout is None:
            count, limits = len(self.plan.shots), self._means.naming.limits
            self._layout = make_layout(self._spec, tile, count, limits=limits)
            # A template without a number serves one sheet: said before the others are made.
            self._means.naming.key(self.plan.output, self._layout.sheets)
        return self._layout

    def _sheet(self, layout: Layout, number: int) -> File:
        with self._means.timed("resize"):
            tiles = torch.stack([self._tiles.pop(tile) for tile in layout.tiles(number)])
            color = self.plan.spec.background_rgb or _BLACK
            sheet = kernels.tile(tiles, columns=layout.columns, color=color)
        with self._means.timed("encode"):
            (data,) = encoders.encode(sheet[None], self._encoding)
        return self._file(number + 1, data, layout.size(number), None)

    def _cues(self) -> list[Cue]:
        naming, layout = self._means.naming, self._layout
        assert layout is not None, "an order ends when its frames were taken"
        places = [layout.place(tile) for tile in range(layout.count)]
        return [
            Cue(span, naming.key(self.plan.output, place.sheet + 1), place, layout.tile)
            for span, place in zip(self.plan.spans, places, strict=True)
        ]


def order_of(plan: Plan, means: Means) -> Order:
    """What makes the files of a plan."""
    spec = plan.spec
    if not isinstance(spec, StoryboardSpec):
        return Order(plan, means)
    return SheetOrder(plan, spec, means) if spec.sheets else StoryboardOrder(plan, means)
