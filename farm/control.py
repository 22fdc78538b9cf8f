"""Control: what is asked of a run while it works, by a signal or from anywhere by its ledger.

    LEDGER/control.json    the last wish: to run, to pause or to stop; rewritten by commands

A run looks for it every few seconds. A wish to stop is addressed to one holder of the lease and is
deleted by the run that heeds it; a wish to pause stands for all runs until somebody wishes to run.
"""

import uuid
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Self

from farm import storage
from farm.errors import RunConflictError, SourceNotFoundError
from farm.holder import Holder
from farm.ledger_form import read_json, to_json

_BY_SIGNAL = "stopped by a signal"


class Wish(StrEnum):
    """What a run is to do: go on, send no shard for a while, or drain and end."""

    RUN = "run"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Control:
    """A wish, who has it and since when; `lease` is the number of the run that is to stop."""

    wish: Wish
    by: str
    at: str
    id: str
    lease: int | None = None

    @classmethod
    def of(cls, wish: Wish, *, lease: int | None = None) -> Self:
        """A wish of whoever runs this process."""
        me = Holder.here()
        return cls(wish, f"{me.user} on {me.host}", me.since, uuid.uuid4().hex, lease)

    def __str__(self) -> str:
        command = "resume" if self.wish is Wish.RUN else self.wish.value
        return f"`farm {command}` of {self.by}, {self.at}"


def put_control(ledger: str, control: Control) -> None:
    """Stores a wish, over the one before."""
    storage.put(_at(ledger), to_json(asdict(control)))


def read_control(ledger: str) -> Control | None:
    """The wish that stands, None where there is none.

    Raises RunConflictError for what is none that this version understands.
    """
    uri = _at(ledger)
    try:
        fields = read_json(storage.get(uri), uri)
        names = Control.__dataclass_fields__.keys() & fields.keys()
        return Control(**{name: fields[name] for name in names} | {"wish": Wish(fields["wish"])})
    except SourceNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise RunConflictError(f"{uri} is not what `farm stop` or `farm pause` writes") from None


def forget_control(ledger: str, control: Control) -> None:
    """Deletes a wish, unless another one has taken its place."""
    standing = read_control(ledger)
    if standing is not None and standing.id == control.id:
        storage.delete(_at(ledger))


def _at(ledger: str) -> str:
    return storage.join(ledger, "control.json")


class Stop:
    """What is asked of a run: to end without losing anything, or to send nothing for a while.

    Any thread may ask, and a signal's handler: nothing here waits for a lock.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._hold: str | None = None

    def request(self, reason: str = _BY_SIGNAL) -> None:
        """Asks the run to drain; the first reason is the one that counts."""
        self._reason = self._reason or reason

    def is_requested(self) -> bool:
        """Whether the run should drain."""
        return self._reason is not None

    @property
    def reason(self) -> str:
        """Why it should; empty where it should not."""
        return self._reason or ""

    def hold(self, reason: str) -> None:
        """Asks the run to send no shard until `go_on`."""
        self._hold = reason

    def go_on(self) -> None:
        """Lets the run send shards again."""
        self._hold = None

    @property
    def held(self) -> str | None:
        """Why no shard should be sent; None where they should."""
        return self._hold
