"""The trail of a shard whose attempts were lost: which entry was under way when its worker died.

    LEDGER/pass-0001/marks/000000-0003/RUN.0002.000005.17

Row 17 was the fifth that was begun in RUN's second marked attempt at shard 3 of part 0. Marks are
put before an entry begins, one after the other, and `end` behind the last one: the last mark of an
attempt that has no end names what killed the worker, or what it was doing when something else did.
So that entry is suspected; it comes first in the next attempt, and where that is lost too, it is
convicted. Marks of other commands are no evidence: these may have been killed at any moment.
"""

import collections
from collections.abc import Iterable

from farm.ledger import Ledger, ShardRef

LOSSES_BEFORE_MARKS = 2
"""A shard is marked when so many attempts at it were lost: a mark costs a request to the store."""

_END = "end"
_STRIKES = 2


class Trail:
    """The marks of one attempt, and what those of the run's earlier attempts tell.

    `suspects` are the rows that were under way when one attempt was lost, `convicts` those of two;
    `losses` is how many attempts were lost in all.
    """

    def __init__(self, ledger: Ledger, ref: ShardRef, run: str) -> None:
        self.losses = ref.losses
        self._ledger = ledger
        self._ref = ref
        self._run = run
        marks = ledger.marks(ref.number, ref.name)
        last = _last_marks(name for name in marks if name.startswith(f"{run}."))
        strikes = collections.Counter(int(what) for what in last.values() if what != _END)
        self.convicts = frozenset(row for row in strikes if strikes[row] >= _STRIKES)
        self.suspects = frozenset(strikes) - self.convicts
        self._attempt = len(last) + 1
        self._step = 0

    def begin(self, row: int) -> None:
        """Marks a row whose entry begins now; raises a StoreError where that cannot be stored."""
        self._put(str(row))

    def end(self) -> None:
        """Marks that the worker outlived the attempt."""
        self._put(_END)

    def _put(self, what: str) -> None:
        self._step += 1
        name = f"{self._run}.{self._attempt:04d}.{self._step:06d}.{what}"
        self._ledger.put_mark(self._ref, name)


def count_strikes(ledger: Ledger, number: int) -> int:
    """How many marked attempts at shards of a pass were lost, in all runs."""
    return sum(what != _END for what in _last_marks(ledger.marks(number)).values())


def _last_marks(names: Iterable[str]) -> dict[str, str]:
    """The last mark of each attempt."""
    last = {}
    for name in sorted(names):
        attempt, _, what = name.rsplit(".", 2)
        last[attempt] = what
    return last
