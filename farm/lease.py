"""The lease: one command at a time works on a ledger, and one that lost it finds out.

    LEDGER/lease/000003.json    the third holder and its last heartbeat; rewritten every 10 s

A number is taken by `put_new`: of two that want it at once, one gets it. The highest number is the
holder's, so that whoever takes over has a higher one, which the one before sees at its next
heartbeat, however long it slept. No clock is compared with another: how old a heartbeat is follows
from the store's own times, or the next one is waited for.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from types import TracebackType
from typing import Self

from farm import storage
from farm.errors import RunConflictError, SourceError, SourceNotFoundError, StoreError
from farm.holder import Holder

BEAT_SECONDS = 10.0
EXPIRED_SECONDS = 60.0
_POLL_SECONDS = 0.5
_NAME = re.compile(r"(\d{6})\.json")


@dataclass(frozen=True, slots=True)
class Claim:
    """What one holder says of itself; `beat` counts its signs of life."""

    number: int
    holder: Holder
    beat: int = 0
    is_ended: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """How to wait for another run: whom to tell, and when to give up.

    `patience_seconds` bounds how long a run that was told to end is waited for.
    """

    patience_seconds: float = 120.0
    notice: Callable[[str], object] = lambda message: None
    is_stopped: Callable[[], bool] = lambda: False


class Lease:
    """The right to work on a ledger, from `take` to `release` or until another takes it over.

    A thread of its own gives signs of life. A store that fails one is asked again later: the ledger
    is safe without a lease, which only saves two runs from doing the same work.
    """

    def __init__(self, shelf: "Shelf", claim: Claim, lost: Callable[[], object]) -> None:
        self._shelf = shelf
        self._claim = claim
        self._lost = lost
        self._rival: Holder | None = None
        self._beaten_at = _now()
        self._beating = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="farm-lease", daemon=True)

    @classmethod
    def take(
        cls,
        ledger: str,
        *,
        take_over: bool = False,
        waiting: Waiting = Waiting(),
        lost: Callable[[], object] = lambda: None,
    ) -> Self:
        """Takes the lease of a ledger; `lost` is called, by another thread, when it is taken away.

        Without `take_over` it raises RunConflictError where another run gives a sign of life, which
        may take a few heartbeats to find out. With it, the other run is told to end and waited for.
        """
        shelf = Shelf.of(ledger)
        before = shelf.newest()
        rival = None if before is None or before.is_ended else _Rival(shelf, before)
        if rival is not None and not take_over:
            rival.await_death(waiting)
        number = 1 if before is None else before.number + 1
        lease = cls(shelf, Claim(number, Holder.here()), lost)
        if not shelf.add(lease._claim):
            raise RunConflictError(f"another run took {ledger} just now: let it finish")
        lease._thread.start()
        try:
            if rival is not None and take_over:
                rival.await_end(waiting)
            shelf.forget_before(number)
        except BaseException:
            lease.release()
            raise
        return lease

    @property
    def claim(self) -> Claim:
        """What this run says of itself, as the store last took it."""
        return self._claim

    def is_lost(self) -> bool:
        """Whether another run has it; asks the store where the last heartbeat is long ago."""
        if self._rival is None and _now() - self._beaten_at > EXPIRED_SECONDS / 2:
            self._beat()
        return self._rival is not None

    def check(self) -> None:
        """Raises RunConflictError where another run has it."""
        if self.is_lost():
            raise RunConflictError(
                f"another run has taken over {self._shelf.ledger}: {self._rival}; what this one "
                "had under way is finished"
            )

    def release(self) -> None:
        """Lets others have it."""
        self._ended.set()
        self._thread.join(timeout=BEAT_SECONDS)
        self._beat()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _beat_on(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self._beat()

    def _beat(self) -> None:
        """Looks who has the lease, and gives a sign of life; also while a lost run drains."""
        if not self._beating.acquire(blocking=False):
            return  # another thread is at it
        had_rival = self._rival is not None
        try:
            self._beaten_at = _now()
            # Of stores that write in place, half a claim may be seen: it is whole next time.
            with suppress(SourceError, StoreError, RunConflictError):
                self._look_and_write()
        finally:
            self._beating.release()
        if self._rival is not None and not had_rival:
            self._lost()

    def _look_and_write(self) -> None:
        claim = self._claim
        there = self._shelf.read(claim.number)
        newest = self._shelf.newest()
        is_mine = there is None or there.holder.run == claim.holder.run
        if not is_mine and there is not None:
            # A store without conditional puts has let two take one number.
            self._rival = there.holder
        elif newest is not None and newest.number > claim.number:
            self._rival = newest.holder
        if is_mine and (there is not None or self._rival is None):
            renewed = replace(claim, beat=claim.beat + 1, is_ended=self._ended.is_set())
            self._shelf.write(renewed)
            self._claim = renewed


@dataclass(frozen=True, slots=True)
class Shelf:
    """The claims that a store keeps below one URI."""

    folder: str
    ledger: str

    @classmethod
    def of(cls, ledger: str) -> Self:
        """The claims on a ledger."""
        return cls(storage.join(ledger, "lease"), ledger)

    def at(self, number: int) -> str:
        """Where a claim is."""
        return storage.join(self.folder, f"{number:06d}.json")

    def _numbers(self) -> list[int]:
        names = (_.uri.rpartition("/")[2] for _ in storage.list_files(f"{self.folder}/"))
        return [int(found[1]) for name in names if (found := _NAME.fullmatch(name))]

    def newest(self) -> Claim | None:
        """The claim with the highest number, None where there is none yet."""
        while numbers := self._numbers():
            if (claim := self.read(max(numbers))) is not None:
                return claim
        return None

    def read(self, number: int) -> Claim | None:
        """A claim, None for one that is gone; raises RunConflictError for what is none."""
        try:
            fields = json.loads(storage.get(self.at(number)))
            return Claim(**fields | {"holder": Holder(**fields["holder"])})
        except SourceNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            raise RunConflictError(
                f"{self.at(number)} is not what a run of this version writes: end the run that "
                "wrote it, then delete this file"
            ) from None

    def add(self, claim: Claim) -> bool:
        """Stores a new claim; False where the number is taken."""
        return storage.put_new(self.at(claim.number), _json(claim))

    def write(self, claim: Claim) -> None:
        """Stores a claim over what it was."""
        storage.put(self.at(claim.number), _json(claim))

    def forget_before(self, number: int) -> None:
        """Deletes lower numbers; the highest stays, or a number might be given twice."""
        for lower in self._numbers():
            if lower < number:
                storage.delete(self.at(lower))

    def silent_seconds(self, uri: str) -> float:
        """How long ago an object was written, by the store's clock; 0 where it tells no times."""
        probe = storage.join(self.folder, f"now-{uuid.uuid4().hex}")
        storage.put(probe, b"")
        try:
            now = storage.stat(probe).mtime
            then = storage.stat(uri).mtime
        except SourceNotFoundError:
            return 0.0
        finally:
            storage.delete(probe)
        return max(0.0, now - then) if now is not None and then is not None else 0.0


