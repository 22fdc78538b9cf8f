"""Signals during a run."""

import os
import signal

import pytest

from farm.cli.stop_signal import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_ends(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    happened: list[object] = []
    monkeypatch.setattr("farm.cli.stop_signal.os._exit", happened.append)
    with stop_on_signals(lambda: happened.append("left")) as stop:
        assert not stop.is_requested()
        os.kill(os.getpid(), number)
        assert stop.is_requested()
        assert happened == []
        assert "a second signal stops at once" in capfd.readouterr().err
        os.kill(os.getpid(), number)
        assert happened == ["left", 130]


def test_the_first_signal_is_polite_where_somebody_else_has_asked_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened: list[object] = []
    monkeypatch.setattr("farm.cli.stop_signal.os._exit", happened.append)
    with stop_on_signals(lambda: happened.append("left")) as stop:
        stop.request("stopped by `farm stop`")
        os.kill(os.getpid(), signal.SIGTERM)
        assert happened == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert happened == ["left", 130]


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals(lambda: None):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
