"""The status of a run: sums over passes that take up each other's entries, and how it is stored."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm import storage
from farm.errors import RunConflictError
from farm.history import Totals
from farm.holder import Holder
from farm.ledger import PassReason
from farm.pace import EntryUnderWay
from farm.run_status import (
    Example,
    LiveState,
    PassFigures,
    RunStatus,
    put_status,
    read_status,
)

NEW, CHANGED, FORCED, RETRY, DEFERRED, RETRYABLE, REPAIR = PassReason


def figures(number, reason, *, codes=None, **counts):
    return PassFigures(number=number, reason=reason, counts=counts, codes=codes or {})


def over(*passes, carried=0):
    return RunStatus(state=LiveState.RUNNING).with_passes(passes, carried)


@pytest.fixture
def ledger():
    return f"memory://{uuid.uuid4()}/l"


def test_states_that_live():
    alive = {state for state in LiveState if state.is_alive}
    assert alive == {"planning", "running", "paused", "draining"}


class TestPassFigures:
    def test_they_add_up(self):
        more = PassFigures(number=9, reason=RETRY, shards=2, counts={"ok": 3, "failed": 1},
                           codes={"corrupt": 1}, pictures=6, bytes_read=10,
                           bytes_written=20)  # fmt: skip
        one = figures(1, NEW, ok=1).plus(more)
        assert (one.number, one.reason, one.shards) == (1, NEW, 2)
        assert one.counts == {"ok": 4, "failed": 1}
        assert one.codes == {"corrupt": 1}
        assert (one.entries, one.pictures, one.bytes_read, one.bytes_written) == (5, 6, 10, 20)
        assert not one.is_estimate

    def test_what_stands_for_more_is_an_estimate(self):
        more = PassFigures(number=1, reason=NEW, shards=2, counts={"ok": 3}, pictures=3)
        one = figures(1, NEW, ok=1).plus(more, times=2.5)
        assert (one.shards, one.counts, one.pictures) == (5, {"ok": 9}, 8)
        assert one.is_estimate
        assert one.plus(figures(1, NEW)).is_estimate


class TestSums:
    def test_one_pass_is_what_it_is(self):
        status = over(figures(1, NEW, ok=5, failed=2, codes={"corrupt": 2}), carried=10)
        assert (status.entries, status.carried) == (17, 10)
        assert status.counts == {"ok": 5, "failed": 2}
        assert status.codes == {"corrupt": 2}

    def test_nothing_is_nothing(self):
        assert (over().entries, over().counts, over().codes) == (0, {}, {})

    @pytest.mark.parametrize(
        ("reason", "before"), [(RETRY, "failed"), (RETRYABLE, "failed"), (DEFERRED, "deferred")]
    )
    def test_what_a_derived_pass_settles_was_something_else_before(self, reason, before):
        first = figures(1, CHANGED, ok=10, **{before: 4})
        status = over(first, figures(2, reason, ok=3))
        assert status.entries == 14
        assert status.counts == {"ok": 13, before: 1}
        assert over(first, figures(2, reason, ok=4)).counts == {"ok": 14}

    def test_a_repair_takes_up_what_was_done(self):
        assert over(figures(1, NEW, ok=9), figures(2, REPAIR, ok=1, failed=1)).counts == {
            "ok": 8,
            "failed": 1,
        }

    def test_codes_that_are_tried_again_count_as_the_last_pass_says(self):
        first = figures(1, NEW, codes={"source_unavailable": 5, "corrupt": 2, "decoder_crash": 1})
        assert over(first, figures(2, DEFERRED)).codes == first.codes
        again = figures(2, RETRYABLE, codes={"source_unavailable": 1})
        assert over(first, again).codes == {
            "corrupt": 2, "source_unavailable": 1, "decoder_crash": 1,
        }  # fmt: skip
        # What ended its lanes is in quarantine, and stays there.
        assert over(first, figures(2, RETRY, codes={"corrupt": 2})).codes == {
            "corrupt": 2, "decoder_crash": 1,
        }  # fmt: skip

    @given(st.data())
    def test_a_chain_ends_with_as_many_as_it_began_with(self, data):
        """Whatever is taken up again, each entry is in one place."""
        total = data.draw(st.integers(0, 50))
        failed = data.draw(st.integers(0, total))
        passes = [figures(1, NEW, ok=total - failed, failed=failed)]
        for number in range(2, data.draw(st.integers(2, 5))):
            done = data.draw(st.integers(0, failed))
            passes.append(figures(number, RETRY, ok=done, failed=failed - done))
            failed -= done
        status = over(*passes)
        assert status.entries == total
        assert status.counts.get("failed", 0) == failed

    def test_totals_have_the_last_word(self):
        totals = Totals(entries=9, carried=1, counts={"ok": 8}, codes={}, pictures=8)
        status = over(figures(1, NEW, ok=3, codes={"corrupt": 1})).with_totals(totals)
        assert (status.entries, status.carried, status.counts, status.codes) == (
            9,
            1,
            {"ok": 8},
            {},
        )
        assert status.pictures == 8
        assert len(status.passes) == 1


class TestStored:
    def test_it_is_read_as_it_was_stored(self, ledger):
        status = over(figures(1, NEW, ok=5, codes={"corrupt": 2})).model_copy(
            update={
                "holder": Holder.here(),
                "examples": {"corrupt": Example(row=1, source="/a", message="m")},
                "oldest": EntryUnderWay(2, "/b", "host:1", 3.5),
                "seconds_left": 4.0,
                "lease": 7,
            }
        )
        assert read_status(ledger) is None
        put_status(ledger, status.model_copy(update={"age_seconds": 3.0}))
        assert read_status(ledger) == status

    def test_it_says_who_wrote_it_in_which_form(self, ledger):
        put_status(ledger, over())
        fields = json.loads(storage.get(f"{ledger}/status.json"))
        assert fields["schema_version"] >= 2
        assert fields["farm_version"]
        assert "age_seconds" not in fields
        assert fields["cost"] is None

    def test_what_a_later_version_adds_is_passed_over(self, ledger):
        storage.put(f"{ledger}/status.json", b'{"state": "done", "mood": "fine"}')
        assert read_status(ledger).state is LiveState.DONE

    @pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"state": "asleep"}', b"\xff"])
    def test_what_is_no_status_is_named(self, ledger, data):
        storage.put(f"{ledger}/status.json", data)
        with pytest.raises(RunConflictError, match=r"status\.json is not what a run"):
            read_status(ledger)

    def test_one_of_a_newer_farm_is_refused_with_its_version(self, ledger):
        data = b'{"state": "done", "schema_version": 99, "farm_version": "9.9"}'
        storage.put(f"{ledger}/status.json", data)
        with pytest.raises(RunConflictError, match=r"thumbfarm 9\.9"):
            read_status(ledger)
