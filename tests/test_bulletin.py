"""The bulletin: a status that follows the run, wishes that reach it, and a store that may fail."""

import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import replace

import pytest

from farm import bulletin as bulletin_module
from farm import storage
from farm.bulletin import Bulletin
from farm.cluster import Outcome, OutcomeKind
from farm.control import Control, Stop, Wish, put_control, read_control
from farm.errors import InvalidManifestError, SourceUnavailableError, StoreUnavailableError
from farm.history import Totals
from farm.lease import Lease
from farm.ledger import Ledger, ShardRef
from farm.pace import EntryUnderWay
from farm.progress import Progress
from farm.run_status import LiveState, RunStatus, put_status, read_status
from farm.worker import Summary
from tests.lanes import wait_until
from tests.test_lookout import add_pass, shards_of

RUNNING = Progress(
    rows=None, entries=0, failures=0, pictures=0, entries_per_second=0.0, seconds_left=None,
    shards_in_flight=2, pass_number=1, shards_todo=3, slots=4, shards_before=frozenset(),
)  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(bulletin_module, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(bulletin_module, "_WRITE_SECONDS", 0.05)


@pytest.fixture
def ledger():
    return Ledger(f"memory://{uuid.uuid4()}/l", storage)


class Told:
    """A bulletin, the stop that it steers and what it has noticed."""

    def __init__(self, ledger, lease):
        self.stop, self.notices = Stop(), []
        self.lease = lease.claim.number
        self.bulletin = Bulletin(ledger, lease, self.stop, notice=self.notices.append)
        self._ledger = ledger

    def status(self):
        return read_status(self._ledger.uri)

    def wait_for(self, condition):
        """The first status of which that holds."""
        wait_until(lambda: (status := self.status()) and condition(status), seconds=60)
        return self.status()


@contextmanager
def telling(ledger):
    with Lease.take(ledger.uri) as lease:
        told = Told(ledger, lease)
        with told.bulletin:
            yield told


def settle(told, ledger, index, counts, *, kind=OutcomeKind.COMMITTED, **fields):
    ref = ShardRef(ledger.uri, 1, 0, 9, index)
    summary = Summary(ref.name, committed=True, counts=counts, **fields)
    told.bulletin.settled(Outcome(ref, kind, summary))


class TestStatus:
    def test_its_end_is_told_whenever_the_thread_notices(self, ledger, monkeypatch):
        monkeypatch.setattr(bulletin_module, "_WRITE_SECONDS", 3600)
        with telling(ledger) as told:
            told.wait_for(lambda _: True)
            told.bulletin.ended(LiveState.DONE, "", None)
            # As if it had looked up just before it was woken.
            monkeypatch.setattr(told.bulletin._wake, "set", lambda: None)
        assert told.status().state is LiveState.DONE

    def test_it_is_told_at_once_that_a_run_has_begun(self, ledger):
        with telling(ledger) as told:
            status = told.wait_for(lambda _: True)
            assert (status.state, status.reason) == (LiveState.PLANNING, "it has just begun")
            assert (status.lease, status.ledger) == (told.lease, ledger.uri)
            assert status.started == status.holder.since

    def test_it_follows_the_run(self, ledger):
        add_pass(ledger, shards_of(None, "corrupt", None))
        oldest = EntryUnderWay(7, "/in/7", "host:1", 2.0)
        with telling(ledger) as told:
            told.bulletin.progressed(replace(RUNNING, oldest=oldest))
            settle(told, ledger, 0, {"ok": 2}, pictures=2, bytes_read=50, bytes_written=20)
            settle(told, ledger, 1, {"failed": 2}, codes={"corrupt": 2})
            settle(told, ledger, 1, {"failed": 2}, codes={"corrupt": 2}, was_done=True)
            settle(told, ledger, 8, {"ok": 2}, kind=OutcomeKind.BLOCKED)
            status = told.wait_for(lambda _: _.entries == 4)
        (one,) = status.passes
        assert (one.number, one.reason, one.rows, one.shards) == (1, "new", 6, 2)
        assert status.counts == {"ok": 2, "failed": 2}
        assert (status.pictures, status.bytes_read, status.bytes_written) == (2, 50, 20)
        assert status.examples["corrupt"].row == 3
        assert (status.shards_in_flight, status.shards_todo, status.slots) == (2, 3, 4)
        assert status.oldest == oldest
        assert status.entries_per_second > 0
        assert status.seconds_left > 0

    @pytest.mark.parametrize(
        ("kind", "was_done"), [(OutcomeKind.LOST, False), (OutcomeKind.COMMITTED, True)]
    )
    def test_what_was_committed_unheard_counts_once(self, ledger, kind, was_done):
        add_pass(ledger, shards_of(None, "corrupt"), committed=1)
        with telling(ledger) as told:
            told.bulletin.progressed(RUNNING)
            settle(told, ledger, 0, {}, kind=kind, was_done=was_done)
            settle(told, ledger, 1, {}, kind=OutcomeKind.LOST)
            assert told.wait_for(lambda _: _.entries).counts == {"ok": 2}
            settle(told, ledger, 0, {"ok": 2})
            settle(told, ledger, 0, {}, kind=kind, was_done=was_done)
            settle(told, ledger, 1, {"failed": 2})
            assert told.wait_for(lambda _: _.entries != 2).counts == {"ok": 2, "failed": 2}

    def test_the_time_left_is_told_of_a_run_that_goes_on_only(self, ledger):
        add_pass(ledger, shards_of(None, None))
        with telling(ledger) as told:
            settle(told, ledger, 0, {"ok": 2})
            told.bulletin.progressed(replace(RUNNING, state=LiveState.PAUSED, reason="by ann"))
            status = told.wait_for(lambda _: _.state is LiveState.PAUSED)
        assert status.reason == "by ann"
        assert status.seconds_left is None

    def test_it_goes_on_living_while_nothing_happens(self, ledger):
        with telling(ledger) as told:
            beat = told.wait_for(lambda _: True).beat
            told.wait_for(lambda _: _.beat > beat + 2)

    def test_the_end_is_told_with_the_totals(self, ledger):
        add_pass(ledger, shards_of(None))
        totals = Totals(entries=2, counts={"ok": 2}, pictures=2)
        with telling(ledger) as told:
            told.bulletin.progressed(RUNNING)
            told.bulletin.ended(LiveState.DONE, "", totals)
        status = told.status()
        assert (status.state, status.entries, status.counts) == (LiveState.DONE, 2, {"ok": 2})
        assert (status.shards_in_flight, status.oldest) == (0, None)

    def test_an_error_that_ends_the_command_is_told(self, ledger):
        with pytest.raises(InvalidManifestError), telling(ledger) as told:
            raise InvalidManifestError("row 3 is odd")
        status = told.status()
        assert status.state is LiveState.FAILED
        assert status.reason == "invalid_manifest: row 3 is odd"

    def test_until_a_pass_begins_the_last_commands_figures_stay(self, ledger):
        with telling(ledger) as told:
            told.bulletin.progressed(RUNNING)
            settle(told, ledger, 0, {"ok": 2})
            add_pass(ledger, shards_of(None))
            told.wait_for(lambda _: _.entries == 2)
        with telling(ledger) as again:
            status = again.wait_for(lambda _: _.lease == again.lease)
            assert (status.state, status.entries) == (LiveState.PLANNING, 2)

    def test_who_was_replaced_says_nothing_more(self, ledger):
        with telling(ledger) as told:
            told.wait_for(lambda _: True)
            put_status(ledger.uri, RunStatus(state=LiveState.RUNNING, lease=told.lease + 1))
            told.bulletin.ended(LiveState.FAILED, "lost", None)
        assert told.status().lease == told.lease + 1


class TestWishes:
    def test_a_pause_holds_and_a_resume_lets_go(self, ledger):
        with telling(ledger) as told:
            pause = Control.of(Wish.PAUSE)
            put_control(ledger.uri, pause)
            told.wait_for(lambda _: _.heard == pause.id)
            assert told.stop.held == f"by {pause}"
            assert read_control(ledger.uri) == pause, "it stands for later runs"
            resume = Control.of(Wish.RUN)
            put_control(ledger.uri, resume)
            told.wait_for(lambda _: _.heard == resume.id)
            assert told.stop.held is None
            assert read_control(ledger.uri) is None

    def test_a_pause_that_stands_holds_from_the_beginning(self, ledger):
        put_control(ledger.uri, Control.of(Wish.PAUSE))
        with telling(ledger) as told:
            assert told.stop.held is not None

    def test_a_wish_that_is_deleted_holds_no_longer(self, ledger):
        put_control(ledger.uri, Control.of(Wish.PAUSE))
        with telling(ledger) as told:
            storage.delete(f"{ledger.uri}/control.json")
            wait_until(lambda: told.stop.held is None, seconds=60)

    def test_a_stop_is_requested_once_and_forgotten(self, ledger):
        with telling(ledger) as told:
            wish = Control.of(Wish.STOP, lease=told.lease)
            put_control(ledger.uri, wish)
            told.wait_for(lambda _: _.heard == wish.id)
            assert told.stop.reason == f"stopped by {wish}"
            assert read_control(ledger.uri) is None

    def test_a_stop_for_another_run_is_told_and_forgotten(self, ledger):
        wish = Control.of(Wish.STOP, lease=1)
        with Lease.take(ledger.uri):
            put_control(ledger.uri, wish)
        with telling(ledger) as told:
            assert not told.stop.is_requested()
            assert read_control(ledger.uri) is None
        assert told.notices == [f"{wish} came too late for its run and is forgotten"]

    @pytest.mark.parametrize("wish", Wish)
    def test_wishes_for_the_run_that_took_over_are_left_to_it(self, ledger, wish):
        with telling(ledger) as told:
            control = Control.of(wish, lease=told.lease + 1)
            put_control(ledger.uri, control)
            beat = told.wait_for(lambda _: True).beat
            told.wait_for(lambda _: _.beat > beat + 2)
            assert (told.stop.is_requested(), told.stop.held) == (False, None)
        assert read_control(ledger.uri) == control


class TestStore:
    def test_what_is_no_status_is_replaced(self, ledger):
        storage.put(f"{ledger.uri}/status.json", b"{")
        with telling(ledger) as told:
            wait_until(lambda: storage.get(f"{ledger.uri}/status.json") != b"{", seconds=60)
            assert told.status().lease == told.lease

    @pytest.mark.parametrize("error", [SourceUnavailableError, StoreUnavailableError, ValueError])
    def test_one_that_fails_for_a_while_is_asked_again(self, ledger, monkeypatch, error):
        healthy = storage.put
        faults = []

        def put(uri, data, **words):
            if uri.endswith("status.json") and len(faults) < 3:
                faults.append(uri)
                raise error("down")
            healthy(uri, data, **words)

        monkeypatch.setattr(storage, "put", put)
        with telling(ledger) as told:
            told.bulletin.progressed(RUNNING)
            assert told.wait_for(lambda _: _.state is LiveState.RUNNING)
        assert len(faults) == 3

    def test_one_that_hangs_holds_nobody_up(self, ledger, monkeypatch):
        for name in ("_FIRST_LOOK_SECONDS", "_LAST_WRITE_SECONDS"):
            monkeypatch.setattr(bulletin_module, name, 0.1)
        healthy, freed = storage.get, threading.Event()

        def get(uri):
            if uri.endswith(".json") and "lease" not in uri:
                freed.wait(60)
            return healthy(uri)

        monkeypatch.setattr(storage, "get", get)
        began = time.monotonic()
        with telling(ledger) as told:
            for _ in range(100):
                told.bulletin.progressed(RUNNING)
            told.bulletin.ended(LiveState.DONE, "", None)
        assert time.monotonic() - began < 30
        freed.set()
        told.bulletin._thread.join(60)
        assert told.status().state is LiveState.DONE
