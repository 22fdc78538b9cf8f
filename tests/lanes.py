"""Two real lanes that tests share, since their zygote takes seconds to start."""

import atexit
import os
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from farm.isolation import LanePool, request_of
from farm.settings import Isolation, LaneRules, Limits
from farm.spec import Entry

LANE_MEMORY_BYTES = 256 << 20
RULES = LaneRules(memory_bytes=LANE_MEMORY_BYTES)
# For recipes that count their strikes in a file, which a sandbox would not let them write.
WRITING_RULES = replace(RULES, isolation=Isolation.PROCESS)


@cache
def shared_pool() -> LanePool:
    """Two lanes, made once for each process of a test run."""
    pool = LanePool(lanes=2, rules=RULES)
    atexit.register(pool.close)
    return pool


@cache
def writing_pool() -> LanePool:
    """Two lanes that may write files."""
    pool = LanePool(lanes=2, rules=WRITING_RULES)
    atexit.register(pool.close)
    return pool


def request(size_bytes: int, **entry: Any) -> dict[str, Any]:
    """What a worker sends to a lane for one entry."""
    fields = {"source": "/a.syn", "id": "e", "destination": "/out", "outputs": ({"width": 16},)}
    asked = Entry.model_validate(fields | entry)
    return request_of("make", asked, row=1, limits=Limits(), size_bytes=size_bytes, name="a.syn")


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition: Any, *, seconds: float = 10.0) -> None:
    """Returns when the condition holds; fails after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The running children of a process."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [each for each in pids if _parent(each) == pid and is_running(each)]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def open_fds() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))
