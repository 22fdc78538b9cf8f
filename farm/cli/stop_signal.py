"""Signals that end a run: the first one politely, the second one at once."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from farm.cli.exit_code import ExitCode
from farm.run import Stop

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLITE = b"stopping when the entries under way are done; a second signal stops at once\n"


@contextlib.contextmanager
def stop_on_signals(leave: Callable[[], None]) -> Iterator[Stop]:
    """Turns SIGINT and SIGTERM into a stop request; `leave` tidies the screen before the end."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_requested():
            leave()
            # Nothing is lost: what is stored is whole, and lanes end with their worker.
            os._exit(ExitCode.STOPPED)
        stop.request()
        # Not print: the signal may have come in the middle of one.
        os.write(2, _POLITE)

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
