"""One entry inside a lane: from untrusted bytes to encoded files."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import torch

import kernels
from farm import encoders, engines
from farm.choice import Choice, choices, decode_with
from farm.encoding import Encoding
from farm.engines import Decoder, Device, Engine, Source
from farm.engines.frame import FrameBatch
from farm.engines.tiff_pages import check_pages
from farm.errors import EngineUnavailableError, NoFrameError
from farm.media import MediaFormat, MediaInfo, MediaKind
from farm.order import File, Means, order_of
from farm.picture import wish_for
from farm.plan import ClipPlan, Naming, Plan, check_names, make_plans
from farm.sampling import Target
from farm.settings import Limits
from farm.sniff import HEAD_BYTES, sniff
from farm.spec import ClipSpec, Entry, ImageFormat

FORMAT_MISMATCH = "format_mismatch"

_T = TypeVar("_T")
_Note = int | float | str


@dataclass(frozen=True, slots=True)
class Result:
    """What an entry gave, in order of output and index.

    `fallback` tells which engines gave up and why, as `pyav -> decord: reason`. `timings_ms` has
    open, decode, resize and encode.
    """

    files: tuple[File, ...]
    info: MediaInfo
    engine: str
    engine_version: str
    fallback: str | None
    warnings: tuple[str, ...]
    notes: dict[str, _Note]
    timings_ms: dict[str, float]


def warm_up() -> None:
    """Loads what nearly every entry needs, so that lanes forked later share it."""
    for name in ("turbojpeg", "fastpng", "fastwebp", "pillow", "pyav"):
        with suppress(EngineUnavailableError):
            engines.load(name)
    with suppress(ImportError):
        import farm.clip  # noqa: F401
    picture = torch.zeros((1, 8, 8, 3), dtype=torch.uint8)
    picture = kernels.resize_crop(picture, box=(0, 0, 8, 8), height=4, width=4)
    for image_format in ImageFormat:
        encoders.encode(picture, Encoding(image_format))


def make_thumbnails(
    entry: Entry, row: int, source: Source, *, limits: Limits, device: Device = "cpu"
) -> Result:
    """Makes all files that an entry asks for; raises the first error of the tree that it meets.

    Outputs of pictures with the same engine share one pass over the source; each clip has its own.
    An engine that an output names must do it; otherwise the next one is tried where one is missing
    or does not know the format.
    """
    work = _Work.begin(entry, row, source, limits, device)
    made = [
        work.decode_with(choice, partial(_make, work, outputs))
        for choice, outputs in choices(entry).items()
    ]
    parts = [*(part for part, _ in made), *(_make_clip(work, plan) for plan in work.clip_plans)]
    files = [file for part in parts for file in part.files]
    check_names((file.output, file.key) for file in files)
    return Result(
        files=tuple(sorted(files, key=lambda each: (each.output, each.index))),
        info=parts[0].info,
        engine=_joined(part.engine for part in parts),
        engine_version=_joined(part.engine_version for part in parts),
        fallback=_joined(fallback for _, fallback in made if fallback) or None,
        warnings=tuple(
            dict.fromkeys((*work.warnings, *(word for part in parts for word in part.warnings)))
        ),
        notes={name: note for part in parts for name, note in part.notes.items()},
        timings_ms=work.timings_ms,
    )


def probe(
    entry: Entry, row: int, source: Source, *, limits: Limits
) -> tuple[MediaInfo, tuple[Plan | ClipPlan, ...]]:
    """What is known of a source and planned for it, without decoding a frame."""
    work = _Work.begin(entry, row, source, limits, "cpu")
    # Clips name no engine: where there is nothing else, any will do that knows the format.
    by_choice = choices(entry) or {Choice(): []}
    found = [
        (outputs, work.decode_with(choice, lambda _, decoder: decoder.info)[0])
        for choice, outputs in by_choice.items()
    ]
    plans = [plan for outputs, info in found for plan in work.plans(outputs, info)]
    all_plans: list[Plan | ClipPlan] = [*plans, *work.clip_plans]
    return found[0][1], tuple(sorted(all_plans, key=lambda plan: plan.output))


@dataclass(frozen=True, slots=True)
class _Work:
    """One entry on its way, and the time it took so far."""

    entry: Entry
    row: int
    source: Source
    limits: Limits
    device: Device
    media_format: MediaFormat
    warnings: tuple[str, ...]
    timings_ms: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("open", "decode", "resize", "encode"), 0.0)
    )

    @classmethod
    def begin(
        cls, entry: Entry, row: int, source: Source, limits: Limits, device: Device
    ) -> "_Work":
        media_format = sniff(source.read_at(0, HEAD_BYTES), name=source.name)
        if media_format.name == "tiff":
            check_pages(source, limits=limits)
        agrees = entry.input_format is None or media_format.is_called(entry.input_format)
        warnings = () if agrees else (FORMAT_MISMATCH,)
        return cls(entry, row, source, limits, device, media_format, warnings)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.timings_ms[step] += (time.perf_counter() - began) * 1e3

    def decode_with(
        self, choice: Choice, action: Callable[[Engine, Decoder], _T]
    ) -> tuple[_T, str | None]:
        began = time.perf_counter()

        def timed(engine: Engine, decoder: Decoder) -> _T:
            self.timings_ms["open"] += (time.perf_counter() - began) * 1e3
            return action(engine, decoder)

        return decode_with(
            choice,
            timed,
            source=self.source,
            media_format=self.media_format,
            limits=self.limits,
            device=self.device,
        )

    def plans(self, outputs: Sequence[int], info: MediaInfo) -> list[Plan]:
        """The plans of some of the entry's outputs."""
        plans = make_plans(self.entry, self.row, info, limits=self.limits)
        return [plan for plan in plans if isinstance(plan, Plan) and plan.output in outputs]

    @property
    def clip_plans(self) -> list[ClipPlan]:
        """The plans of the entry's clips, for which nothing need be known of the source."""
        naming = Naming(self.entry, self.row, self.limits)
        return [
            ClipPlan(output, spec, naming.key(output, 1))
            for output, spec in enumerate(self.entry.outputs)
            if isinstance(spec, ClipSpec)
        ]

    @property
    def means(self) -> Means:
        """What the orders of the entry's outputs need."""
        naming = Naming(self.entry, self.row, self.limits)
        return Means(naming, self.timed, self.media_format.kind is MediaKind.IMAGE)


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


