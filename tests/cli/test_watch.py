"""Watchers of a run."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from farm import journal
from farm.cli import watch
from farm.cli.monitoring import LogForm
from farm.cli.watch import BarWatcher, JsonWatcher, LineWatcher, watcher_of
from farm.run import Event, Progress
from tests.json_log import logged_json

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


@pytest.mark.parametrize(
    "make", [LineWatcher, JsonWatcher, lambda: BarWatcher(Console(file=io.StringIO()))]
)
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


def test_machines_are_told_in_json() -> None:
    with logged_json() as lines, JsonWatcher() as watcher:
        watcher.progressed(LATER)
        watcher.progressed(NEXT_PASS)  # too soon
        watcher.noticed("dashboard: here")
        watcher.noticed("shard s is tried again: x", event=Event.ATTEMPT_LOST, shard="s")
        told = [{k: v for k, v in line.items() if k != "time"} for line in lines()]
    assert told == [
        {
            "level": "info",
            "event": "progress",
            "message": "pass 1: 1,500/2,000 entries, 1 failed, 8 pictures, 2.5/s, 3:20 left",
            "pass_number": 1,
            "entries": 1500,
            "rows": 2000,
            "failures": 1,
            "pictures": 8,
            "entries_per_second": 2.5,
            "seconds_left": 200.0,
            "shards_in_flight": 1,
            "shards_todo": 0,
            "slots": 0,
        },
        {"level": "info", "event": "notice", "message": "dashboard: here"},
        {
            "level": "warning",
            "event": "attempt_lost",
            "message": "shard s is tried again: x",
            "shard": "s",
        },
    ]


@pytest.mark.parametrize(
    ("form", "wanted", "is_terminal", "kind"),
    [
        (None, False, False, LineWatcher),
        (None, False, True, BarWatcher),
        (None, True, True, JsonWatcher),
        (LogForm.TEXT, True, True, LineWatcher),
        (LogForm.BAR, False, False, BarWatcher),
        (LogForm.JSON, False, True, JsonWatcher),
    ],
)
def test_who_watches_is_asked_for_or_suits_the_screen(
    monkeypatch: pytest.MonkeyPatch,
    form: LogForm | None,
    wanted: bool,
    is_terminal: bool,
    kind: type,
) -> None:
    monkeypatch.setattr(journal, "is_wanted", lambda: wanted)
    monkeypatch.setattr(journal, "turn_on", lambda: None)
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    assert isinstance(watcher_of(form), kind)


def test_a_line_for_others_has_the_form_of_the_screen() -> None:
    assert LineWatcher().line("bye") == "bye"
    assert '"message": "bye"' in JsonWatcher().line("bye")
