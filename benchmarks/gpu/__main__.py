"""The command behind scripts/gpu_check: runs the parts one after the other and tells of each."""

import argparse
import fnmatch
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path

from benchmarks.gpu.driver import gpu_count
from benchmarks.gpu.part import Outcome, Part, State, run
from benchmarks.gpu.report import Report, section, slug, summary
from benchmarks.place import ROOT, bench_folder

_SECONDS = 480.0
_LEAST_SECONDS = 5.0


class ExitCode(IntEnum):
    """What the check amounts to."""

    RIGHT = 0
    WRONG = 1
    NO_GPU = 3


def _comparison(engine: str) -> Part:
    rows = "benchmarks.gpu.decoding:rows"
    return Part(f"compare-{engine}", f"Engine {engine} against the CPU path", rows, 60, engine)


PARTS = (
    Part("machine", "What is there", "benchmarks.gpu.machine:rows", 60),
    Part("nvdec", "What the video engine decodes", "benchmarks.gpu.machine:decoder_rows", 20,
         needs_gpu=True),
    Part("tests", "Tests that need a GPU", "benchmarks.gpu.suite:rows", 120, needs_gpu=True),
    Part("material", "Files to compare by", "benchmarks.gpu.material:rows", 60),
    *map(_comparison, ("nvdec", "torchcodec", "dali", "nvimgcodec")),
    Part("kernels", "Kernels", "benchmarks.gpu.kernel:rows", 80, needs_gpu=True),
    Part("encoders", "JPEG encoders", "benchmarks.gpu.encoder:rows", 30, needs_gpu=True),
    Part("archive", "Whole runs", "benchmarks.gpu.archive:rows", 180, needs_gpu=True),
)  # fmt: skip


def main(words: Sequence[str] | None = None) -> ExitCode:
    """Parses the command line and does what it says."""
    options = _parser().parse_args(words)
    parts = [part for part in PARTS if _is_asked(part, options.only)]
    if not parts:
        names = ", ".join(part.name for part in PARTS)
        sys.exit(f"expected --only to match a part, one of {names}; received {options.only!r}")
    has_gpu = gpu_count() > 0
    with tempfile.TemporaryDirectory(prefix="farm-gpu-") as folder:
        outcomes = []
        for outcome in check(parts, Path(folder), has_gpu=has_gpu, most_seconds=options.seconds):
            _say("\n".join(["", *section(outcome)]))
            outcomes.append(outcome)
    code = exit_code(outcomes, has_gpu=has_gpu)
    gpu = _gpu_name(outcomes) if has_gpu else ""
    report = Report(options.name or slug(gpu), gpu, code, tuple(outcomes))
    _say("\n".join(["", "## Summary", "", *summary(outcomes), "", _conclusion(code)]))
    default = ROOT / "benchmarks" / "results" if has_gpu else bench_folder() / "results"
    for path in report.write(options.output or default):
        _say(f"written: {path}")
    return code


def check(
    parts: Sequence[Part], folder: Path, *, has_gpu: bool, most_seconds: float
) -> Iterator[Outcome]:
    """Runs the parts in turn, none past its own time or what is left of all of it."""
    deadline = time.monotonic() + most_seconds
    for part in parts:
        left = deadline - time.monotonic()
        if part.needs_gpu and not has_gpu:
            yield Outcome(part, State.NOT_RUN, reason="no GPU")
        elif left < _LEAST_SECONDS:
            yield Outcome(part, State.NOT_RUN, reason="no time left")
        else:
            yield run(part, folder, most_seconds=min(part.most_seconds, left))


def exit_code(outcomes: Sequence[Outcome], *, has_gpu: bool) -> ExitCode:
    """3 without a GPU, whatever was compared; else 1 where anything broke or differs."""
    if not has_gpu:
        return ExitCode.NO_GPU
    return ExitCode.WRONG if any(outcome.is_bad for outcome in outcomes) else ExitCode.RIGHT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/gpu_check", description=__doc__)
    parser.add_argument(
        "--only",
        default="*",
        metavar="GLOB,...",
        help="some parts: " + ", ".join(part.name for part in PARTS),
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=_SECONDS,
        metavar="N",
        help="most time for all parts together; default 480",
    )
    parser.add_argument("--name", help="of the results; default the GPU's")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="for the results; default benchmarks/results"
    )
    return parser  # fmt: skip


def _is_asked(part: Part, globs: str) -> bool:
    """Whether a part is asked for; comparing needs the files to compare by."""
    if any(fnmatch.fnmatch(part.name, glob) for glob in globs.split(",")):
        return True
    wanted = [each for each in PARTS if each.name.startswith("compare-")]
    return part.name == "material" and any(
        fnmatch.fnmatch(each.name, glob) for each in wanted for glob in globs.split(",")
    )


def _gpu_name(outcomes: Sequence[Outcome]) -> str:
    """The first GPU's name, as nvidia-smi gives it."""
    for outcome in outcomes:
        for row in outcome.rows:
            if row.get("kind") == "GPU" and row.get("name") == "0":
                return str(row["found"]).partition(",")[0]
    return "unnamed GPU"


def _conclusion(code: ExitCode) -> str:
    match code:
        case ExitCode.RIGHT:
            return "All right: nothing differs, nothing broke (exit code 0)."
        case ExitCode.WRONG:
            return "Not right: a part broke, or a comparison or a test failed (exit code 1)."
        case ExitCode.NO_GPU:
            return "No GPU: nothing is proven of the GPU path (exit code 3)."


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
