"""Signals that end a run: the first one politely, the second one at once."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from farm.cli.exit_code import ExitCode
from farm.run import Stop

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLITE = "stopping when the entries under way are done; a second signal stops at once"


@contextlib.contextmanager
def stop_on_signals(
    leave: Callable[[], None], promise: Callable[[str], str] = lambda text: text
) -> Iterator[Stop]:
    """Turns SIGINT and SIGTERM into a stop request; `leave` tidies the screen before the end.

    `promise` gives what is said at the first one the form that the screen has.
    """
    stop = Stop()
    is_first = True

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_first
        # Not by the stop, which may have been requested from elsewhere.
        if not is_first:
            leave()
            # Nothing is lost: what is stored is whole, and lanes end with their worker.
            os._exit(ExitCode.STOPPED)
        is_first = False
        stop.request()
        # Not print: the signal may have come in the middle of one.
        os.write(2, f"{promise(_POLITE)}\n".encode())

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
