"""Watchers of a run."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from farm.cli import watch
from farm.cli.watch import BarWatcher, LineWatcher
from farm.run import Progress

FIRST = Progress(
    rows=None,
    entries=5,
    failures=1,
    pictures=8,
    entries_per_second=2.5,
    seconds_left=None,
    shards_in_flight=1,
    pass_number=1,
)
LATER = replace(FIRST, rows=2000, entries=1500, seconds_left=200.0)
NEXT_PASS = replace(FIRST, rows=3, entries=3, pass_number=2)


def test_lines_are_rare_and_the_last_one_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with LineWatcher() as watcher:
        watcher.progressed(FIRST)
        watcher.noticed("paused\x07")
        watcher.progressed(LATER)
        assert capsys.readouterr().err == "paused\\x07\n"
    said = capsys.readouterr()
    assert said.err == ("pass 1: 1,500/2,000 entries, 1 failed, 8 pictures, 2.5/s, 3:20 left\n")
    assert said.out == ""


def test_lines_come_when_it_is_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_LINE_SECONDS", 0.0)
    with LineWatcher() as watcher:
        watcher.progressed(FIRST)
        watcher.progressed(LATER)
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.parametrize("make", [LineWatcher, lambda: BarWatcher(Console(file=io.StringIO()))])
def test_entries_of_all_passes_count(make: type[LineWatcher]) -> None:
    with make() as watcher:
        for progress in (FIRST, LATER, NEXT_PASS):
            watcher.progressed(progress)
    assert watcher.entries == 1503


def test_bar_shows_figures_and_messages() -> None:
    screen = io.StringIO()
    with BarWatcher(Console(file=screen, force_terminal=True, width=120)) as watcher:
        watcher.progressed(LATER)
        watcher.noticed("dashboard: [bold]here")
    text = screen.getvalue()
    assert "1500/2000" in text
    assert "2.5/s" in text
    assert "3:20 left" in text
    assert "dashboard: [bold]here" in text


def test_leaving_shows_the_cursor() -> None:
    screen = io.StringIO()
    BarWatcher(Console(file=screen, force_terminal=True)).leave()
    assert screen.getvalue() == "\x1b[?25h"
