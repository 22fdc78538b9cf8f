"""The lease of a ledger: one holder at a time, on every store, however the last one ended."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import replace

import pytest

from farm import lease as lease_module
from farm import storage
from farm.errors import RunConflictError
from farm.holder import Holder
from farm.lease import Claim, Lease, Waiting
from tests.lanes import wait_until
from tests.s3 import S3Server, s3_server

__all__ = ["s3_server"]

BEAT, EXPIRED = 0.1, 1.0


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lease_module, "BEAT_SECONDS", BEAT)
    monkeypatch.setattr(lease_module, "EXPIRED_SECONDS", EXPIRED)
    monkeypatch.setattr(lease_module, "_POLL_SECONDS", 0.05)


@pytest.fixture(params=["file", "memory", "s3"])
def ledger(request, tmp_path, monkeypatch):
    match request.param:
        case "file":
            return str(tmp_path / "ledger")
        case "memory":
            return f"memory://{uuid.uuid4()}/ledger"
        case _:
            # It tells whole seconds.
            monkeypatch.setattr(lease_module, "EXPIRED_SECONDS", 3.0)
            server: S3Server = request.getfixturevalue("s3_server")
            return f"{server.new_bucket()}/ledger"


def elsewhere(**fields) -> Holder:
    """A run on a machine of which this one knows nothing."""
    return replace(Holder.here(), machine="other/pid", host="far", **fields)


def leave_claim(ledger: str, holder: Holder, number: int = 1, **fields) -> str:
    """A claim as a run left it that is gone."""
    uri = f"{ledger}/lease/{number:06d}.json"
    storage.put(uri, lease_module._json(Claim(number, holder, **fields)))
    return uri


def held(ledger: str) -> list[str]:
    return [_.uri.rpartition("/")[2] for _ in storage.list_files(f"{ledger}/lease/")]


class Beating:
    """Another machine's run that gives signs of life while the block lasts."""

    def __init__(self, ledger, holder):
        self.uri = leave_claim(ledger, holder)
        self._holder, self._over = holder, threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def _beat(self):
        beat = 0
        while not self._over.wait(BEAT):
            beat += 1
            claim = Claim(1, self._holder, beat)
            storage.put(self.uri, lease_module._json(claim))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


class TestTake:
    def test_it_is_free_again_when_released(self, ledger):
        for number in (1, 2, 3):
            with Lease.take(ledger) as taken:
                assert not taken.is_lost()
                assert held(ledger) == [f"{number:06d}.json"]

    def test_a_second_one_is_refused_with_the_name_of_the_first(self, ledger):
        with Lease.take(ledger), pytest.raises(RunConflictError) as refused:
            Lease.take(ledger)
        assert f"process {os.getpid()}, since 20" in str(refused.value)
        assert "--take-over" in str(refused.value)

    def test_of_many_at_once_one_gets_it(self, ledger):
        ready = threading.Barrier(6)
        taken, refused = [], []

        def take():
            ready.wait()
            try:
                taken.append(Lease.take(ledger))
            except RunConflictError:
                refused.append(1)

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(3 * BEAT)
        assert sum(not one.is_lost() for one in taken) == 1
        # Memory has no conditional puts: there a second one may begin, but finds out.
        assert len(taken) == 1 or ledger.startswith("memory")
        for one in taken:
            one.release()

    def test_a_run_elsewhere_that_lives_is_found_out_by_its_heartbeat(self, ledger):
        with Beating(ledger, elsewhere(user="ann")), pytest.raises(RunConflictError, match="ann"):
            Lease.take(ledger)

    def test_a_run_elsewhere_that_is_silent_has_lost_it(self, ledger):
        leave_claim(ledger, elsewhere(user="ann"))
        said = []
        Lease.take(ledger, waiting=Waiting(notice=said.append)).release()
        assert [_[:53] for _ in said] == ["looking whether another run still lives: ann on far, "]
        assert held(ledger) == ["000002.json"]

    def test_a_claim_that_is_old_by_the_stores_clock_is_not_waited_for(self, tmp_path):
        uri = leave_claim(str(tmp_path), elsewhere())
        os.utime(uri, (time.time() - 3600, time.time() - 3600))
        waiting = Waiting(notice=lambda message: pytest.fail(message))
        Lease.take(str(tmp_path), waiting=waiting).release()

    def test_a_stop_ends_the_waiting(self, tmp_path):
        leave_claim(str(tmp_path), elsewhere())
        with pytest.raises(RunConflictError, match="stopped while waiting"):
            Lease.take(str(tmp_path), waiting=Waiting(is_stopped=lambda: True))

    def test_a_dead_process_of_this_machine_is_not_waited_for(self, ledger, monkeypatch):
        monkeypatch.setattr(lease_module, "EXPIRED_SECONDS", 3600.0)
        with subprocess.Popen(["sleep", "60"]) as process:
            holder = replace(Holder.here(), pid=process.pid, start_ticks=1)
            leave_claim(ledger, holder)
            Lease.take(ledger).release()
            process.kill()

    def test_what_is_no_claim_is_named(self, tmp_path):
        storage.put(f"{tmp_path}/lease/000001.json", b"{}")
        with pytest.raises(RunConflictError, match=r"lease/000001\.json is not what a run"):
            Lease.take(str(tmp_path))

    def test_a_run_that_was_faster_keeps_it(self, tmp_path, monkeypatch):
        monkeypatch.setattr(lease_module.Shelf, "newest", lambda self: None)
        leave_claim(str(tmp_path), elsewhere())
        with pytest.raises(RunConflictError, match="just now"):
            Lease.take(str(tmp_path))


