"""Plans: for every output of an entry its moments, keys and geometry, decided without any pixel."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from farm.errors import InvalidEntryError, LimitError
from farm.geometry import Geometry, Size, fit_geometry
from farm.media import MediaInfo
from farm.sampling import Target, make_targets
from farm.settings import Limits
from farm.spec import Entry, ThumbnailSpec
from farm.template import entry_id, make_key, placeholders

RECIPE_VERSION = 3
"""Raised whenever the same entry would give other pixels or keys than before."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture to make: its moment (None before a probe), number from 1 and key."""

    target: Target | None
    index: int
    key: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One output, decided. `output` is its place, from 0, among the entry's outputs.

    `geometry` follows from the probe, or is None without one; the first decoded frame has the last
    word: see `settle`.
    """

    output: int
    spec: ThumbnailSpec
    shots: tuple[Shot, ...]
    geometry: Geometry | None
    warnings: tuple[str, ...] = ()


def make_plans(
    entry: Entry, row: int, info: MediaInfo | None, *, limits: Limits
) -> tuple[Plan, ...]:
    """The plans of all outputs of an entry, which is row number `row` of its manifest.

    Without `info` the shots have keys but no targets, and there is no geometry. Raises LimitError
    where too many or too large pictures are asked for, and InvalidEntryError where two of them
    would have the same name.
    """
    plans = []
    total = 0
    for output, spec in enumerate(entry.outputs):
        targets, warnings = make_targets(spec, info) if info else ((None,) * (spec.count or 1), ())
        total += len(targets)
        if total > limits.outputs:
            raise LimitError(
                f"expected at most {limits.outputs} pictures of one entry; outputs[0] to "
                f"outputs[{output}] ask for {total}"
            )
        shots = tuple(
            Shot(target, index, make_key(entry, row=row, output=output, index=index))
            for index, target in enumerate(targets, start=1)
        )
        geometry = _probed_geometry(spec, info, limits) if info else None
        plans.append(Plan(output, spec, shots, geometry, warnings))
    _check_names(plans)
    return tuple(plans)


def _probed_geometry(spec: ThumbnailSpec, info: MediaInfo, limits: Limits) -> Geometry | None:
    if min(info.size) < 1:
        return None
    return _fit(spec, info.size, info.orientation, info.pixel_aspect, limits)


def settle(
    plan: Plan, *, full_size: Size, orientation: int, pixel_aspect: float, limits: Limits
) -> Geometry:
    """The geometry of a plan for a decoded frame of coded size `full_size`.

    Raises LimitError where the picture would be too large.
    """
    return _fit(plan.spec, full_size, orientation, pixel_aspect, limits)


def _fit(
    spec: ThumbnailSpec, size: Size, orientation: int, pixel_aspect: float, limits: Limits
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
        raise LimitError(
            f"expected a picture of at most {limits.output_side_pixels} pixels a side and "
            f"{limits.output_pixels} in all; the output would have {width}x{height}"
        )
    return geometry


def _check_names(plans: Sequence[Plan]) -> None:
    """Raises where two pictures would have one name, also on stores that ignore case."""
    seen: dict[str, tuple[Plan, Shot]] = {}
    for plan in plans:
        for shot in plan.shots:
            other, twin = seen.setdefault(shot.key.casefold(), (plan, shot))
            if twin is not shot:
                raise InvalidEntryError(
                    f"outputs[{other.output}] and outputs[{plan.output}] have the same name: "
                    f"{twin.key!r} and {shot.key!r}; give one of them another filename"
                )


def fingerprint(entry: Entry, *, row: int = 0) -> str:
    """32 hex digits that change whenever the entry's pixels or keys may change.

    They cover the source and what its listing told of it, the id, the destination and the outputs,
    but not the time limits, and the tag and the row number only where a filename uses them.
    """
    used = frozenset[str]().union(
        *(placeholders(spec.filename) for spec in entry.outputs if spec.filename)
    )
    facts = entry.model_dump(
        mode="json", exclude={"tag": True, "outputs": {"__all__": {"timeout"}}}, exclude_none=True
    )
    facts |= {"recipe": RECIPE_VERSION, "id": entry_id(entry)}
    facts |= {"tag": entry.tag} if "tag" in used else {}
    facts |= {"row": row} if "row" in used else {}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:32]
