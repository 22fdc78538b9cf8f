"""Parts of a GPU check that end in every way in which a part can end; light to import."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module

from benchmarks.gpu.part import MissingError, Row, Task


def done(task: Task) -> Iterator[Row]:
    yield {"what": task.argument, "verdict": "ok"}
    yield {"what": "time", "left": task.left_seconds > 0}


def differs(task: Task) -> Iterator[Row]:
    yield {"what": "one", "verdict": "ok"}
    yield {"what": "other", "verdict": "differs"}


def raises(task: Task) -> Iterator[Row]:
    yield {"what": "first"}
    raise ValueError("expected 3, received 4")


def crashes(task: Task) -> Iterator[Row]:
    yield {"what": "first"}
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(task: Task) -> Iterator[Row]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield {"what": "first", "child": child.pid}
    time.sleep(600)


def misses(task: Task) -> Iterator[Row]:
    yield {"what": "first"}
    raise MissingError("there is no such library")


def cannot_import(task: Task) -> Iterator[Row]:
    import_module("no_such_package_anywhere")
    yield {}
