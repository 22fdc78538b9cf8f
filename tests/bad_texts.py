"""Manifests, requests and names that are wrong, with what must come of each."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from farm.dialects.native import parse_row
from farm.errors import FarmError, InvalidEntryError, InvalidManifestError, TooManyOutputsError
from farm.geometry import Size
from farm.manifest import read_rows
from farm.media import MediaInfo, MediaKind
from farm.plan import known_keys, make_plans
from farm.row import Row
from farm.settings import Limits
from farm.spec import Job, ThumbnailSpec

_OK = "ok"
_LONG_NAME = "\u00e9" * 113 + "~a0d0e331.jpg"
_REFUSED = InvalidEntryError.code
_JOB = Job(manifest="m", destination="/out", outputs=(ThumbnailSpec(width=320),))
_MOVIE = MediaInfo(MediaKind.VIDEO, "mp4", "h264", Size(640, 360), duration_seconds=10.0)


@dataclass(frozen=True, slots=True)
class Text:
    """One wrong word, and a check that tells what comes of it."""

    number: int
    name: str
    outcome: str
    check: Callable[[], str]


def manifest(data: bytes, name: str = "m.jsonl") -> str:
    """What becomes of each row of a manifest, or of the whole of it."""
    try:
        rows = list(read_rows(name, open_stream=lambda _: io.BytesIO(data)))
    except InvalidManifestError as error:
        return error.code
    return "; ".join(f"row {row.number}: {_row(row)}" for row in rows) or "no rows"


def _row(row: Row) -> str:
    if row.fields is None:
        return _REFUSED
    return entry(row.fields)


def entry(fields: Mapping[str, Any]) -> str:
    """What is planned for a row about a video of 10 s: the warnings, or why it is refused."""
    try:
        asked = parse_row({"source": "/a.mp4"} | dict(fields), number=1, job=_JOB)
        make_plans(asked, 1, None, limits=Limits())
        plans = make_plans(asked, 1, _MOVIE, limits=Limits())
    except FarmError as error:
        return error.code
    return ", ".join([_OK, *(f"`{word}`" for plan in plans for word in plan.warnings)])


def names(**fields: Any) -> str:
    """The names of a row's pictures, or why it is refused."""
    try:
        asked = parse_row({"source": "/a.mp4", "id": "a"} | fields, number=1, job=_JOB)
        plans = make_plans(asked, 1, None, limits=Limits())
    except FarmError as error:
        return error.code
    return ", ".join(f"`{key}`" for plan in plans for key in known_keys(plan))


def _manifest(name: str, data: bytes, outcome: str, file: str = "m.jsonl") -> Text:
    return Text(89, name, outcome, lambda: manifest(data, file))


def _entry(name: str, fields: Mapping[str, Any], outcome: str = _REFUSED) -> Text:
    return Text(90, name, outcome, lambda: entry(fields))


def _named(name: str, outcome: str, **fields: Any) -> Text:
    return Text(91, name, outcome, lambda: names(**fields))


_GOOD = b'{"source": "/a.mp4"}'
_SECOND_REFUSED = f"row 1: ok; row 2: {_REFUSED}"

TEXTS = (
    _manifest("a byte order mark", b"\xef\xbb\xbf" + _GOOD, "row 1: ok"),
    _manifest("UTF-16", _GOOD.decode().encode("utf-16"), InvalidManifestError.code),
    _manifest("CRLF", _GOOD + b"\r\n" + _GOOD + b"\r\n", "row 1: ok; row 2: ok"),
    _manifest("a line of 50 MB", _GOOD + b"\n" + b" " * 50_000_000, _SECOND_REFUSED),
    _manifest("a key twice", _GOOD + b'\n{"source": "a", "source": "b"}', _SECOND_REFUSED),
    _manifest("an id twice", b'{"source": "a", "id": "x"}\n{"source": "b", "id": "x"}',
              "row 1: ok; row 2: ok"),
    _manifest("blank rows", b"\n\n" + _GOOD + b"\n  \n", "row 3: ok"),
    _manifest("no column `source`", b"name,width\na,3\n", InvalidManifestError.code, "m.csv"),
    _manifest("no `source` in a row", _GOOD + b'\n{"width": 3, "source": null}', _SECOND_REFUSED),
    _manifest("a number for a source", _GOOD + b'\n{"source": 3}', _SECOND_REFUSED),
    _manifest("a list for a row", _GOOD + b"\n[1, 2]", _SECOND_REFUSED),
    _manifest("half a line at the end", _GOOD + b'\n{"source": "/b', _SECOND_REFUSED),
    _manifest("NaN in JSON", _GOOD + b'\n{"source": "a", "width": NaN}', _SECOND_REFUSED),
    _manifest("100000 brackets", _GOOD + b"\n" + b"[" * 100_000, _SECOND_REFUSED),
    _manifest("no rows", b"", "no rows"),
    _entry("position NaN", {"position": "nan"}),
    _entry("position inf", {"position": float("inf")}),
    _entry("position -1, which is from the end", {"position": -1}, _OK),
    _entry("position \"0.15\"", {"position": "0.15"}, _OK),
    _entry("position 101%", {"position": "101%"}),
    _entry("position past the end", {"position": 11}, "ok, `position_past_end`"),
    _entry("width 0", {"width": 0}),
    _entry("width -1", {"width": -1}),
    _entry("width 1e9", {"width": 10**9}),
    _entry("width 1.5", {"width": 1.5}),
    _entry("width true", {"width": True}),
    _entry("fit \"stretch\"", {"fit": "stretch"}),
    _entry("fit crop without a height", {"fit": "crop", "width": 9, "height": None}),
    _entry("count 1000000", {"count": 10**6}),
    _entry("count 100000", {"count": 10**5}, TooManyOutputsError.code),
    _entry("a field that is none", {"widht": 9}),
    _entry("a password in the source", {"source": "s3://key:secret@bucket/a"}),
    _named("filename ../../x", _REFUSED, filename="../../x"),
    _named("filename /x", _REFUSED, filename="/x"),
    _named("filename with NUL", _REFUSED, filename="a\0b"),
    _named("filename with a backslash", _REFUSED, filename="a\\b"),
    _named("filename %n", _REFUSED, filename="%n.jpg"),
    _named("filename %s", _REFUSED, filename="%s.jpg"),
    _named("filename {nothing}", _REFUSED, filename="{nothing}.jpg"),
    _named("two pictures and no %d", _REFUSED, filename="x.jpg", count=2),
    _named("two pictures whose names differ in case only", _REFUSED,
           outputs=[{"filename": "A.jpg"}, {"filename": "a.jpg"}]),
    _named("two pictures whose names differ in composition only",
           "`\u00e9.jpg`, `\u00e9~146f2b56.jpg`",
           outputs=[{"filename": "\u00e9.jpg"}, {"filename": "e\u0301.jpg"}]),
    _named("id ../../x", "`.._.._x~9cdf6a50.jpg`", id="../../x", filename="{id}.jpg"),
    _named("id CON", "`CON_~a3dbc4b6.jpg`", id="CON", filename="{id}.jpg"),
    _named("id with a trailing dot", "`a_~5ab640fa`", id="a.", filename="{id}"),
    _named("id of 255 letters of 2 bytes", f"`{_LONG_NAME}`",
           id="\u00e9" * 255, filename="{id}.jpg"),
    _named("filename of 1025 characters", _REFUSED, filename="x" * 1025),
)  # fmt: skip
