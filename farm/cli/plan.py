"""`farm plan`: what would be made of each entry, before anything is."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from farm.cli import option
from farm.cli.exit_code import ExitCode
from farm.cli.screen import duration_text, say

if TYPE_CHECKING:
    from farm.row import Row
    from farm.spec import Entry, Job

_FIRST_ENTRIES = 100
_Facts = dict[str, Any]
# The media's facts (None unless it is probed) and the plans of an entry, in JSON's types.
_Look = Callable[["Entry", int], tuple[_Facts | None, list[_Facts]]]


def show_plan(
    job_file: option.JobFile = None,
    manifest: option.Manifest = None,
    destination: option.Destination = None,
    output: option.Outputs = None,
    ledger: option.LedgerFolder = None,
    settings: option.Settings = None,
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Open no source: names only, no moments or sizes.")
    ] = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="All entries, not the first 100.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show what would be made of each entry.

    That is its moments, geometry and names; nothing is decoded or stored. Exits with 1 where an
    entry has an error.
    """
    from farm.cli.job import JobOptions, check_work, read_job

    job = read_job(
        JobOptions(
            job_file, manifest, destination, ledger, tuple(output or ()), tuple(settings or ())
        )
    )
    check_work(job)
    rows = _rows(job)
    failed = False
    with _names_only(job) if no_probe else _probed(job) as look:
        for row in rows if show_all else itertools.islice(rows, _FIRST_ENTRIES):
            facts = _facts(row, job, look)
            failed |= "error" in facts
            say(json.dumps(facts) if as_json else "\n".join(_lines(facts)))
        if next(rows, None) is not None:
            say(f"these are the first {_FIRST_ENTRIES} entries; --all shows all", to_stderr=True)
    raise typer.Exit(ExitCode.SOME_FAILED if failed else ExitCode.DONE)


def _rows(job: "Job") -> "Iterator[Row]":
    from farm.cli.job import ledger_uri
    from farm.source_list import SourceList

    return SourceList(job.manifest, ledger_uri(job), job.destination).preview()


@contextmanager
def _names_only(job: "Job") -> Iterator[_Look]:
    from dataclasses import asdict

    from farm.plan import make_plans

    def look(entry: "Entry", row: int) -> tuple[None, list[_Facts]]:
        plans = make_plans(entry, row, None, limits=job.settings.limits)
        return None, [asdict(plan) for plan in plans]

    yield look


@contextmanager
def _probed(job: "Job") -> Iterator[_Look]:
    from farm import storage
    from farm.isolation import LanePool, request_of

    settings = job.settings
    pool = LanePool(lanes=1, rules=settings.lane_rules)

    def look(entry: "Entry", row: int) -> tuple[_Facts, list[_Facts]]:
        with storage.open_source(
            entry.source, expected_size=entry.size, limits=settings.limits
        ) as source:
            request = request_of(
                "probe",
                entry,
                row=row,
                limits=settings.limits,
                size_bytes=source.size,
                name=storage.redact(entry.source),
            )
            with pool.lease() as lane:
                reply = lane.call(
                    request,
                    fd=source.fd,
                    head=source.head,
                    read_at=source.read_at,
                    timeout_seconds=entry.timeout_seconds,
                )
        return reply.header["info"], reply.header["plans"]

    try:
        yield look
    finally:
        pool.close()


def _facts(row: "Row", job: "Job", look: _Look) -> _Facts:
    """What is planned for a row, or why nothing is."""
    from farm import storage
    from farm.dialects.native import parse_row
    from farm.errors import FarmError, InvalidEntryError

    source = str((row.fields or {}).get("source", ""))
    facts: _Facts = {"row": row.number, "source": storage.redact(source)}
    try:
        if row.fields is None:
            raise InvalidEntryError(f"row {row.number}: {row.error}")
        entry = parse_row(row.fields, number=row.number, job=job)
        media, plans = look(entry, row.number)
    except FarmError as error:
        return facts | {"error": {"code": error.code, "message": str(error)}}
    outputs = [_output_facts(entry, plan) for plan in plans]
    return facts | {"id": entry.id, "media": media, "outputs": outputs}


def _output_facts(entry: "Entry", plan: _Facts) -> _Facts:
    from farm import storage
    from farm.cli.output_text import output_text

    def named(key: str | None) -> _Facts:
        uri = None if key is None else storage.redact(storage.join(entry.destination, key))
        return {"key": key, "uri": uri}

    return {
        "output": plan["output"],
        "spec": output_text(entry.outputs[plan["output"]]),
        "geometry": plan.get("geometry"),
        "warnings": plan.get("warnings", ()),
        "pictures": [
            {"index": shot["index"], "target": shot["target"]} | named(shot["key"])
            for shot in plan.get("shots", ())
        ],
        # A WebVTT file, or a clip.
        "files": [named(plan[name]) for name in ("vtt", "key") if plan.get(name)],
    }


def _lines(facts: _Facts) -> Iterator[str]:
    name = f"{facts['row']}  {facts['source']}".rstrip()
    yield name + (f"  id {facts['id']}" if "id" in facts else "")
    if "error" in facts:
        yield f"   error {facts['error']['code']}: {facts['error']['message']}"
        return
    if (media := facts["media"]) is not None:
        width, height = media["size"]
        length = media["duration_seconds"]
        duration = f", {duration_text(length)}" if length else ""
        yield f"   {media['format']} {media['codec']} {width}x{height}{duration}"
    is_still = media is not None and media["kind"] == "image"
    for output in facts["outputs"]:
        yield f"   {output['spec']}{_geometry_text(output['geometry'])}"
        yield from (f"     warning {warning}" for warning in output["warnings"])
        for picture in output["pictures"]:
            moment = "" if is_still else _moment_text(picture["target"])
            yield f"     {moment}{picture['uri'] or 'a tile'}"
        yield from (f"     {file['uri']}" for file in output["files"])


def _geometry_text(geometry: _Facts | None) -> str:
    if geometry is None:
        return ""
    left, top, right, bottom = (f"{edge:g}" for edge in geometry["box"])
    width, height = geometry["size"]
    text = f"  box {left},{top} to {right},{bottom} -> {width}x{height}"
    if list(geometry["canvas"]) != list(geometry["size"]):
        text += " on {}x{}".format(*geometry["canvas"])
    turned = geometry["orientation"]
    return text + (f", orientation {turned}" if turned != 1 else "")


def _moment_text(target: _Facts | None) -> str:
    if target is None:
        return ""
    if target["frame"] is not None:
        return f"frame {target['frame']}  "
    return f"{target['seconds']:.3f} s {target['accuracy']}  "
