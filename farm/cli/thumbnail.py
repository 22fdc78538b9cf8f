"""`farm thumbnail`: one file, in one lane."""

import posixpath
import signal
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from farm.cli.exit_code import ExitCode
from farm.cli.screen import say
from farm.wording import size_text

if TYPE_CHECKING:
    from farm.spec import Job

_FORMATS = {"jpg": "jpg", "jpeg": "jpg", "png": "png", "webp": "webp", "mp4": "mp4"}
_BY_NAME = ("format", "filename")


def make_thumbnails(
    file: Annotated[str, typer.Argument(help="A video or picture: a path or URI.")],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            help="A file name .jpg, .png or .webp, with %d in it for several; .mp4 for a clip.",
        ),
    ],
    size: Annotated[
        str | None, typer.Option("--size", "-s", help="320x180, 320x or x180; default: as it is.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="12.5, 00:01:30, 15%, 1/4 or frame:120; default 15%. A clip's start."),
    ] = None,
    count: Annotated[int | None, typer.Option(help="So many moments, evenly placed.")] = None,
    fit: Annotated[str | None, typer.Option(help="max, crop, scale or pad; default max.")] = None,
    quality: Annotated[int | None, typer.Option(help="1 to 100; default 80.")] = None,
    accuracy: Annotated[
        str | None, typer.Option(help="keyframe or exact; default keyframe.")
    ] = None,
    damaged: Annotated[
        str | None,
        typer.Option(help="salvage or fail: what damaged files give; default salvage."),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="An engine's name; see farm doctor.")] = None,
    background: Annotated[str | None, typer.Option(help="A colour such as #ffffff.")] = None,
    fields: Annotated[
        str | None,
        typer.Option(
            "--set", help="Other fields, as progressive=true,fidelity=best or duration=10."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="All fields in one word, as 160x90,kind=storyboard,interval=10,sheets=true.",
        ),
    ] = None,
) -> None:
    """Make the thumbnails, storyboard or clip of one file.

    Prints where they are. Exits with 1 where the file gives no picture.
    """
    from farm.cli.job import absolute
    from farm.errors import InvalidEntryError
    from farm.record import Status
    from farm.single import make_one

    kind = "clip" if out.lower().endswith(".mp4") else "thumbnail"
    given = {
        "start" if kind == "clip" else "position": at,
        "count": count,
        "fit": fit,
        "quality": quality,
        "accuracy": accuracy,
        "damaged": damaged,
        "engine": engine,
        "background": background,
    }
    known = {name: value for name, value in given.items() if value is not None}
    job = _job(out, _merged(known, size, fields, output, kind=kind))
    # A Ctrl-C has nothing to save here, and the lane ends with this process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    record = make_one(job, {"source": absolute(file)})
    if record.status is not Status.OK:
        message = (record.message or "").removeprefix("row 1: ")
        say(f"farm: {record.error_code}: {message}", to_stderr=True)
        is_usage = record.error_code == InvalidEntryError.code
        raise typer.Exit(ExitCode.USAGE if is_usage else ExitCode.SOME_FAILED)
    for made in record.artifacts:
        sides = f"{made.width}x{made.height}" if made.width else ""
        moment = "" if made.pts_seconds is None else f" at {made.pts_seconds:.3f} s"
        shown = f"{sides}{moment}, " if sides else ""
        say(f"{made.uri}  {shown}{size_text(made.size_bytes)}")
    for warning in record.warnings:
        say(f"warning: {warning}", to_stderr=True)


def _job(out: str, given: dict[str, Any]) -> "Job":
    from pydantic import ValidationError

    from farm.cli.job import absolute, check_engine
    from farm.errors import InvalidJobError
    from farm.spec import Job, explain, output_of

    folder, name = posixpath.split(absolute(out))
    extension = name.rpartition(".")[2].lower()
    if extension not in _FORMATS:
        raise InvalidJobError(
            f"--out: expected a name ending in .jpg, .png or .webp, or in .mp4; received {out!r}"
        )
    kind = {"kind": "clip"} if extension == "mp4" else {}
    fields = kind | given | {"format": _FORMATS[extension], "filename": _template(name, given)}
    try:
        spec = output_of(fields)
        check_engine(spec)
        return Job(manifest="-", destination=folder, outputs=(spec,))
    except ValidationError as error:
        raise InvalidJobError(explain(error)) from None
    except ValueError as error:
        raise InvalidJobError(str(error)) from None


def _merged(
    known: dict[str, Any], size: str | None, fields: str | None, output: str | None, *, kind: str
) -> dict[str, Any]:
    """The fields that all options give together, none of them twice."""
    from farm.cli.output_text import parse_any, parse_fields, parse_size
    from farm.errors import InvalidJobError

    readers: tuple[tuple[str, str | None, Callable[[str], dict[str, Any]]], ...] = (
        ("--size", size, parse_size),
        ("--output", output, partial(parse_any, kind=kind)),
        ("--set", fields, partial(parse_fields, kind=kind)),
    )
    merged = dict(known)
    for option, text, read in readers:
        try:
            found = read(text) if text is not None else {}
            for name in found:
                if name in (*merged, *_BY_NAME):
                    raise ValueError(f"{name}: is told by another option already")
        except ValueError as error:
            raise InvalidJobError(f"{option}: {error}") from None
        merged |= found
    return merged


def _template(name: str, given: dict[str, Any]) -> str:
    """The file name as a template in which nothing but the number of several pictures is filled."""
    from farm.errors import InvalidJobError
    from farm.template import check_template, placeholders

    count = given.get("count") or 1
    is_board = given.get("kind") == "storyboard"
    may_have_several = is_board or count > 1
    template = name if may_have_several else name.replace("%", "%%")
    try:
        if "{" in name:
            raise ValueError(f"expected a name without braces, received {name!r}")
        check_template(template, several=False)
        has_several = may_have_several and not given.get("sheets")
        if has_several and "index" not in placeholders(template):
            raise ValueError(f"expected %d in the name of several pictures, received {name!r}")
    except ValueError as error:
        raise InvalidJobError(f"--out: {error}") from None
    return template