@dataclass(frozen=True, slots=True)
class _Part:
    """What one engine made."""

    files: tuple[File, ...]
    info: MediaInfo
    engine: str
    engine_version: str
    warnings: tuple[str, ...]
    notes: dict[str, _Note]


def _make(work: _Work, outputs: Sequence[int], engine: Engine, decoder: Decoder) -> _Part:
    """All pictures of some outputs in one pass of an opened source."""
    info = decoder.info
    plans = work.plans(outputs, info)
    targets = _targets(plans)
    orders = [order_of(plan, work.means) for plan in plans]
    files: list[File] = []
    answered: set[int] = set()
    for batch in _timed(work, decoder.frames(targets, wish_for(plans, info.size))):
        moments = [[targets[index] for index in answers] for answers in batch.answers]
        answered.update(*batch.answers)
        for order in orders:
            files += order.take(batch, moments)
    if missing := set(range(len(targets))) - answered:
        seconds = targets[min(missing)].seconds
        raise NoFrameError(f"{work.source.name}: engine {engine.name} has no frame at {seconds} s")
    files += [file for order in orders for file in order.end()]
    warnings = (*info.warnings, *(word for plan in plans for word in plan.warnings))
    return _Part(
        files=tuple(files),
        info=info,
        engine=engine.name,
        engine_version=engine.version,
        warnings=(*warnings, *decoder.warnings),
        notes=decoder.notes,
    )


def _make_clip(work: _Work, plan: ClipPlan) -> _Part:
    """One clip, in a pass of its own; all of its time counts as `encode`."""
    engine = engines.load("pyav")
    # Not at the top: it needs PyAV, without which there are pictures still.
    from farm.clip import make_clip

    with work.timed("encode"):
        clip = make_clip(work.source, plan.spec, media_format=work.media_format, limits=work.limits)
    file = File(
        output=plan.output,
        index=1,
        key=plan.key,
        data=clip.data,
        width=clip.width,
        height=clip.height,
        format=plan.spec.format,
        pts_seconds=clip.pts_seconds,
    )
    return _Part((file,), clip.info, engine.name, engine.version, clip.warnings, clip.notes)


def _targets(plans: Sequence[Plan]) -> list[Target]:
    """The moments of all plans, each once, in order of time."""
    targets = {shot.target for plan in plans for shot in plan.shots if shot.target is not None}
    return sorted(targets, key=lambda each: (each.seconds, each.accuracy, each.frame or 0))


def _timed(work: _Work, batches: Iterator[FrameBatch]) -> Iterator[FrameBatch]:
    while True:
        with work.timed("decode"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
