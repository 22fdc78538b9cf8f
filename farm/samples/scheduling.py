"""Keeps an encoder from making its caller a thread of real time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """Leaves the calling thread as the system's scheduler had it before.

    SVT-AV1 takes the highest priority of real time where it may, as for root, and leaves it to the
    thread that encodes. All that this one starts would inherit it, and whatever spins would never
    let anything else run.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)
