"""Encoders that want all of a machine do not get it."""

import os

import pytest

from farm.samples.clip import Recipe, make_clip
from farm.samples.scheduling import scheduling_kept


def test_an_encoder_of_real_time_leaves_its_caller_as_it_was():
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    assert make_clip(Recipe("short.mp4", "libsvtav1", "", frames=2))
    assert (os.sched_getscheduler(0), os.sched_getparam(0)) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may have real time")
def test_what_was_taken_is_given_back_whatever_happens():
    @scheduling_kept()
    def fail():
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        raise OSError("lost")

    with pytest.raises(OSError, match="lost"):
        fail()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
