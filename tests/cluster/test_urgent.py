"""Urgent entries over Dask: where they are sent, what becomes of them when a worker is gone."""

import asyncio
import collections
import threading
import time
from concurrent.futures import CancelledError
from types import SimpleNamespace

import pytest

from farm.cluster import urgent
from farm.cluster.plugin import ENTRY_SLOT, cancel_entry, run_entry
from farm.cluster.urgent import UrgentEntries
from farm.errors import ClusterError
from farm.record import Record, Status
from farm.settings import Limits
from farm.spec import Entry
from tests.lanes import wait_until

ENTRY = Entry(
    source="https://example.org/a.jpg?X-Amz-Signature=secret",
    id="e",
    destination="/out",
    outputs=({"width": 16},),
)
DONE = Record(row=1, status=Status.OK)


class StubClient:
    """What is asked of Dask's client; `answer(address, number)` is what a worker says."""

    def __init__(self, **slots):
        self.loop = SimpleNamespace(asyncio_loop=asyncio.new_event_loop())
        self.scheduler = self
        self.slots = slots
        self.sent = []
        self.cancelled = []
        self.fault = None
        self.answer = lambda address, number: DONE
        self._thread = threading.Thread(target=self.loop.asyncio_loop.run_forever)
        self._thread.start()

    async def identity(self, *, n_workers):
        if self.fault is not None:
            raise self.fault
        return {"workers": {a: {"resources": {ENTRY_SLOT: n}} for a, n in self.slots.items()}}

    async def run(self, function, *arguments, workers, on_error):
        (address,) = workers
        if function is cancel_entry:
            self.cancelled.append((address, *arguments))
            return {address: None}
        assert (function, on_error) == (run_entry, "return")
        self.sent.append((address, arguments[-1]))
        answer = self.answer(address, len(self.sent))
        return {address: await answer if asyncio.iscoroutine(answer) else answer}

    def sync(self, function, *, callback_timeout):
        work = asyncio.run_coroutine_threadsafe(function(), self.loop.asyncio_loop)
        return work.result(timeout=callback_timeout)

    def close(self):
        loop = self.loop.asyncio_loop
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr(urgent, "_LOOK_SECONDS", 0.02)
    client = StubClient(a=2)
    yield client
    client.close()


@pytest.fixture
def other(client):
    other = StubClient(b=2)
    yield other
    other.close()


@pytest.fixture
def entries(client, other):
    entries = UrgentEntries(client, "farm-1")
    yield entries
    entries.close()


async def for_ever():
    await asyncio.Event().wait()


def submit(entries, count=1):
    return [entries.submit(ENTRY, Limits()) for _ in range(count)]


def end_of(handle):
    return handle.future.result(timeout=10)


def test_the_workers_record_is_the_end(client, entries):
    handles = submit(entries, 5)
    assert [end_of(handle) for handle in handles] == [DONE] * 5
    assert len({key for _, key in client.sent}) == 5


def test_each_goes_to_the_worker_with_most_room_and_none_beyond_its_slots(client, entries):
    client.slots = {"a": 1, "b": 3, "gone": 0}
    client.answer = lambda *_: for_ever()
    submit(entries, 6)
    wait_until(lambda: len(client.sent) == 4)
    time.sleep(0.1)
    assert [address for address, _ in client.sent][:2] == ["b", "b"]
    assert collections.Counter(address for address, _ in client.sent) == {"a": 1, "b": 3}


def test_those_that_wait_go_in_the_order_of_their_submission(client, entries):
    client.slots = {"a": 1}
    handles = submit(entries, 5)
    for handle in handles:
        end_of(handle)
    assert [key for _, key in client.sent] == [f"{handle.key}-0" for handle in handles]


def test_they_never_use_all_connections(client, entries, monkeypatch):
    monkeypatch.setattr(urgent, "_MOST_UNDER_WAY", 3)
    client.slots = {"a": 10}
    client.answer = lambda *_: for_ever()
    submit(entries, 5)
    time.sleep(0.2)
    assert len(client.sent) == 3


@pytest.mark.parametrize(
    "lost",
    [
        ConnectionResetError("worker died"),
        "the worker has no lanes",
        Record(row=1, status=Status.DEFERRED),
    ],
    ids=["connection", "no lanes", "closed"],
)
def test_one_whose_worker_is_lost_is_sent_again(client, entries, lost):
    client.answer = lambda _, number: DONE if number > 3 else lost
    (handle,) = submit(entries)
    assert end_of(handle) == DONE
    assert [key for _, key in client.sent] == [f"{handle.key}-{attempt}" for attempt in range(4)]


def test_after_four_attempts_it_has_failed(client, entries):
    client.answer = lambda *_: ConnectionResetError("a signed address")
    (handle,) = submit(entries)
    record = end_of(handle)
    assert (record.status, record.error_code) == (Status.FAILED, "cluster_failed")
    assert (record.attempts, record.retryable, record.id) == (4, True, "e")
    assert record.message == (
        "given up after 4 attempts, lastly: the worker was lost: ConnectionResetError"
    )
    assert "secret" not in str(record)


