"""A GPU's process ends where it can work no more, and says by its exit code why."""

import subprocess
import sys

import pytest
import torch

from farm.isolation import pulse

PLENTY = 1 << 50


class Ended(Exception):  # noqa: N818 - no error
    """In place of the end of this process."""


@pytest.fixture(autouse=True)
def ended(monkeypatch):
    def end(exit_code):
        raise Ended(exit_code)

    monkeypatch.setattr(pulse.os, "_exit", end)
    monkeypatch.setattr(pulse, "_BEAT_SECONDS", 0.0)
    yield
    pulse.faulthandler.cancel_dump_traceback_later()


def failing_after(beats, error):
    left = iter(range(beats))

    def check():
        if next(left, None) is None:
            raise error

    return check


def test_a_device_that_answers_passes():
    assert pulse.check_of("cpu")() == 0.0
    pulse.end_if_lost(pulse.check_of("cpu"))


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: unspecified launch failure")])
def test_one_that_is_lost_ends_the_process(error):
    with pytest.raises(Ended) as end:
        pulse.keep_watch(failing_after(3, error), PLENTY)
    assert end.value.args == (pulse.GPU_LOST,)


def test_cudas_errors_are_such():
    assert issubclass(torch.AcceleratorError, RuntimeError)


def test_so_does_too_much_memory():
    with pytest.raises(Ended) as end:
        pulse.keep_watch(lambda: None, 1 << 20)
    assert end.value.args == (pulse.MEMORY_FULL,)


@pytest.mark.parametrize("stuck", ["time.sleep(30)", "re.match(r'(a+)+$', 'a' * 60 + 'b')"])
def test_one_that_stands_still_is_ended_even_where_no_python_runs(stuck):
    """The regular expression holds the interpreter's lock, as a library might that hangs."""
    script = (
        "import re, threading, time\n"
        "from farm.isolation import pulse\n"
        f"pulse.keep_watch(lambda: {stuck}, 1 << 50, still_seconds=0.3)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True)
    assert ended.returncode == pulse.STOOD_STILL
    assert ended.stderr == b""


def test_only_memory_of_its_own_counts():
    before = pulse.own_bytes()
    held = bytearray(b"\1") * (64 << 20)
    assert 60 << 20 < pulse.own_bytes() - before < 200 << 20
    del held
