"""Control: a wish crosses the store whole, is forgotten once, and a stop needs no lock."""

import uuid

import pytest

from farm import storage
from farm.control import Control, Stop, Wish, forget_control, put_control, read_control
from farm.errors import RunConflictError


@pytest.fixture(params=["file", "memory"])
def ledger(request, tmp_path):
    return str(tmp_path / "l") if request.param == "file" else f"memory://{uuid.uuid4()}/l"


def test_there_is_none_at_first(ledger):
    assert read_control(ledger) is None


@pytest.mark.parametrize("wish", Wish)
def test_a_wish_is_read_as_it_was_stored(ledger, wish):
    control = Control.of(wish, lease=3)
    put_control(ledger, control)
    assert read_control(ledger) == control
    assert read_control(ledger).wish is wish


def test_the_last_one_stands(ledger):
    first, second = Control.of(Wish.PAUSE), Control.of(Wish.RUN)
    put_control(ledger, first)
    put_control(ledger, second)
    assert read_control(ledger) == second
    forget_control(ledger, first)
    assert read_control(ledger) == second, "another one has taken its place"
    forget_control(ledger, second)
    assert read_control(ledger) is None
    forget_control(ledger, second)


def test_it_says_who_wishes_what_by_the_name_of_the_command():
    control = Control(Wish.RUN, "ann on far", "2026-11-22T15:00:00+00:00", "id")
    assert str(control) == "`farm resume` of ann on far, 2026-11-22T15:00:00+00:00"


def test_what_a_later_version_adds_is_passed_over(ledger):
    control = Control.of(Wish.STOP, lease=1)
    put_control(ledger, control)
    data = storage.get(f"{ledger}/control.json").replace(b"{", b'{"new": 1,', 1)
    storage.put(f"{ledger}/control.json", data)
    assert read_control(ledger) == control


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"wish": "dance"}', b'{"wish": "stop"}'])
def test_what_is_no_wish_is_named(ledger, data):
    storage.put(f"{ledger}/control.json", data)
    with pytest.raises(RunConflictError, match=r"control\.json is not what `farm stop`"):
        read_control(ledger)


def test_a_stop_keeps_its_first_reason():
    stop = Stop()
    assert (stop.is_requested(), stop.reason) == (False, "")
    stop.request()
    stop.request("because")
    assert (stop.is_requested(), stop.reason) == (True, "stopped by a signal")


def test_a_hold_lasts_until_it_may_go_on():
    stop = Stop()
    assert stop.held is None
    stop.hold("by ann")
    assert stop.held == "by ann"
    assert not stop.is_requested()
    stop.go_on()
    stop.go_on()
    assert stop.held is None
