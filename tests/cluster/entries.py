"""What every cluster must do with urgent entries."""

import threading
import time
from concurrent.futures import CancelledError, wait

import pytest

from farm.record import Status
from farm.settings import Limits
from farm.spec import Entry
from tests.cluster.contract import next_outcomes, plan_shards
from tests.lanes import wait_until
from tests.recipes import OUTPUT, write_source

LIMITS = Limits()


def make_entry(folder, name="urgent", *, timeout=60.0, engine=None, **recipe):
    """An entry over a recipe, whose pictures go to `folder`/urgent."""
    source = write_source(folder / f"{name}.syn", **recipe)
    return Entry(
        source=str(source),
        id=name,
        tag="t",
        destination=str(folder / "urgent"),
        outputs=(OUTPUT | {"timeout": timeout, "engine": engine},),
    )


def pictures(folder):
    """The names of the pictures that were stored."""
    return {path.name.partition("~")[0] for path in (folder / "urgent").rglob("*.png")}


def end_of(handle, *, seconds=60.0):
    """The record of an entry."""
    return handle.future.result(timeout=seconds)


class EntryContract:
    """Subclasses give `cluster`, which is shared, and `LANES`, how many it has in all."""

    LANES: int

    def test_each_has_its_record_and_no_ledger(self, cluster, tmp_path):
        entries = [make_entry(tmp_path, f"e{number}", seed=number) for number in range(6)]
        handles = [cluster.submit_entry(entry, limits=LIMITS) for entry in entries]
        assert len({handle.key for handle in handles}) == 6
        records = [end_of(handle) for handle in handles]
        assert {record.status for record in records} == {Status.OK}
        assert [record.id for record in records] == [entry.id for entry in entries]
        assert {(len(record.artifacts), record.tag, record.attempts) for record in records} == {
            (1, "t", 1)
        }
        assert pictures(tmp_path) == {entry.id for entry in entries}
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["urgent"]

    def test_what_the_entry_does_is_in_its_record(self, cluster, tmp_path):
        broken = make_entry(tmp_path, "broken", fault="error")
        absent = broken.model_copy(update={"source": str(tmp_path / "absent.syn")})
        large = make_entry(tmp_path, "large", width=1000, height=1000)
        strict = Limits(frame_pixels=1000)
        ends = [
            end_of(cluster.submit_entry(entry, limits=limits))
            for entry, limits in ((broken, LIMITS), (absent, LIMITS), (large, strict))
        ]
        codes = [(record.status, record.error_code) for record in ends]
        assert codes == [
            (Status.FAILED, "corrupt"),
            (Status.FAILED, "source_not_found"),
            (Status.FAILED, "too_many_pixels"),
        ]

    def test_one_that_ends_its_lane_twice_is_quarantined(self, cluster, tmp_path):
        crash = make_entry(tmp_path, "crash", fault="segfault")
        hang = make_entry(tmp_path, "hang", fault="hang", timeout=0.3)
        handles = [cluster.submit_entry(entry, limits=LIMITS) for entry in (crash, hang)]
        ends = [end_of(handle) for handle in handles]
        assert [record.status for record in ends] == [Status.QUARANTINED] * 2
        assert [record.error_code for record in ends] == ["decoder_crash", "timeout"]
        assert [record.attempts for record in ends] == [2, 2]

    def test_one_that_ends_its_lane_once_is_made(self, cluster, tmp_path):
        counter = str(tmp_path / "count")
        entry = make_entry(tmp_path, fault="abort", fault_file=counter)
        record = end_of(cluster.submit_entry(entry, limits=LIMITS))
        assert (record.status, record.attempts) == (Status.OK, 2)
        assert record.notes["first_attempt"].startswith("decoder_crash")

    def test_a_running_one_that_is_cancelled_gives_its_lane_back(self, cluster, tmp_path):
        begun = [tmp_path / f"begun{number}" for number in range(self.LANES)]
        handles = [
            cluster.submit_entry(
                make_entry(tmp_path, path.name, fault="hang", fault_file=str(path)), limits=LIMITS
            )
            for path in begun
        ]
        wait_until(lambda: all(path.exists() for path in begun), seconds=30)
        for handle in handles:
            handle.cancel()
            handle.cancel()
            with pytest.raises(CancelledError):
                handle.future.result(timeout=1)
        assert not wait([handle.future for handle in handles], timeout=5).not_done
        others = [make_entry(tmp_path, f"other{number}") for number in range(2 * self.LANES)]
        ends = [end_of(cluster.submit_entry(other, limits=LIMITS), seconds=20) for other in others]
        assert {record.status for record in ends} == {Status.OK}
        assert pictures(tmp_path) == {other.id for other in others}

    def test_a_waiting_one_that_is_cancelled_never_begins(self, cluster, tmp_path):
        slow = [make_entry(tmp_path, f"slow{number}", sleep=1.0) for number in range(self.LANES)]
        working = [cluster.submit_entry(entry, limits=LIMITS) for entry in slow]
        time.sleep(0.4)
        begun = [tmp_path / f"begun{number}" for number in range(40)]
        waiting = [
            cluster.submit_entry(
                make_entry(tmp_path, path.name, fault="error", fault_file=str(path)), limits=LIMITS
            )
            for path in begun
        ]
        for handle in waiting:
            handle.future.cancel()
        assert all(handle.future.cancelled() for handle in waiting)
        assert {end_of(handle).status for handle in working} == {Status.OK}
        assert end_of(cluster.submit_entry(make_entry(tmp_path), limits=LIMITS)).status == Status.OK
        assert not any(path.exists() for path in begun)

    def test_one_that_has_ended_cannot_be_cancelled(self, cluster, tmp_path):
        handle = cluster.submit_entry(make_entry(tmp_path), limits=LIMITS)
        record = end_of(handle)
        handle.cancel()
        assert handle.future.result() is record

    def test_they_go_before_the_entries_of_shards(self, cluster, tmp_path):
        refs = plan_shards(tmp_path, [{"sleep": 0.2}] * (12 * self.LANES), shard_entries=12)
        for ref in refs:
            cluster.submit(ref, 1, is_final=False)
        ends = []
        run = threading.Thread(target=lambda: ends.extend(next_outcomes(cluster, len(refs))))
        run.start()
        time.sleep(0.5)
        handles = [
            cluster.submit_entry(make_entry(tmp_path, f"e{number}"), limits=LIMITS)
            for number in range(8)
        ]
        records = [end_of(handle, seconds=20) for handle in handles]
        assert {record.status for record in records} == {Status.OK}
        assert run.is_alive()
        run.join()
        assert {end.summary.counts["ok"] for end in ends} == {12}
