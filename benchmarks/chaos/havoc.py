"""Strikes faults at a running farm, one after another, and undoes those that pass."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos import disk
from benchmarks.chaos.farmyard import Farmyard
from benchmarks.chaos.fault import Deed, Fault
from benchmarks.chaos.proxy import Proxy

_LOOK_SECONDS = 0.1
_VICTIM_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that struck, `at_seconds` after the beginning."""

    fault: Fault
    at_seconds: float


class Havoc:
    """Strikes faults in a thread of its own while a farm works."""

    def __init__(
        self,
        farmyard: Farmyard,
        faults: Sequence[Fault],
        *,
        proxy: Proxy | None = None,
        disk: Path | None = None,
        told: Callable[[Struck], object] = lambda struck: None,
    ) -> None:
        self._farmyard = farmyard
        self._faults = faults
        self._proxy = proxy
        self._disk = disk
        self._told = told
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._strike_all, name="chaos", daemon=True)
        self._undone: list[threading.Timer] = []
        self.struck: list[Struck] = []

    def __enter__(self) -> "Havoc":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        for timer in self._undone:
            timer.join()

    def _strike_all(self) -> None:
        began = time.monotonic()
        for fault in self._faults:
            # Nothing is proven by killing what only starts.
            while not self._farmyard.has_lanes:
                if self._is_over.wait(_LOOK_SECONDS):
                    return
            if self._is_over.wait(fault.after_seconds):
                return
            if self._strike(fault):
                self.struck.append(Struck(fault, time.monotonic() - began))
                self._told(self.struck[-1])

    def _strike(self, fault: Fault) -> bool:
        match fault.kind.deed:
            case Deed.ERRORS if self._proxy is not None:
                self._proxy.is_failing = True
                self._later(fault.seconds, lambda: setattr(self._proxy, "is_failing", False))
            case Deed.FILL if self._disk is not None:
                folder = self._disk
                disk.fill(folder)
                self._later(fault.seconds, lambda: disk.relieve(folder))
            case Deed.KILL | Deed.STOP:
                return self._signal(fault)
            case _:
                return False
        return True

    def _signal(self, fault: Fault) -> bool:
        deadline = time.monotonic() + _VICTIM_SECONDS
        while not (victims := self._farmyard.victims(fault.kind.part)):
            if self._is_over.wait(_LOOK_SECONDS) or time.monotonic() > deadline:
                return False
        victim = victims[int(fault.pick * len(victims))]
        if fault.kind.deed is Deed.KILL:
            _send(victim, signal.SIGKILL)
        else:
            _send(victim, signal.SIGSTOP)
            self._later(fault.seconds, lambda: _send(victim, signal.SIGCONT))
        return True

    def _later(self, seconds: float, undo: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, undo)
        timer.daemon = True
        self._undone.append(timer)
        timer.start()


def _send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
