"""What the gallery's script gets of a record: all that is shown, and nothing that could act."""

import json
from pathlib import Path
from typing import Any

from farm.record import Record
from farm.report.entry_view import entry_view, facets_of, total_ms, words_of
from tests.report.ledgers import done, failed, picture, vtt


def _view(record: Record) -> dict[str, Any]:
    view = entry_view(record.to_row(), lambda file: f"link-{file['index']}")
    again: dict[str, Any] = json.loads(json.dumps(view, allow_nan=False))
    return again


def test_a_picture_and_a_clip_are_files() -> None:
    clip = picture("/t/a.mp4", index=2, output=3, size=(640, 360), pts_seconds=4.0)
    view = _view(done(7, picture("/t/a.jpg"), clip, notes={"shrink": 2}, tag="x"))
    assert [file["format"] for file in view["files"]] == ["jpg", "mp4"]
    assert view["files"][1] == {
        "output": 3,
        "href": "link-2",
        "uri": "/t/a.mp4",
        "width": 640,
        "height": 360,
        "bytes": 500,
        "pts": 4.0,
        "format": "mp4",
    }
    assert view["timings"] == [1.0, 2.0, 40.0, 5.0, 9.0, 3.0]
    assert (view["notes"], view["tag"], view["boards"]) == ([["shrink", "2"]], "x", [])


def test_a_storyboard_is_its_cues_and_no_files(tmp_path: Path) -> None:
    sheets = [picture(f"{tmp_path}/s{n}.jpg", output=1, index=n, size=(64, 18)) for n in (1, 2, 3)]
    first = "00:00.000 --> 00:01.000\ns1.jpg#xywh=32,0,32,18"
    text = f"WEBVTT\n\n{first}\n\n00:01.000 --> 00:02.000\ns3.jpg\n"
    view = _view(done(1, *sheets, vtt(f"{tmp_path}/s.vtt", text)))
    assert view["files"] == []
    (board,) = view["boards"]
    assert board["cues"] == [[0.0, 1.0, 0, 32, 0, 32, 18], [1.0, 2.0, 2, 0, 0, 64, 18]]
    assert sorted(board["files"]) == ["0", "2"]
    assert (board["count"], board["fault"], board["output"]) == (3, "", 1)


def test_a_storyboard_whose_text_is_gone_says_so(tmp_path: Path) -> None:
    text = vtt(f"{tmp_path}/s.vtt", "WEBVTT\n")
    record = done(1, picture(f"{tmp_path}/s1.jpg", output=1), text)
    (board,) = _view(record)["boards"]
    assert board["fault"] == "its WebVTT file names none of its pictures"
    (tmp_path / "s.vtt").unlink()
    (board,) = _view(record)["boards"]
    assert board["fault"].startswith("source_not_found: ")


def test_a_series_without_webvtt_is_pictures() -> None:
    view = _view(done(1, *(picture(f"/t/{n}.jpg", output=1, index=n) for n in (1, 2))))
    assert len(view["files"]) == 2


def test_hostile_values_are_cut_escaped_and_finite() -> None:
    record = done(
        1,
        id="x" * 10_000,
        source="\u202e\x00\x1b[31m",
        engine="e" * 1000,
        warnings=tuple(f"w{n}" * 500 for n in range(500)),
        timings_ms={"decode": float("nan"), "open": float("inf"), "resize": -1.0, "encode": 2.0},
        notes={f"n{n}": "v" * 5000 for n in range(500)},
        worker="\udcff",
    )
    row = record.to_row()
    view = entry_view(row, lambda file: None)
    assert view["source"] == "\\u202e\\x00\\x1b[31m"
    assert view["worker"] == "\\udcff"
    assert view["timings"] == [0, 0, 0, 0, 2.0, 0]
    assert total_ms(row) == 2.0
    assert len(json.dumps(view)) < 20_000


def test_facets_and_words() -> None:
    record = done(
        3, picture("/a.jpg"), picture("/b.jpg", output=10), picture("/c.jpg", output=2),
        warnings=("decoder: one", "decoder: two", "salvaged"), id="Ünï", tag="Tag",
    )  # fmt: skip
    assert facets_of(record.to_row()) == {
        "status": ["ok"],
        "code": [],
        "engine": ["pyav"],
        "output": ["0", "10", "2"],
        "warning": ["decoder", "salvaged"],
    }
    assert words_of(record.to_row()) == "ünï /archive/clip-00003.mp4 tag"
    broken = failed(4, "corrupt", "No FRAME")
    assert facets_of(broken.to_row())["code"] == ["corrupt"]
    assert words_of(broken.to_row()).endswith("no frame")
