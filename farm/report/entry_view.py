"""An entry as the gallery's script reads it: a JSON object of what is shown, all names inert."""

import collections
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any

from farm.errors import SourceError
from farm.record import STAGES
from farm.report.cues import ScrubCue, read_cues
from farm.report.figures import warning_kind
from farm.report.words import visible

MOST_FILES = 24
"""So many pictures and clips of an entry are shown; of the others it is said that there are."""

_MOST_NOTES = 24
_MOST_WARNINGS = 12
_PICTURES = {"jpg", "png", "webp"}
_CLIPS = {"mp4"}

LinkTo = Callable[[dict[str, Any]], str | None]
"""Gives the link to an artifact, None where no browser could open it."""


def entry_view(record: dict[str, Any], link_to: LinkTo) -> dict[str, Any]:
    """What is shown of a record, a row of `record_schema`; reads the WebVTT files it names."""
    boards, others = _split(record["artifacts"])
    shown = [file for file in others if file["format"] in _PICTURES | _CLIPS]
    return {
        "row": record["row"],
        "status": record["status"],
        "id": visible(record["id"]),
        "source": visible(record["source"]),
        "tag": visible(record["tag"] or ""),
        "code": visible(record["error_code"] or ""),
        "message": visible(record["message"] or "", most=1000),
        "attempts": record["attempts"],
        "engine": engine_name(record),
        "version": visible(record["engine_version"] or "", most=60),
        "fallback": visible(record["fallback"] or ""),
        "warnings": [visible(each, most=200) for each in record["warnings"][:_MOST_WARNINGS]],
        "timings": [round(each, 2) for each in _timings(record)],
        "bytes": record["bytes_read"],
        "requests": record["requests"],
        "worker": visible(record["worker"], most=100),
        "started": record["started"],
        "notes": _notes(record["notes"]),
        "files": [_file(each, link_to) for each in shown[:MOST_FILES]],
        "more": len(shown) - min(len(shown), MOST_FILES),
        "boards": [_board(vtt, files, link_to) for vtt, files in boards],
    }


def facets_of(record: dict[str, Any]) -> dict[str, list[str]]:
    """What an entry is found by, besides its words."""
    return {
        "status": [record["status"]],
        "code": [visible(record["error_code"])] if record["error_code"] else [],
        "engine": [engine_name(record)] if record["engine"] else [],
        "output": sorted({str(file["output"]) for file in record["artifacts"]}),
        "warning": sorted({visible(warning_kind(_), most=40) for _ in record["warnings"]}),
    }


def words_of(record: dict[str, Any]) -> str:
    """The text that a search looks through, in lower case."""
    texts = (record["id"], record["source"], record["tag"], record["message"])
    return " ".join(visible(text) for text in texts if text).lower()


def engine_name(record: dict[str, Any]) -> str:
    """The engine of a record; its name comes from an isolated process."""
    return visible(record["engine"] or "", most=40)


def total_ms(record: dict[str, Any]) -> float:
    """The time of all stages in milliseconds."""
    return round(sum(_timings(record)), 1)


def _timings(record: dict[str, Any]) -> list[float]:
    """Milliseconds of each stage, 0 where it was not reached or tells none."""
    told = (record["timings_ms"][stage] for stage in STAGES)
    return [float(each) if each is not None and 0 < each < math.inf else 0.0 for each in told]


_Board = tuple[dict[str, Any], list[dict[str, Any]]]


def _split(artifacts: Sequence[dict[str, Any]]) -> tuple[list[_Board], list[dict[str, Any]]]:
    """Storyboards, each a WebVTT file with the pictures of its output, and all other files."""
    outputs: dict[int, list[dict[str, Any]]] = collections.defaultdict(list)
    for file in artifacts:
        outputs[file["output"]].append(file)
    boards, others = [], []
    for files in outputs.values():
        texts = [file for file in files if file["format"] == "vtt"]
        pictures = [file for file in files if file["format"] in _PICTURES]
        if texts and pictures:
            boards.append((texts[0], pictures))
        else:
            others += files
    return boards, others


def _file(file: dict[str, Any], link_to: LinkTo) -> dict[str, Any]:
    return {
        "output": file["output"],
        "href": link_to(file),
        "uri": visible(file["uri"]),
        "width": file["width"],
        "height": file["height"],
        "bytes": file["size_bytes"],
        "pts": file["pts_seconds"],
        "format": file["format"],
    }


def _board(vtt: dict[str, Any], files: list[dict[str, Any]], link_to: LinkTo) -> dict[str, Any]:
    fault = ""
    cues: list[ScrubCue] = []
    try:
        cues = read_cues(vtt, files)
    except SourceError as error:
        fault = visible(f"{error.code}: {error}")
    used = sorted({cue.file for cue in cues})
    return {
        "output": vtt["output"],
        "bytes": sum(file["size_bytes"] for file in [*files, vtt]),
        "count": len(files),
        # Those that no cue shows need no link.
        "files": {number: _file(files[number], link_to) for number in used},
        "cues": [astuple(cue) for cue in cues],
        "fault": fault or ("" if cues else "its WebVTT file names none of its pictures"),
    }


def _notes(text: str | None) -> list[tuple[str, str]]:
    notes = json.loads(text) if text else {}
    return [
        (visible(str(name), most=60), visible(str(value), most=200))
        for name, value in list(notes.items())[:_MOST_NOTES]
    ]
