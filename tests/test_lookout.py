"""The lookout: what a ledger tells of its run, whether that lives, has ended or was killed."""

import itertools
import os
import time
import uuid
from dataclasses import replace

import pytest

from farm import lease as lease_module
from farm import lookout, storage
from farm.errors import StoreDeniedError
from farm.holder import Holder
from farm.lease import Claim, Lease
from farm.ledger import Ledger, Pass, PassReason, PlanSeal
from farm.lookout import Accounts, caught_up, examples_in, follow, look, shard_table
from farm.record import Artifact, Record, Status
from farm.row import Row
from farm.run_status import Example, LiveState, PassFigures, RunStatus, put_status

OK, FAILED, QUARANTINED, DEFERRED = Status


@pytest.fixture
def ledger():
    return Ledger(f"memory://{uuid.uuid4()}/l", storage)


def ended(row, code=None):
    if code is not None:
        return Record(row, FAILED, f"/in/{row}", error_code=code, message=f"{code}!", bytes_read=1)
    artifact = Artifact(f"/out/{row}.png", 0, 1, 10, "0" * 64, 16, 12, "png")
    return Record(row, OK, f"/in/{row}", artifacts=(artifact,), bytes_read=100)


def add_pass(ledger, shards, *, reason=PassReason.NEW, committed=None, seal=True, carried=0):
    """A pass over these shards of records, of which the first so many are committed."""
    number = len(ledger.passes()) + 1
    one = Pass(number, reason, "f" * 32, {}, {}, "2026-01-01", "0.1.0")
    ledger.create_pass(one)
    part = ledger.put_part(number, 0, [[Row(_.row, {"source": "s"}) for _ in _s] for _s in shards])
    if seal:
        ledger.seal_plan(number, PlanSeal(1, sum(map(len, shards)), carried))
    refs = ledger.shards(number, [part])
    for ref, shard in list(zip(refs, shards, strict=True))[:committed]:
        ledger.commit(ref, shard)
    return one


def shards_of(*codes, entries=2):
    """A shard for each code, all of whose entries failed with it; None for a good one."""
    rows = itertools.count(1)
    return [[ended(next(rows), code) for _ in range(entries)] for code in codes]


def leave_claim(ledger, number=1, *, is_ended=False, **fields):
    """A claim as a run of another machine left it."""
    holder = replace(Holder.here(), machine="other", host="far", **fields)
    data = lease_module._json(Claim(number, holder, is_ended=is_ended))
    uri = f"{ledger.uri}/lease/{number:06d}.json"
    storage.put(uri, data)
    return uri


def names(count):
    return [f"000000-{index:04d}" for index in range(count)]


class TestCaughtUp:
    def test_a_pass_that_nobody_told_of_is_counted(self, ledger):
        one = add_pass(ledger, shards_of(None, "corrupt", None))
        counted, examples = caught_up(ledger, one)
        assert (counted.rows, counted.shards, counted.is_estimate) == (6, 3, False)
        assert counted.counts == {"ok": 4, "failed": 2}
        assert counted.codes == {"corrupt": 2}
        assert (counted.pictures, counted.bytes_read, counted.bytes_written) == (4, 402, 40)
        assert examples == {"corrupt": Example(row=3, source="/in/3", message="corrupt!")}

    def test_one_that_is_being_planned_has_no_rows_yet(self, ledger):
        one = add_pass(ledger, shards_of(None), seal=False)
        assert caught_up(ledger, one)[0].rows is None

    def test_what_is_known_is_not_read_again(self, ledger, monkeypatch):
        one = add_pass(ledger, shards_of(None, "corrupt"))
        known, _ = caught_up(ledger, one)
        monkeypatch.setattr(Ledger, "results", lambda *_: pytest.fail("read"))
        assert caught_up(ledger, one, known) == (known, {})
        monkeypatch.setattr(storage, "list_files", lambda *_: pytest.fail("listed"))
        assert caught_up(ledger, one, known, among=names(2)) == (known, {})

    def test_only_what_came_since_is_read(self, tmp_path, monkeypatch):
        ledger = Ledger(str(tmp_path), storage)
        one = add_pass(ledger, shards_of(None, "corrupt", None, "truncated"))
        for age, name in enumerate(names(4)):
            at = time.time() - 100 + age
            os.utime(tmp_path / "pass-0001/results" / f"{name}.parquet", (at, at))
        known, _ = caught_up(ledger, one, among=names(3))
        read = []
        results = Ledger.results
        monkeypatch.setattr(
            Ledger, "results", lambda own, ref, _: (read.append(ref.name), results(own, ref, _))[1]
        )
        counted, examples = caught_up(ledger, one, known)
        assert read == ["000000-0003"]
        assert counted == caught_up(ledger, one)[0]
        assert list(examples) == ["truncated"]

    def test_a_bounded_number_stands_for_all(self, ledger, monkeypatch):
        monkeypatch.setattr(lookout, "_MOST_READ", 4)
        one = add_pass(ledger, shards_of(*[None, "corrupt"] * 10, entries=5))
        counted, _ = caught_up(ledger, one)
        assert counted.is_estimate
        assert (counted.shards, counted.entries) == (20, 100)
        assert set(counted.counts) <= {"ok", "failed"}

    def test_more_known_than_there_is_means_nothing_is(self, ledger):
        one = add_pass(ledger, shards_of(None))
        known = PassFigures(number=1, reason=PassReason.NEW, shards=9, counts={"ok": 900})
        assert caught_up(ledger, one, known)[0].counts == {"ok": 2}

    def test_only_asked_shards_count(self, ledger):
        one = add_pass(ledger, shards_of(None, "corrupt"))
        assert caught_up(ledger, one, among=names(1))[0].counts == {"ok": 2}
        assert caught_up(ledger, one, among=())[0].counts == {}


