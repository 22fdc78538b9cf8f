"""The faults of a chaos run: which, when and how long, all from one seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Deed(StrEnum):
    """What is done to a victim; all but `kill` ends by itself."""

    KILL = "kill"
    STOP = "stop"
    ERRORS = "errors"
    FILL = "fill"


class Part(StrEnum):
    """Who or what a fault strikes; a machine is a nanny with all below it."""

    CLIENT = "client"
    SCHEDULER = "scheduler"
    MACHINE = "machine"
    NANNY = "nanny"
    WORKER = "worker"
    ZYGOTE = "zygote"
    LANE = "lane"
    STORE = "store"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault, and between how many seconds it lasts."""

    deed: Deed
    part: Part
    seconds: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `after_seconds` past the one before; `pick` in [0, 1) chooses among victims."""

    kind: Kind
    after_seconds: float
    pick: float
    seconds: float

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.kind.deed} {self.kind.part}{lasting}"


PROCESS_KINDS = (
    Kind(Deed.KILL, Part.CLIENT),
    Kind(Deed.KILL, Part.SCHEDULER),
    Kind(Deed.KILL, Part.MACHINE),
    Kind(Deed.KILL, Part.NANNY),
    Kind(Deed.KILL, Part.WORKER),
    Kind(Deed.KILL, Part.WORKER),
    Kind(Deed.KILL, Part.ZYGOTE),
    Kind(Deed.KILL, Part.LANE),
    Kind(Deed.KILL, Part.LANE),
    Kind(Deed.STOP, Part.CLIENT, (1.0, 5.0)),
    Kind(Deed.STOP, Part.SCHEDULER, (1.0, 5.0)),
    Kind(Deed.STOP, Part.WORKER, (1.0, 35.0)),
    Kind(Deed.STOP, Part.LANE, (0.5, 4.0)),
    # Long enough to be given up by the scheduler and replaced by another attempt: a zombie.
    Kind(Deed.STOP, Part.MACHINE, (30.0, 40.0)),
)
STORE_KINDS = (Kind(Deed.ERRORS, Part.STORE, (2.0, 8.0)),)
DISK_KINDS = (Kind(Deed.FILL, Part.DISK, (2.0, 6.0)),)

_BETWEEN_SECONDS = (0.5, 4.0)


def schedule(seed: int, count: int, kinds: Sequence[Kind]) -> list[Fault]:
    """So many faults; the same ones for the same seed, each kind once before any comes again."""
    chooser = random.Random(seed)
    faults: list[Fault] = []
    deck: list[Kind] = []
    while len(faults) < count:
        if not deck:
            deck = list(kinds)
            chooser.shuffle(deck)
        kind = deck.pop()
        after = chooser.uniform(*_BETWEEN_SECONDS)
        faults.append(Fault(kind, after, chooser.random(), chooser.uniform(*kind.seconds)))
    return faults
