"""The log for machines."""

import json
import logging
import os
import re
import subprocess
import sys

import pytest

from farm import journal
from farm.errors import SourceDeniedError
from farm.record import Record, Status
from farm.summary import Summary
from tests.json_log import logged_json

SECRET_URI = "s3://KEY:hunter2@bucket/a.jpg?X-Amz-Signature=hunter2"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def lines(monkeypatch):
    # Other tests of this process may have begun a run.
    monkeypatch.setattr(journal, "_bound", {})
    with logged_json() as read:
        yield read


def test_a_line_says_when_what_and_about_what(lines):
    journal.tell("paused", "no disk", level=logging.WARNING, run="r", shard="000000-0001")
    (line,) = lines()
    assert TIME.fullmatch(line.pop("time"))
    assert list(line.items()) == [
        ("level", "warning"),
        ("event", "paused"),
        ("message", "no disk"),
        ("run", "r"),
        ("shard", "000000-0001"),
    ]


def test_all_lines_tell_what_was_bound_unless_they_know_better(lines):
    journal.bind(run="r", worker="w")
    logging.getLogger("farm.x").warning("theirs")
    journal.tell("x", "ours", run="s")
    assert [(line["run"], line["worker"]) for line in lines()] == [("r", "w"), ("s", "w")]


def test_other_lines_name_their_logger(lines):
    logging.getLogger("farm.isolation.pool").warning("no %s: %d", "GPU", 3)
    (line,) = lines()
    del line["time"]
    assert line == {
        "level": "warning",
        "event": "log",
        "message": "no GPU: 3",
        "logger": "farm.isolation.pool",
    }


def test_no_secret_gets_into_any_field(lines):
    try:
        raise SourceDeniedError(f"{SECRET_URI} is denied")
    except SourceDeniedError:
        logging.getLogger("farm.x").exception("cannot read %s", SECRET_URI)
    journal.tell("x", SECRET_URI, id=SECRET_URI, counts={SECRET_URI: 1}, codes=[SECRET_URI])
    first, second = lines()
    assert "hunter2" not in json.dumps([first, second])
    assert "SourceDeniedError: s3://KEY:***@bucket" in first["error"]
    assert second["counts"] == {second["message"]: 1}


@pytest.mark.parametrize(
    "text", ["two\nlines", "\x1b[31mred", "half \udcff", "\u2028", "naïve 日本"]
)
def test_any_text_stays_on_its_line_and_is_ascii(text):
    line = journal.line("x", text)
    assert line.isascii()
    assert "\n" not in line
    said = json.loads(line)["message"]
    assert said == text.replace("\udcff", "?")


def test_numbers_that_json_does_not_know_are_words(lines):
    journal.tell("x", "x", seconds=float("inf"), rows=3, entries_per_second=0.5)
    (line,) = lines()
    assert (line["seconds"], line["rows"], line["entries_per_second"]) == ("inf", 3, 0.5)


def test_a_failure_tells_entry_and_cause(lines):
    record = Record(
        row=7, status=Status.QUARANTINED, source="a.mp4", id="a", error_code="timeout",
        message="took longer than 3 s", attempts=2, worker="host:1",
    )  # fmt: skip
    journal.tell_failure(record, run="r", pass_number=1, shard="000000-0000")
    (line,) = lines()
    del line["time"]
    assert line == {
        "level": "info", "event": "entry_failed", "message": "took longer than 3 s", "run": "r",
        "pass_number": 1, "shard": "000000-0000", "row": 7, "id": "a", "source": "a.mp4",
        "status": "quarantined", "code": "timeout", "attempts": 2, "worker": "host:1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("summary", "event", "message"),
    [
        (Summary("s", True, counts={"ok": 3}, seconds=1.2345), "shard_committed", "3 entries"),
        (Summary("s", False, was_done=True), "shard_known", "another attempt had committed it"),
        (Summary("s", False, blocked_by="disk_full", blocked_message="full"), "shard_blocked",
         "full"),
        (Summary("s", False, blocked_by="drain"), "shard_blocked", "drain"),
    ],
)  # fmt: skip
def test_an_attempt_tells_how_it_ended(lines, summary, event, message):
    journal.tell_attempt(summary, run="r", pass_number=2)
    (line,) = lines()
    assert (line["event"], line["message"], line["shard"]) == (event, message, "s")
    assert line.get("code") == summary.blocked_by
    assert line["seconds"] == round(summary.seconds, 3)
    assert (line["run"], line["pass_number"]) == ("r", 2)


def test_nothing_is_told_unless_asked_for(monkeypatch):
    monkeypatch.delenv(journal.VARIABLE, raising=False)
    root = logging.root.handlers[:]
    journal.set_up()
    assert logging.root.handlers == root
    assert not journal.is_on()
    monkeypatch.setenv(journal.VARIABLE, "text")
    assert not journal.is_wanted()


_SCRIPT = """
import logging, sys, warnings
theirs = logging.getLogger("theirs")
theirs.addHandler(logging.StreamHandler(sys.stderr))
theirs.propagate = False
other = logging.FileHandler(sys.argv[1])
theirs.addHandler(other)
from farm import journal
journal.set_up()
journal.set_up()
journal.tell("x", "ours")
theirs.error("theirs")
logging.getLogger("elsewhere").warning("elsewhere")
logging.getLogger("elsewhere").info("too quiet")
warnings.warn("careful")
"""


def test_all_that_a_process_logs_becomes_json(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path / "file.log")],
        env={**os.environ, journal.VARIABLE: "json"},
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in ran.stderr.splitlines()]
    said = [(line["event"], line.get("logger")) for line in told]
    assert said == [
        ("x", None), ("log", "theirs"), ("log", "elsewhere"), ("log", "py.warnings")
    ]  # fmt: skip
    assert "careful" in told[-1]["message"]
    assert (tmp_path / "file.log").read_text() == "theirs\n"