def test_examples_are_the_first_of_each_code(ledger):
    add_pass(ledger, [[ended(1), ended(2, "corrupt"), ended(3, "corrupt"), ended(4, "no_frame")]])
    found = examples_in(shard_table(ledger, 1, "000000-0000"))
    assert {code: one.row for code, one in found.items()} == {"corrupt": 2, "no_frame": 4}


class TestAccounts:
    def test_this_commands_share_comes_on_top_of_what_was_done_before(self, ledger):
        add_pass(ledger, shards_of(None, "corrupt", None), carried=7)
        accounts = Accounts(ledger)
        assert accounts.remember() == []
        own = PassFigures(number=1, reason=PassReason.NEW, shards=1, counts={"ok": 2})
        (one,) = accounts.passes(1, {1: own}, {1: names(2)})
        assert (one.shards, one.counts, one.rows) == (3, {"ok": 4, "failed": 2}, 6)
        assert accounts.carried == 7
        assert list(accounts.examples) == ["corrupt"]

    def test_until_it_is_known_what_was_done_before_nothing_is_counted_twice(self, ledger):
        add_pass(ledger, shards_of(None, None), seal=False)
        accounts = Accounts(ledger)
        own = PassFigures(number=1, reason=PassReason.NEW, shards=2, counts={"ok": 4})
        assert accounts.passes(1, {1: own}, {})[0].counts == {"ok": 4}
        assert accounts.passes(1, {1: own}, {1: ()})[0].counts == {"ok": 4}

    def test_the_last_status_saves_reading(self, ledger, monkeypatch):
        one = add_pass(ledger, shards_of(None, "corrupt"))
        known, examples = caught_up(ledger, one)
        status = RunStatus(state=LiveState.STOPPED, examples=examples).with_passes([known])
        put_status(ledger.uri, status)
        monkeypatch.setattr(Ledger, "results", lambda *_: pytest.fail("read"))
        accounts = Accounts(ledger)
        assert accounts.remember() == [known]
        assert accounts.passes(1, {}, {1: names(2)}) == [known]
        assert accounts.examples == examples

    def test_passes_of_an_older_manifest_are_over(self, ledger):
        add_pass(ledger, shards_of(None))
        add_pass(ledger, shards_of(None), reason=PassReason.CHANGED)
        add_pass(ledger, shards_of("corrupt"), reason=PassReason.RETRY)
        found = Accounts(ledger).passes(None, {}, {})
        assert [one.number for one in found] == [2, 3]

    def test_an_example_that_cannot_be_read_is_looked_for_again(self, ledger):
        add_pass(ledger, shards_of("corrupt"))
        accounts = Accounts(ledger)
        accounts.find_examples({"corrupt": (1, "000000-0099")})
        assert accounts.examples == {}
        accounts.find_examples({"corrupt": (1, "000000-0000")})
        assert accounts.examples["corrupt"].row == 1