class TestTakeOver:
    def test_the_other_one_finds_out_and_is_waited_for(self, ledger):
        lost = threading.Event()
        first = Lease.take(ledger, lost=lost.set)

        def drain():
            lost.wait(10)
            with pytest.raises(RunConflictError, match=r"has taken over .*process"):
                first.check()
            time.sleep(1.5 * lease_module.EXPIRED_SECONDS)
            ended.append(time.monotonic())
            first.release()

        ended: list[float] = []
        draining = threading.Thread(target=drain)
        draining.start()
        with Lease.take(ledger, take_over=True, waiting=Waiting(30.0)) as second:
            assert ended, "the first one still drains"
            assert not second.is_lost()
            assert held(ledger) == ["000002.json"]
        draining.join()

    def test_patience_ends(self, ledger):
        waiting = Waiting(0.2)
        with (
            Lease.take(ledger) as first,
            Lease.take(ledger, take_over=True, waiting=waiting) as second,
        ):
            first._beat()
            assert first.is_lost()
            assert not second.is_lost()

    def test_one_that_slept_through_it_all_asks_before_it_goes_on(self, ledger, monkeypatch):
        """Its thread has not run since: as if the process had been stopped."""
        monkeypatch.setattr(lease_module, "BEAT_SECONDS", 3600.0)
        first = Lease.take(ledger)
        time.sleep(lease_module.EXPIRED_SECONDS)
        with Lease.take(ledger, take_over=True, waiting=Waiting(0.1)):
            pass
        Lease.take(ledger).release()
        assert first.is_lost()
        first.release()
        assert held(ledger) == ["000003.json"]

    def test_a_stop_ends_the_waiting_and_gives_it_back(self, ledger):
        with Lease.take(ledger), pytest.raises(RunConflictError, match="stopped while taking over"):
            Lease.take(ledger, take_over=True, waiting=Waiting(is_stopped=lambda: True))
        Lease.take(ledger).release()


class TestHeartbeat:
    def test_a_store_that_fails_is_asked_again(self, tmp_path, monkeypatch):
        with Lease.take(str(tmp_path)) as taken:
            monkeypatch.setattr(storage, "put", lambda *_: storage.get("/nowhere"))
            time.sleep(3 * BEAT)
            assert not taken.is_lost()
            monkeypatch.undo()
            time.sleep(3 * BEAT)
            assert taken._thread.is_alive()

    def test_a_heartbeat_that_the_store_does_not_take_is_none(self, tmp_path, monkeypatch):
        tried = []

        def refuse(*words):
            tried.append(taken.claim.beat)
            storage.get("/nowhere")

        with Lease.take(str(tmp_path)) as taken:
            with monkeypatch.context() as broken:
                broken.setattr(storage, "put", refuse)
                wait_until(lambda: len(tried) >= 3, seconds=30)
            assert len(set(tried)) == 1
            wait_until(lambda: taken.claim.beat > tried[-1], seconds=30)

    def test_a_claim_that_was_deleted_by_hand_is_made_again(self, ledger):
        with Lease.take(ledger) as taken:
            storage.delete(f"{ledger}/lease/000001.json")
            time.sleep(5 * BEAT)
            assert not taken.is_lost()
            assert held(ledger) == ["000001.json"]

    def test_a_claim_that_was_overwritten_is_lost_and_left_alone(self, ledger):
        with Lease.take(ledger) as taken:
            other = elsewhere(user="ann")
            leave_claim(ledger, other, beat=7)
            time.sleep(5 * BEAT)
            if not taken.is_lost():  # a heartbeat was under way
                leave_claim(ledger, other, beat=7)
                time.sleep(5 * BEAT)
            with pytest.raises(RunConflictError, match="ann on far"):
                taken.check()
        claim = lease_module.Shelf(f"{ledger}/lease", ledger).read(1)
        assert claim == Claim(1, other, 7)


class TestHolder:
    def test_a_process_lives_until_it_is_dead_or_a_zombie(self):
        code = (
            "import time; from farm.holder import Holder\n"
            "print(Holder.here().start_ticks, flush=True); time.sleep(60)"
        )
        words = [sys.executable, "-c", code]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            ticks = int(process.stdout.readline())
            there = replace(Holder.here(), pid=process.pid, start_ticks=ticks)
            assert there.is_here
            assert there.is_alive()
            process.send_signal(signal.SIGSTOP)
            assert there.is_alive()
            assert not replace(there, start_ticks=ticks + 1).is_alive()
            process.kill()
            deadline = time.monotonic() + 10
            while there.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not there.is_alive(), "a zombie counts as alive"

    def test_another_boot_is_not_here(self):
        assert not elsewhere().is_here
        assert not replace(Holder.here(), machine="").is_here
