"""Plans: for every output of an entry its moments, keys and geometry, decided without any pixel."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from farm.errors import InvalidEntryError, OutputTooLargeError, TooManyOutputsError
from farm.geometry import Geometry, Size, fit_geometry
from farm.media import MediaInfo
from farm.sampling import Span, Target, count_moments, make_spans, make_targets
from farm.settings import Limits
from farm.spec import (
    ClipSpec,
    Damaged,
    Entry,
    OutputSpec,
    PictureSpec,
    StoryboardSpec,
    ThumbnailSpec,
)
from farm.template import VTT_INDEX, entry_id, make_key, placeholders, templates

RECIPE_VERSION = 3
"""Raised whenever the same entry would give other pixels or keys than before."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture to make: its moment (None before a probe), number from 1 and key.

    A tile, whose sheet is known only when its size is, has no key of its own.
    """

    target: Target | None
    index: int
    key: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """An output of pictures, decided. `output` is its place, from 0, among the entry's outputs.

    `geometry` follows from the probe, or is None without one; the first decoded frame has the last
    word: see `settle`. Of a storyboard, `spans` are the times that its shots stand for, and `vtt`
    is the key of its WebVTT file.
    """

    output: int
    spec: ThumbnailSpec | StoryboardSpec
    shots: tuple[Shot, ...]
    geometry: Geometry | None
    warnings: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    vtt: str | None = None


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """A clip, decided as far as it can be without its source."""

    output: int
    spec: ClipSpec
    key: str


@dataclass(frozen=True, slots=True)
class Naming:
    """The keys of all files that an entry can have, by output (from 0) and index."""

    entry: Entry
    row: int
    limits: Limits

    def __contains__(self, file: object) -> bool:
        match file:
            case (int(output), int(index)) if 0 <= output < len(self.entry.outputs):
                return index in _indices(self.entry.outputs[output], self.limits)
        return False

    @property
    def most(self) -> int:
        """How many of them there can be at once: the pictures allowed, and WebVTT files."""
        boards = [each for each in self.entry.outputs if isinstance(each, StoryboardSpec)]
        return self.limits.outputs + sum(board.webvtt for board in boards)

    def key(self, output: int, index: int) -> str:
        """The key of one of them; raises InvalidEntryError where its template does not serve it."""
        return make_key(self.entry, row=self.row, output=output, index=index)


def _indices(spec: OutputSpec, limits: Limits) -> range:
    """The indices that an output's files may have."""
    match spec:
        case ThumbnailSpec():
            return range(1, 1 + (spec.count or 1))
        case StoryboardSpec():
            most = min(spec.count or limits.outputs, limits.outputs)
            return range(VTT_INDEX if spec.webvtt else 1, 1 + most)
        case ClipSpec():
            return range(1, 2)


def make_plans(
    entry: Entry, row: int, info: MediaInfo | None, *, limits: Limits
) -> tuple[Plan | ClipPlan, ...]:
    """The plans of all outputs of an entry, which is row number `row` of its manifest.

    Without `info` the shots have keys but no targets, and there is no geometry; of a storyboard
    only the first image or sheet is known then, unless it has a `count` of images. Raises
    TooManyOutputsError or OutputTooLargeError where too many or too large pictures are asked for,
    and InvalidEntryError where two of them would have the same name.
    """
    plans = []
    total = 0
    naming = Naming(entry, row, limits)
    for output, spec in enumerate(entry.outputs):
        total += _count(spec, info)
        if total > limits.outputs:
            raise TooManyOutputsError(
                f"expected at most {limits.outputs} pictures of one entry; outputs[0] to "
                f"outputs[{output}] ask for {total}"
            )
        plans.append(_plan(output, spec, info, naming))
    check_names((plan.output, key) for plan in plans for key in known_keys(plan))
    return tuple(plans)


def _count(spec: OutputSpec, info: MediaInfo | None) -> int:
    """How many pictures an output asks for, as far as is known."""
    if isinstance(spec, ClipSpec):
        return 1
    return count_moments(spec, info) if info else spec.count or 1