class TestLook:
    def test_where_nothing_has_begun(self, ledger):
        status = look(ledger)
        assert (status.state, status.passes, status.age_seconds) == (LiveState.NEW, (), None)

    def test_a_run_that_lives_tells_it_itself(self, ledger):
        with Lease.take(ledger.uri) as lease:
            told = RunStatus(state=LiveState.RUNNING, lease=lease.claim.number, slots=3)
            put_status(ledger.uri, told)
            status = look(ledger)
        assert (status.state, status.slots) == (LiveState.RUNNING, 3)
        assert status.age_seconds is not None

    def test_one_that_has_told_nothing_is_named(self, ledger):
        put_status(ledger.uri, RunStatus(state=LiveState.DONE, lease=1, entries=9))
        leave_claim(ledger, 1, is_ended=True)
        with Lease.take(ledger.uri) as lease:
            status = look(ledger)
            assert status.holder == lease.claim.holder
        assert (status.state, status.lease, status.entries) == (LiveState.PLANNING, 2, 9)
        assert "farm gc" in status.reason

    @pytest.mark.parametrize("state", [LiveState.DONE, LiveState.STOPPED, LiveState.FAILED])
    def test_one_that_said_how_it_ended(self, ledger, state):
        put_status(ledger.uri, RunStatus(state=state, lease=1, entries=9))
        assert look(ledger).state is state
        leave_claim(ledger, 1, is_ended=True)
        assert look(ledger).state is state
        # `farm gc` was there since.
        leave_claim(ledger, 2, is_ended=True)
        assert look(ledger).state is state

    def test_one_that_was_killed_is_counted_up_to_its_last_results(self, ledger):
        one = add_pass(ledger, shards_of(None, "corrupt", None), committed=2, carried=4)
        known, _ = caught_up(ledger, one, among=names(1))
        told = RunStatus(
            state=LiveState.RUNNING, lease=1, slots=2, entries_per_second=5.0, seconds_left=9.0
        )
        put_status(ledger.uri, told.with_passes([known]))
        with Lease.take(ledger.uri) as lease:
            holder = replace(lease.claim.holder, start_ticks=1)
        storage.put(f"{ledger.uri}/lease/000001.json", lease_module._json(Claim(1, holder)))
        status = look(ledger)
        assert status.state is LiveState.GONE
        assert "was killed" in status.reason
        assert (status.entries, status.counts) == (8, {"ok": 2, "failed": 2})
        assert status.examples["corrupt"].row == 3
        assert (status.slots, status.entries_per_second, status.seconds_left) == (0, 0.0, None)
        assert status.holder == holder

    def test_one_of_an_older_farm_that_told_nothing(self, ledger):
        add_pass(ledger, shards_of(None))
        assert (look(ledger).state, look(ledger).entries) == (LiveState.GONE, 2)
        leave_claim(ledger, is_ended=True)
        assert "ended without saying how" in look(ledger).reason

    def test_silence_from_elsewhere_is_told_by_the_stores_times(self, tmp_path):
        ledger = Ledger(str(tmp_path), storage)
        put_status(ledger.uri, RunStatus(state=LiveState.PAUSED, lease=1))
        claim = leave_claim(ledger)
        assert look(ledger).state is LiveState.PAUSED
        for uri, age in ((claim, 70), (f"{tmp_path}/status.json", 75)):
            os.utime(uri, (time.time() - age, time.time() - age))
        status = look(ledger)
        assert status.state is LiveState.GONE
        assert 74 < status.age_seconds < 95
        os.utime(claim)
        assert look(ledger).state is LiveState.PAUSED

    def test_reading_is_enough(self, tmp_path, monkeypatch):
        """The age is then that by this machine's clock."""
        ledger = Ledger(str(tmp_path), storage)
        put_status(ledger.uri, RunStatus(state=LiveState.RUNNING, lease=1))
        claim = leave_claim(ledger)
        os.utime(claim, (time.time() - 70, time.time() - 70))

        def refuse(uri, *_, **__):
            raise StoreDeniedError(uri)

        monkeypatch.setattr(storage, "put", refuse)
        monkeypatch.setattr(storage, "delete", refuse)
        assert look(ledger).state is LiveState.GONE
        os.utime(claim)
        assert look(ledger).state is LiveState.RUNNING


class TestFollow:
    def test_it_yields_what_is_new_until_the_run_is_over(self, ledger, monkeypatch):
        with Lease.take(ledger.uri) as lease:
            number = lease.claim.number
            later = iter(
                RunStatus(state=state, lease=number, beat=beat)
                for state, beat in (("running", 1), ("running", 1), ("paused", 2), ("done", 3))
            )
            put_status(ledger.uri, next(later))
            monkeypatch.setattr(
                lookout.time, "sleep", lambda _: put_status(ledger.uri, next(later))
            )
            seen = [(one.state, one.beat) for one in follow(ledger, every_seconds=1.0)]
        assert seen == [("running", 1), ("paused", 2), ("done", 3)]

    def test_what_the_run_before_told_is_not_its_own(self, ledger, monkeypatch):
        put_status(ledger.uri, RunStatus(state=LiveState.DONE, lease=1, beat=7, shards_todo=5))
        leave_claim(ledger, is_ended=True)
        with Lease.take(ledger.uri) as lease:
            number = lease.claim.number
            later = (RunStatus(state=_, lease=number, beat=1) for _ in ("running", "stopped"))
            looks = iter([None, None, *later])

            def sleep(seconds):
                if (told := next(looks)) is not None:
                    put_status(ledger.uri, told.model_copy(update={"beat": told.beat + 1}))

            monkeypatch.setattr(lookout.time, "sleep", sleep)
            statuses = follow(ledger, every_seconds=1.0)
            first = next(statuses)
            assert (first.state, first.lease, first.shards_todo) == (LiveState.PLANNING, 2, 0)
            assert next(statuses).state is LiveState.RUNNING

    def test_one_that_falls_silent_is_looked_at(self, ledger, monkeypatch):
        monkeypatch.setattr(lookout, "_QUIET_SECONDS", 0.0)
        put_status(ledger.uri, RunStatus(state=LiveState.RUNNING, lease=1))
        with Lease.take(ledger.uri) as lease:
            states = (one.state for one in follow(ledger, every_seconds=0.01))
            assert next(states) is LiveState.RUNNING
            holder = replace(lease.claim.holder, start_ticks=1)
        storage.put(f"{ledger.uri}/lease/000001.json", lease_module._json(Claim(1, holder)))
        assert list(states)[-1] is LiveState.GONE
