"""Which records stand: of each entry that is done the newest one, over all passes."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from farm.done_entries import DoneEntries
from farm.history import chain
from farm.ledger import Ledger, Pass
from farm.record import Status
from farm.row_set import RowSet


def standing_tables(ledger: Ledger, columns: list[str]) -> Iterator[tuple[Pass, pa.Table]]:
    """The records that ended well and stand, as tables of a shard each, newest pass first.

    Those are the newest record of each row of the newest pass over a whole manifest and of what was
    derived from it. Where that pass carried entries over, which of them nobody has noted: then also
    those of earlier passes whose entries are done and no newer record has their fingerprint.
    """
    passes = ledger.passes()
    current = chain(passes)
    earlier = passes[: len(passes) - len(current)]
    carries = bool(earlier) and carried(ledger, current[0]) != 0
    wanted = list(dict.fromkeys(["row", "status", *columns, *(["fingerprint"] if carries else [])]))
    newer = _Fingerprints()
    seen = RowSet()
    for one in reversed(current):
        here = RowSet()
        for table in ledger.tables(one.number, wanted):
            rows = table["row"].to_numpy()
            here.add(rows)
            table = _done(table.filter(pa.array(~seen.mask(rows))))
            newer.add(table if carries else None)
            yield one, table
        seen.update(here)
    if not carries:
        return
    with DoneEntries(ledger, current[-1].number + 1) as done:
        for one in reversed(earlier):
            newer.close_pass()
            for table in ledger.tables(one.number, wanted):
                table = _done(table)
                stands = done.contains(table["fingerprint"].to_pylist())
                table = table.filter(pa.array(stands, pa.bool_()))
                table = table.filter(pa.array(~newer.mask(table)))
                newer.add(table)
                yield one, table


def carried(ledger: Ledger, root: Pass) -> int | None:
    """How many entries a pass carried over, None while it is being planned."""
    seal = ledger.read_seal(root.number)
    return None if seal is None else seal.carried


def _done(table: pa.Table) -> pa.Table:
    return table.filter(pc.equal(table["status"], Status.OK.value))


class _Fingerprints:
    """Fingerprints of newer passes, by half of their bits: 8 bytes of memory each."""

    def __init__(self) -> None:
        self._known: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._here: list[NDArray[np.uint64]] = []

    def add(self, table: pa.Table | None) -> None:
        """Notes those of a table, which count from `close_pass` on."""
        if table is not None:
            self._here.append(_halves(table))

    def close_pass(self) -> None:
        """Lets all that were noted count."""
        self._known = np.unique(np.concatenate([self._known, *self._here]))
        self._here = []

    def mask(self, table: pa.Table) -> NDArray[np.bool_]:
        """Which records have one that counts, bool [N]."""
        keys = _halves(table)
        places = np.minimum(np.searchsorted(self._known, keys), max(0, self._known.size - 1))
        return self._known[places] == keys if self._known.size else np.zeros(keys.size, np.bool_)


def _halves(table: pa.Table) -> NDArray[np.uint64]:
    texts = table["fingerprint"].to_pylist()
    return np.fromiter((int(text[:16], 16) for text in texts), np.uint64, len(texts))
