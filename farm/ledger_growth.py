"""How a ledger grows with the entries of a run: its objects and its bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from farm import ledger_form
from farm.cut import count_parts, count_shards, listed_bytes
from farm.ledger import Ledger
from farm.record import Record
from farm.row import Row
from farm.settings import Settings

T = TypeVar("T")

# The head of a pass, the seal of its plan, and its end.
_OWN_OBJECTS = 3


@dataclass(frozen=True, slots=True)
class LedgerGrowth:
    """What a shard of so many entries adds to a ledger: so many bytes, and more for each entry."""

    shard_entries: int
    shard_bytes: float
    entry_bytes: float

    def objects(self, entries: int) -> int:
        """The objects of a pass over so many entries."""
        shards = count_shards(entries, most_entries=self.shard_entries)
        return shards + count_parts(shards) + _OWN_OBJECTS

    def size_bytes(self, entries: int) -> float:
        """Their bytes."""
        shards = count_shards(entries, most_entries=self.shard_entries)
        return shards * self.shard_bytes + entries * self.entry_bytes


def growth_of(ledger: Ledger, number: int, settings: Settings) -> LedgerGrowth:
    """How a ledger would grow by entries like those of one of its passes.

    Compressed together, records take less than in the small shards of a sample: so as many of them
    as a shard would have are put into one here.
    """
    rows = _first_rows(ledger, number, settings.shard_entries)
    records = _first_records(ledger, number, settings.shard_entries)
    plan = _line(rows, lambda some: ledger_form.part_of_plan([some]))
    results = _line(records, ledger_form.results)
    mean_bytes = sum(map(listed_bytes, rows)) / max(1, len(rows))
    fitting = settings.shard_entries
    if mean_bytes:
        fitting = min(fitting, max(1, int(settings.shard_bytes / mean_bytes)))
    return LedgerGrowth(fitting, plan[0] + results[0], plan[1] + results[1])


def _first_rows(ledger: Ledger, number: int, most: int) -> list[Row]:
    shards = map(ledger.read_shard, ledger.shards(number, ledger.parts(number)))
    return list(islice((row for shard in shards for row in shard), most))


def _first_records(ledger: Ledger, number: int, most: int) -> list[Record]:
    rows = (row for table in ledger.tables(number) for row in table.to_pylist())
    return [Record.from_row(row) for row in islice(rows, most)]


def _line(items: Sequence[T], form: Callable[[Sequence[T]], bytes]) -> tuple[float, float]:
    """The bytes of an object without items, and of each more, from all of them and from half."""
    half = len(items) // 2
    if not half:
        return 0.0, float(len(form(items)))
    whole_bytes, half_bytes = len(form(items)), len(form(items[:half]))
    each = (whole_bytes - half_bytes) / (len(items) - half)
    return max(0.0, whole_bytes - each * len(items)), each
