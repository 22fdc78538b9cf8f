"""What libav's failures mean, whatever other threads do meanwhile."""

import threading
import time

import pytest

from farm.engines.pyav_errors import heard
from farm.errors import TruncatedError
from tests.engines.clips import Clip, make
from tests.engines.test_pyav import open_clip


def test_the_cause_of_a_failure_is_told_while_another_thread_listens():
    data = make(Clip())
    listens, ends = threading.Event(), threading.Event()

    def listen():
        with heard() as is_heard:
            assert is_heard
            listens.set()
            ends.wait(10)

    other = threading.Thread(target=listen)
    other.start()
    assert listens.wait(10)
    threading.Timer(0.2, ends.set).start()
    began = time.monotonic()
    with pytest.raises(TruncatedError, match="moov atom not found"):
        open_clip(data[: data.index(b"moov") - 4])
    assert time.monotonic() - began < 10
    other.join()
