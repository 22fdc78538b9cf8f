"""What a run tells to whoever watches it: how far it is, what ended, what people should know."""

from enum import StrEnum
from typing import Protocol

from farm.cluster import Outcome
from farm.progress import Progress


class Event(StrEnum):
    """What a notice is about, for those that are not read by people."""

    NOTICE = "notice"
    PASS_STARTED = "pass_started"
    PAUSED = "paused"
    RESUMED = "resumed"
    DRAINING = "draining"
    ATTEMPT_LOST = "attempt_lost"


class Observer(Protocol):
    """Who watches a run; the command line shows it to people."""

    def progressed(self, progress: Progress) -> None:
        """Called about twice a second."""

    def noticed(self, message: str, *, event: Event = Event.NOTICE, shard: str = "") -> None:
        """Called for what a person should know: a pause, a lost shard, a new pass."""

    def settled(self, outcome: Outcome) -> None:
        """Called for each attempt at a shard that ended."""


class Observers:
    """Several observers as one, told in their order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def progressed(self, progress: Progress) -> None:
        """Tells all of them."""
        for each in self._observers:
            each.progressed(progress)

    def noticed(self, message: str, *, event: Event = Event.NOTICE, shard: str = "") -> None:
        """Tells all of them."""
        for each in self._observers:
            each.noticed(message, event=event, shard=shard)

    def settled(self, outcome: Outcome) -> None:
        """Tells all of them."""
        for each in self._observers:
            each.settled(outcome)
