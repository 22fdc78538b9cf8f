"""`farm status`: each state of a run in words, in JSON, and as it changes."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from farm import lookout
from farm.cli import status as status_module
from farm.cli.status import status_line, status_lines
from farm.holder import Holder
from farm.lease import Lease
from farm.ledger import Ledger, PassReason
from farm.pace import EntryUnderWay
from farm.run_status import Example, LiveState, PassFigures, RunStatus, put_status
from tests.cli.conftest import Farm

HOLDER = replace(Holder.here(), user="ann", host="far", pid=7, since="2026-11-22T15:00:00+00:00")
FIGURES = PassFigures(
    number=1, reason=PassReason.NEW, rows=3400, shards=9, counts={"ok": 511, "failed": 81},
    codes={"corrupt": 80, "no_frame": 1}, pictures=511, bytes_read=68_800_000,
    bytes_written=5_860_000,
)  # fmt: skip
RUNNING = RunStatus(
    state=LiveState.RUNNING,
    ledger="/out/_ledger",
    lease=1,
    holder=HOLDER,
    seconds=49.4,
    beat=5,
    shards_in_flight=4,
    shards_todo=67,
    slots=1,
    entries_per_second=28.7,
    seconds_left=98.0,
    oldest=EntryUnderWay(602, "/in/vp9.webm", "far:9", 0.9),
    examples={"corrupt": Example(row=74, source="/in/a.jpg", message="/in/a.jpg: broken")},
).with_passes([FIGURES])


class TestLines:
    def test_a_run_that_works(self) -> None:
        assert status_lines(RUNNING) == [
            "state      running",
            "ledger     /out/_ledger",
            "run        ann on far, process 7, since 2026-11-22T15:00:00+00:00; 49.4 s so far",
            "pass 1     new: 592 of 3,400 entries (17.4 %)",
            "entries    592, 81 failed, 511 ok",
            "pictures   511, 5.86 MB; 68.8 MB read",
            "rate       28.7/s over the last 5 minutes, 1:38 left",
            "shards     4 sent, 67 to be sent; 1 worker",
            "oldest     row 602 /in/vp9.webm, for 0.9 s on far:9",
            "failures",
            "  corrupt                     80  row 74  /in/a.jpg: broken",
            "  no_frame                     1",
        ]

    def test_one_that_cannot_tell(self) -> None:
        old = RUNNING.model_copy(update={"age_seconds": 125.0})
        assert status_lines(old)[3] == (
            "told       2:05 ago: the run lives, but cannot store its status"
        )

    def test_one_that_is_gone(self) -> None:
        gone = {"state": LiveState.GONE, "reason": "it was killed", "age_seconds": 125.0}
        one = FIGURES.model_copy(update={"is_estimate": True})
        lines = status_lines(RUNNING.with_passes([one], 30).model_copy(update=gone))
        assert lines[0] == "state      gone: it was killed"
        assert lines[3:6] == [
            "told       2:05 ago, for the last time",
            "pass 1     new: about 592 of 3,400 entries (17.4 %)",
            "entries    622, 81 failed, 511 ok, 30 done before",
        ]
        assert not any(line.startswith(("rate", "shards", "oldest")) for line in lines)

    def test_a_reason_that_begins_with_the_state_is_not_doubled(self) -> None:
        stopped = {"state": LiveState.STOPPED, "reason": "stopped by a signal"}
        assert status_lines(RUNNING.model_copy(update=stopped))[0] == (
            "state      stopped by a signal"
        )

    def test_one_that_has_just_begun(self) -> None:
        status = RunStatus(state=LiveState.PLANNING, reason="it has just begun", ledger="/l")
        assert status_lines(status)[:2] == [
            "state      planning: it has just begun",
            "ledger     /l",
        ]
        assert status_line(status) == "planning: it has just begun"

    def test_a_manifest_that_is_being_planned(self) -> None:
        one = FIGURES.model_copy(update={"rows": None})
        assert status_lines(RUNNING.with_passes([one]))[3] == "pass 1     new: 592 of ? entries"
        assert status_line(RUNNING.with_passes([one])).startswith("pass 1: 592/? entries")

    def test_long_messages_are_cut(self) -> None:
        examples = {"corrupt": Example(row=1, source="/a", message="x" * 500)}
        lines = status_lines(RUNNING.model_copy(update={"examples": examples}))
        assert lines[-2].endswith("x...")
        assert len(lines[-2]) < 180

    def test_in_one_line(self) -> None:
        assert status_line(RUNNING) == (
            "pass 1: 592/3,400 entries, 81 failed, 28.7/s, 1:38 left; running"
        )


class TestCommand:
    def test_where_nothing_has_begun(self, farm: Farm, tmp_path: Path) -> None:
        job = tmp_path / "job.yaml"
        job.write_text("manifest: list.txt\ndestination: out\noutputs: [{width: 16}]\n")
        said = farm("status", job)
        assert said.code == 0
        assert said.out == f"state      new\nledger     {tmp_path}/out/_ledger\n"

    def test_of_a_ledger_without_a_status(self, farm: Farm, ledger: Ledger) -> None:
        said = farm("status", ledger.uri)
        assert said.code == 0
        assert "entries    4, 2 failed, 1 ok, 1 quarantined" in said.out
        assert "\\x1b[31msource_not_found here" in said.out, "nothing plays tricks"

    def test_json_is_whole_whatever_names_hold(self, farm: Farm, tmp_path: Path) -> None:
        odd = "\x9f\x1b[31m\U000e0041\u202e.jpg"
        examples = {"corrupt": Example(row=1, source=odd, message=odd)}
        status = RUNNING.model_copy(update={"examples": examples, "state": LiveState.DONE})
        put_status(str(tmp_path), status)
        said = farm("status", tmp_path, "--json")
        assert (said.code, said.out.isascii()) == (0, True)
        told = json.loads(said.out)
        assert told["examples"]["corrupt"]["source"] == odd
        assert (told["state"], told["entries"], told["cost"]) == ("done", 592, None)
        assert told["age_seconds"] >= 0
        assert RunStatus.model_validate(told).passes == status.passes

    def test_a_ledger_that_cannot_be_read(self, farm: Farm, tmp_path: Path) -> None:
        (tmp_path / "status.json").write_text("{}")
        said = farm("status", tmp_path)
        assert said.code == 3
        assert "run_conflict" in said.err

    def test_a_job_that_makes_no_sense(self, farm: Farm, tmp_path: Path) -> None:
        assert farm("status", tmp_path / "none.yaml").code == 2


@pytest.fixture
def three_statuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger whose run tells the same twice, then goes on, then ends."""
    moved = RUNNING.with_passes([FIGURES.plus(FIGURES)])
    later = iter(
        one.model_copy(update={"beat": beat, "state": LiveState(state)})
        for beat, (one, state) in enumerate(
            [(RUNNING, "running"), (RUNNING, "running"), (moved, "paused"), (moved, "done")]
        )
    )
    put_status(str(tmp_path), next(later))
    monkeypatch.setattr(lookout.time, "sleep", lambda _: put_status(str(tmp_path), next(later)))
    return tmp_path