def _plan(output: int, spec: OutputSpec, info: MediaInfo | None, naming: Naming) -> Plan | ClipPlan:
    if isinstance(spec, ClipSpec):
        return ClipPlan(output, spec, naming.key(output, 1))
    geometry = _probed_geometry(spec, info, naming.limits) if info else None
    targets: tuple[Target | None, ...]
    if isinstance(spec, ThumbnailSpec):
        targets, warnings = make_targets(spec, info) if info else ((None,) * (spec.count or 1), ())
        return Plan(output, spec, _shots(output, targets, naming), geometry, warnings)
    vtt = naming.key(output, VTT_INDEX) if spec.webvtt else None
    if info is None:
        known = 1 if spec.sheets else spec.count or 1
        return Plan(output, spec, _shots(output, (None,) * known, naming), None, vtt=vtt)
    targets, spans, warnings = make_spans(spec, info)
    shots = _shots(output, targets, None if spec.sheets else naming)
    return Plan(output, spec, shots, geometry, warnings, spans, vtt)


def _shots(
    output: int, targets: Sequence[Target | None], naming: Naming | None
) -> tuple[Shot, ...]:
    """The shots for some moments; without a naming they are tiles."""
    return tuple(
        Shot(target, index, naming.key(output, index) if naming else None)
        for index, target in enumerate(targets, start=1)
    )


def _probed_geometry(spec: PictureSpec, info: MediaInfo, limits: Limits) -> Geometry | None:
    if min(info.size) < 1:
        return None
    return _fit(spec, info.size, info.orientation, info.pixel_aspect, limits)


def settle(
    plan: Plan, *, full_size: Size, orientation: int, pixel_aspect: float, limits: Limits
) -> Geometry:
    """The geometry of a plan for a decoded frame of coded size `full_size`.

    Raises OutputTooLargeError where the picture would be too large.
    """
    return _fit(plan.spec, full_size, orientation, pixel_aspect, limits)


def _fit(
    spec: PictureSpec, size: Size, orientation: int, pixel_aspect: float, limits: Limits
) -> Geometry:
    geometry = fit_geometry(
        size,
        orientation=orientation,
        pixel_aspect=pixel_aspect,
        fit=spec.fit,
        width=spec.width,
        height=spec.height,
    )
    width, height = geometry.canvas
    if max(width, height) > limits.output_side_pixels or width * height > limits.output_pixels:
        raise OutputTooLargeError(
            f"expected a picture of at most {limits.output_side_pixels} pixels a side and "
            f"{limits.output_pixels} in all; the output would have {width}x{height}"
        )
    return geometry


def check_names(files: Iterable[tuple[int, str]]) -> None:
    """Raises InvalidEntryError where two files, given by output and key, would have one name.

    Also where only stores that ignore case would take them for one.
    """
    seen: dict[str, tuple[int, str]] = {}
    for output, key in files:
        name = key.casefold()
        if name in seen:
            other, twin = seen[name]
            raise InvalidEntryError(
                f"outputs[{other}] and outputs[{output}] have the same name: "
                f"{twin!r} and {key!r}; give one of them another filename"
            )
        seen[name] = (output, key)


def known_keys(plan: Plan | ClipPlan) -> list[str]:
    """The keys that are known of an output's files."""
    if isinstance(plan, ClipPlan):
        return [plan.key]
    return [key for key in (*(shot.key for shot in plan.shots), plan.vtt) if key is not None]


def fingerprint(entry: Entry, *, row: int = 0) -> str:
    """32 hex digits that change whenever the entry's pixels or keys may change.

    They cover the source and what its listing told of it, the id, the destination and the outputs,
    but not the time limits, and the tag and the row number only where a filename uses them.
    """
    used = frozenset[str]().union(
        *(placeholders(each) for spec in entry.outputs for each in templates(spec).values())
    )
    facts = entry.model_dump(
        mode="json", exclude={"tag": True, "outputs": {"__all__": {"timeout"}}}, exclude_none=True
    )
    for output in facts["outputs"]:
        # What was made before there were these fields stays made.
        if output["kind"] == "thumbnail":
            del output["kind"]
        if output.get("damaged") == Damaged.SALVAGE:
            del output["damaged"]
    facts |= {"recipe": RECIPE_VERSION, "id": entry_id(entry)}
    facts |= {"tag": entry.tag} if "tag" in used else {}
    facts |= {"row": row} if "row" in used else {}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:32]
