"""A report on what a real run made: its pictures, and a storyboard that can be scrubbed."""

from pathlib import Path

from farm.report import ReportOptions, write_report
from tests.inline_run import lanes, run_inline
from tests.recipes import make_job, write_manifest, write_source
from tests.report.ledgers import data_of

__all__ = ["lanes"]

OUTPUTS = (
    {"width": 16, "format": "png"},
    {"kind": "storyboard", "width": 16, "count": 5, "sheets": True, "columns": 2,
     "filename": "{stem} #1-%d.jpg"},
    {"kind": "storyboard", "width": 16, "interval": 2, "filename": "own/{stem}-%d.jpg"},
)  # fmt: skip


def test_a_run_with_storyboards(lanes: None, tmp_path: Path) -> None:
    write_source(tmp_path / "clip.syn", seconds=10)
    write_manifest(tmp_path / "list.jsonl", [{"source": "clip.syn"}, {"source": "none.mp4"}])
    ledger = run_inline(tmp_path, make_job(tmp_path, outputs=OUTPUTS))
    folder = tmp_path / "out/_report"
    write_report(ledger, str(folder), ReportOptions())
    failure, entry = data_of(folder, "entries")
    assert failure["code"] == "source_not_found"
    assert [file["format"] for file in entry["files"]] == ["png"]
    sheets, images = entry["boards"]
    assert [cue[:2] for cue in sheets["cues"]] == [[2.0 * n, 2.0 * n + 2] for n in range(5)]
    assert [cue[:2] for cue in images["cues"]] == [[2.0 * n, 2.0 * n + 2] for n in range(5)]
    assert len({tuple(cue[3:5]) for cue in sheets["cues"]}) == 5
    assert len(images["files"]) == 5
    for file in (*entry["files"], *sheets["files"].values(), *images["files"].values()):
        link = file["href"].replace("%20", " ").replace("%23", "#")
        assert (folder / link).is_file(), link
    page = (folder / "index.html").read_text("utf-8")
    assert page.count('<svg class="plot"') == 3
    assert "<code>1: storyboard 16x" in page