class TestWatch:
    def test_a_line_for_each_change(self, farm: Farm, three_statuses: Path) -> None:
        with Lease.take(str(three_statuses)):
            said = farm("status", three_statuses, "--watch")
        assert said.code == 0
        assert [line.rpartition("; ")[2] for line in said.out.splitlines()] == [
            "running", "paused", "done",
        ]  # fmt: skip

    def test_a_json_object_for_each_status(self, farm: Farm, three_statuses: Path) -> None:
        with Lease.take(str(three_statuses)):
            said = farm("status", three_statuses, "--watch", "--json")
        states = [json.loads(line)["state"] for line in said.out.splitlines()]
        assert states == ["running", "running", "paused", "done"]

    def test_on_a_terminal_it_is_drawn_in_its_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import rich.console

        screen = io.StringIO()
        console = rich.console.Console(file=screen, force_terminal=True, width=100)
        monkeypatch.setattr(rich.console, "Console", lambda: console)
        odd = RUNNING.model_copy(update={"reason": "[bold]\x1b[31m", "state": LiveState.PAUSED})
        status_module._draw([RUNNING, odd])
        drawn = screen.getvalue()
        assert "state      running" in drawn
        assert "paused: [bold]\\x1b[31m" in drawn
        assert "\x1b[1A" in drawn, "the cursor goes up"