def test_one_whose_worker_vanishes_in_silence_is_sent_elsewhere(client, entries):
    client.answer = lambda address, _: for_ever() if address == "a" else DONE
    (handle,) = submit(entries)
    wait_until(lambda: client.sent)
    client.slots = {"b": 1}
    assert end_of(handle) == DONE
    assert [address for address, _ in client.sent] == ["a", "b"]


def test_cancelling_one_that_is_under_way_reaches_its_worker(client, entries):
    client.answer = lambda *_: for_ever()
    (handle,) = submit(entries)
    wait_until(lambda: client.sent)
    handle.cancel()
    with pytest.raises(CancelledError):
        end_of(handle)
    wait_until(lambda: client.cancelled == [("a", f"{handle.key}-0")])
    wait_until(lambda: not entries._works and entries._under_way["a"] == 0)


def test_cancelling_one_that_waits_concerns_no_worker(client, entries):
    client.slots = {"a": 0}
    first, second = submit(entries, 2)
    first.cancel()
    client.slots = {"a": 1}
    assert end_of(second) == DONE
    assert [key for _, key in client.sent] == [f"{second.key}-0"]
    assert client.cancelled == []


def test_a_scheduler_that_does_not_answer_is_waited_for(client, entries):
    client.fault = ConnectionRefusedError("nobody there")
    (handle,) = submit(entries)
    time.sleep(3 * urgent._LOOK_SECONDS)
    assert not handle.future.done()
    client.fault = None
    assert end_of(handle) == DONE


def test_another_client_takes_up_what_one_left(client, entries, other):
    """Those under way, those that waited, and those that came in between; no cancelled one."""
    client.answer = lambda *_: for_ever()
    handles = submit(entries, 4)
    wait_until(lambda: len(client.sent) == 2)
    entries.release()
    (later,) = submit(entries)
    handles[3].cancel()
    assert not any(handle.future.done() for handle in (*handles[:3], later))
    entries.adopt(other)
    assert [end_of(handle) for handle in (*handles[:3], later)] == [DONE] * 4
    assert sorted(key for _, key in other.sent) == sorted(
        f"{handle.key}-0" for handle in (*handles[:3], later)
    )


def test_where_no_cluster_is_left_all_end(client, entries):
    client.answer = lambda *_: for_ever()
    handles = submit(entries, 3)
    entries.release()
    entries.fail(ClusterError("no scheduler for 600 s"))
    for handle in (*handles, *submit(entries)):
        with pytest.raises(ClusterError, match="no scheduler for 600 s"):
            end_of(handle)


def test_workers_are_waited_for_but_not_for_ever(client, entries, monkeypatch):
    client.slots = {}
    first = submit(entries)[0]
    time.sleep(0.1)
    assert not first.future.done()
    client.slots = {"a": 1}
    assert end_of(first) == DONE
    monkeypatch.setattr(urgent, "_NO_SLOT_SECONDS", 0.1)
    client.slots = {}
    time.sleep(2 * urgent._LOOK_SECONDS)
    for handle in submit(entries, 3):
        with pytest.raises(ClusterError, match=r"no worker has had lanes for 0\.1 s"):
            end_of(handle)


def test_a_defect_ends_the_future_too(client, entries):
    client.fault = KeyError("workers")
    (handle,) = submit(entries)
    with pytest.raises(ClusterError, match="it could not be sent: KeyError"):
        end_of(handle)


def test_closing_ends_all(client, entries):
    client.answer = lambda *_: for_ever()
    handles = submit(entries, 4)
    wait_until(lambda: len(client.sent) == 2)
    entries.close()
    for handle in handles:
        with pytest.raises(ClusterError, match="the cluster was closed"):
            end_of(handle)
    assert sorted(client.cancelled) == [("a", f"{handle.key}-0") for handle in handles[:2]]


async def closed_by_dask():
    raise asyncio.CancelledError


def test_a_client_that_closes_ends_them_too(client, entries):
    client.answer = lambda *_: closed_by_dask()
    (handle,) = submit(entries)
    with pytest.raises(ClusterError, match="the cluster was closed"):
        end_of(handle)


def test_after_the_end_there_is_nobody_to_ask(client, entries):
    entries.close()
    with pytest.raises(ClusterError, match="the cluster was closed"):
        end_of(entries.submit(ENTRY, Limits()))


def test_one_whose_loop_is_gone_waits_for_another_client(client, entries, other):
    loop = client.loop.asyncio_loop
    client.loop.asyncio_loop = asyncio.new_event_loop()
    gone = UrgentEntries(client, "farm-2")
    client.loop.asyncio_loop.close()
    client.loop.asyncio_loop = loop
    handle = gone.submit(ENTRY, Limits())
    gone.adopt(other)
    assert end_of(handle) == DONE