@dataclass(slots=True)
class _Rival:
    """Another run's claim, watched for signs of life."""

    shelf: Shelf
    claim: Claim
    _alive_at: float = field(init=False)
    _has_beaten: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._alive_at = _now() - self.shelf.silent_seconds(self.shelf.at(self.claim.number))

    def await_death(self, waiting: Waiting) -> None:
        """Returns when the other run is over; raises RunConflictError when it is seen to live."""
        is_told = False
        while not self._is_over():
            holder = self.claim.holder
            if self._has_beaten or holder.is_here:
                raise RunConflictError(
                    f"another run works on {self.shelf.ledger}: {holder}; let it finish, end it by "
                    "Ctrl-C or SIGTERM, or let it end and go on in its place by --take-over"
                )
            if waiting.is_stopped():
                raise RunConflictError(f"stopped while waiting for another run: {holder}")
            if not is_told:
                waiting.notice(f"looking whether another run still lives: {holder}")
                is_told = True
            time.sleep(_POLL_SECONDS)

    def await_end(self, waiting: Waiting) -> None:
        """Returns when the other run, whose lease is taken, is over or patience is."""
        began = _now()
        waiting.notice(f"taking over; waiting for the other run to end: {self.claim.holder}")
        while not self._is_over() and _now() - began < waiting.patience_seconds:
            if waiting.is_stopped():
                raise RunConflictError(f"stopped while taking over from {self.claim.holder}")
            time.sleep(_POLL_SECONDS)

    def _is_over(self) -> bool:
        """Whether it has ended, is dead, or has given no sign of life for long."""
        claim = self.shelf.read(self.claim.number)
        if claim is None or claim.is_ended:
            return True
        if claim.beat != self.claim.beat:
            self.claim, self._alive_at, self._has_beaten = claim, _now(), True
        holder = claim.holder
        if holder.is_here and not holder.is_alive():
            return True
        return _now() - self._alive_at > EXPIRED_SECONDS


def _now() -> float:
    """Seconds on a clock that never jumps, and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _json(claim: Claim) -> bytes:
    return json.dumps(asdict(claim), indent=2).encode()
