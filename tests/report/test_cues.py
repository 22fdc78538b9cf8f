"""Cues are those that the storyboard was made with, and name nothing but its own files."""

from pathlib import Path
from typing import Any

import pytest

from farm.errors import SourceNotFoundError, SourceTooLargeError
from farm.geometry import Size
from farm.report.cues import ScrubCue, read_cues
from farm.storyboard import Cue, Layout, webvtt
from tests.report.ledgers import picture, vtt


def _read(folder: Path, text: str, names: list[str], *, key: str = "b.vtt") -> list[ScrubCue]:
    files = [picture(f"{folder}/{name}", size=(320, 90)) for name in names]
    return read_cues(_row(vtt(f"{folder}/{key}", text)), [_row(file) for file in files])


def _row(artifact: Any) -> dict[str, Any]:
    return {name: getattr(artifact, name) for name in artifact.__slots__}


def test_reads_what_storyboards_write(tmp_path: Path) -> None:
    layout = Layout(Size(160, 90), 3, columns=2, rows=1)
    keys = ["x/shéet #1-1.jpg", "x/shéet #1-2.jpg"]
    spans = [(0.0, 1.5), (1.5, 3661.25), (3661.25, 360_000.0)]
    cues = [
        Cue(span, keys[layout.place(tile).sheet], layout.place(tile), layout.tile)
        for tile, span in enumerate(spans)
    ]
    text = webvtt(cues, key="x/y/b.vtt")
    assert _read(tmp_path, text, keys, key="x/y/b.vtt") == [
        ScrubCue(0.0, 1.5, 0, 0, 0, 160, 90),
        ScrubCue(1.5, 3661.25, 0, 160, 0, 160, 90),
        ScrubCue(3661.25, 360_000.0, 1, 0, 0, 160, 90),
    ]


def test_an_image_of_its_own_is_shown_whole(tmp_path: Path) -> None:
    found = _read(tmp_path, "WEBVTT\r\n\r\n00:00.000 --> 00:02.000\r\na.jpg\r\n", ["a.jpg"])
    assert found == [ScrubCue(0.0, 2.0, 0, 0, 0, 320, 90)]


@pytest.mark.parametrize(
    "cue",
    [
        "00:00.000 --> 00:02.000\nother.jpg",
        "00:00.000 --> 00:02.000\n../a.jpg",
        "00:00.000 --> 00:02.000\nhttps://elsewhere.example/a.jpg",
        "00:00.000 --> 00:02.000\njavascript:alert(1)",
        "00:00.000 --> 00:02.000\na.jpg#xywh=0,0,321,90",
        "00:00.000 --> 00:02.000\na.jpg#xywh=0,0,0,0",
        "00:00.000 --> 00:02.000\na.jpg#xywh=-1,0,10,10",
        "00:00.000 --> 00:02.000\na.jpg#t=1",
        "00:00.000 -> 00:02.000\na.jpg",
        "0.0 --> 2.0\na.jpg",
        "99999999999:00:00 --> 00:02.000\na.jpg",
        "NOTE a.jpg",
    ],
)
def test_what_fits_no_file_is_left_out(tmp_path: Path, cue: str) -> None:
    good = "00:05.000 --> 00:06.000\na.jpg"
    found = _read(tmp_path, f"WEBVTT\n\n{cue}\n\n{good}\n", ["a.jpg"])
    assert [each.start for each in found] == [5.0]


def test_a_file_that_is_gone_or_huge_is_told(tmp_path: Path) -> None:
    text = _row(vtt(f"{tmp_path}/b.vtt", "WEBVTT\n"))
    assert read_cues(text, []) == []
    with pytest.raises(SourceTooLargeError, match="WebVTT"):
        read_cues(text | {"size_bytes": 1 << 30}, [])
    with pytest.raises(SourceNotFoundError):
        read_cues(text | {"uri": f"{tmp_path}/none.vtt"}, [])
