"""`farm stop`, `pause` and `resume`: what a run makes of them, and what is said without one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from farm import bulletin as bulletin_module
from farm import storage
from farm.bulletin import Bulletin
from farm.cli import control as control_module
from farm.control import Control, Stop, Wish, put_control, read_control
from farm.lease import Lease
from farm.ledger import Ledger
from farm.progress import Progress
from farm.run_status import LiveState
from tests.cli.conftest import Farm
from tests.test_bulletin import RUNNING


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulletin_module, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(control_module, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(control_module, "_SETTLE_SECONDS", 0.5)


class Run(Stop):
    """A run that does at once what it is asked, and tells so."""

    def __init__(self) -> None:
        super().__init__()
        self.bulletin: Bulletin | None = None
        self.is_deaf = False

    def _at(self, state: LiveState, reason: str = "", shards: int = 2) -> None:
        if self.bulletin is not None and not self.is_deaf:
            self.bulletin.progressed(
                replace(RUNNING, state=state, reason=reason, shards_in_flight=shards)
            )

    def request(self, reason: str = "") -> None:
        super().request(reason)
        self._at(LiveState.DRAINING, reason, 1)

    def hold(self, reason: str) -> None:
        super().hold(reason)
        self._at(LiveState.PAUSED, reason)

    def go_on(self) -> None:
        super().go_on()
        self._at(LiveState.DRAINING if self.is_requested() else LiveState.RUNNING)


@contextmanager
def running(ledger: str, run: Run, progress: Progress = RUNNING) -> Iterator[Lease]:
    """The run works while the block lasts."""
    with Lease.take(ledger) as lease:
        run.bulletin = Bulletin(Ledger(ledger, storage), lease, run, notice=lambda _: None)
        with run.bulletin:
            run.bulletin.progressed(progress)
            yield lease


class TestRunThatLives:
    def test_it_drains(self, farm: Farm, tmp_path: Path) -> None:
        run = Run()
        with running(str(tmp_path), run):
            said = farm("stop", tmp_path)
        assert (said.code, said.out) == (
            0, "draining: of 1 shard under way the entries that have begun are finished\n",
        )  # fmt: skip
        assert "stopped by `farm stop` of" in run.reason
        assert read_control(str(tmp_path)) is None

    def test_it_pauses_and_goes_on(self, farm: Farm, tmp_path: Path) -> None:
        run = Run()
        with running(str(tmp_path), run):
            said = farm("pause", tmp_path)
            assert (said.code, said.out) == (
                0, f"paused: 2 shards under way; to go on: farm resume {tmp_path}\n",
            )  # fmt: skip
            assert "by `farm pause` of" in (run.held or "")
            said = farm("resume", tmp_path)
            assert (said.code, said.out) == (0, "running: 2 shards under way\n")
            assert run.held is None

    def test_nobody_waits_who_does_not_want_to(self, farm: Farm, tmp_path: Path) -> None:
        with Lease.take(str(tmp_path)):
            said = farm("stop", tmp_path, "--no-wait")
        assert said.code == 0
        assert "farm status" in said.out
        wish = read_control(str(tmp_path))
        assert wish is not None
        assert (wish.wish, wish.lease) == (Wish.STOP, 1)

    def test_one_that_takes_no_note_is_told_of(
        self, farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control_module, "_PATIENCE_SECONDS", 0.2)
        with Lease.take(str(tmp_path)):
            said = farm("pause", tmp_path)
        assert said.code == 3
        assert "no note within 0 s; it will when it can" in said.out

    def test_one_that_plans_pauses_when_it_may(self, farm: Farm, tmp_path: Path) -> None:
        run = Run()
        run.is_deaf = True
        planning = replace(RUNNING, state=LiveState.PLANNING, shards_in_flight=0)
        with running(str(tmp_path), run, planning):
            said = farm("pause", tmp_path)
        assert (said.code, said.out) == (0, "planning: 0 shards under way\n")

    def test_what_the_run_before_told_is_no_answer(
        self, farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control_module, "_PATIENCE_SECONDS", 0.2)
        with Lease.take(str(tmp_path)) as lease:
            end(str(tmp_path), lease, Run())
        with Lease.take(str(tmp_path)):
            said = farm("stop", tmp_path)
        assert said.code == 3
        assert "it will when it can" in said.out

    def test_one_that_ends_meanwhile_is_told_of(
        self, farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = Run()
        with Lease.take(str(tmp_path)) as lease:
            monkeypatch.setattr(
                "farm.control.put_control", lambda *_: end(str(tmp_path), lease, run)
            )
            said = farm("stop", tmp_path)
        assert (said.code, said.out) == (1, "the run is over; done\n")


def end(ledger: str, lease: Lease, run: Run) -> None:
    """Tells that the run has come to its end."""
    with Bulletin(Ledger(ledger, storage), lease, run, notice=lambda _: None) as bulletin:
        bulletin.ended(LiveState.DONE, "", None)


class TestNoRun:
    @pytest.mark.parametrize("word", ["stop", "resume"])
    def test_there_is_nothing_to_do(self, farm: Farm, tmp_path: Path, word: str) -> None:
        said = farm(word, tmp_path)
        assert (said.code, said.out) == (1, "no run is under way\n")
        assert read_control(str(tmp_path)) is None

    def test_the_last_one_is_named(self, farm: Farm, ledger: Ledger) -> None:
        with Lease.take(ledger.uri) as lease:
            end(ledger.uri, lease, Run())
        assert farm("stop", ledger.uri).out == "no run is under way; the last one: done\n"

    def test_a_pause_waits_for_the_next_one_until_it_is_lifted(
        self, farm: Farm, tmp_path: Path
    ) -> None:
        said = farm("pause", tmp_path)
        assert said.code == 1
        assert "the next run begins paused, until `farm resume`" in said.out
        assert "begins paused" in farm("stop", tmp_path).out
        run = Run()
        with running(str(tmp_path), run):
            assert run.held is not None
        said = farm("resume", tmp_path)
        assert (said.code, said.out.splitlines()[-1]) == (1, "the pause is lifted for the next run")
        assert read_control(str(tmp_path)) is None

    def test_an_old_wish_to_stop_is_no_pause(self, farm: Farm, tmp_path: Path) -> None:
        put_control(str(tmp_path), Control.of(Wish.STOP, lease=1))
        assert "lifted" not in farm("resume", tmp_path).out

    def test_a_job_that_makes_no_sense(self, farm: Farm, tmp_path: Path) -> None:
        assert farm("stop", tmp_path / "none.yaml").code == 2
