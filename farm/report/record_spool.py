"""The records that a report is about, read from the ledger once and kept on disk while it is made.

Figures and gallery come from the same records then, also while a run goes on, and whatever their
number, no more than a few of them are in memory.
"""

import collections
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from farm.history import chain, final_tables
from farm.ledger import Ledger
from farm.record import Status, record_schema
from farm.standing import carried, standing_tables

_BATCH_ROWS = 100


class Group(StrEnum):
    """Records that belong together, in the order in which a report shows them."""

    FAILED = "failed"
    DONE = "done"
    DEFERRED = "deferred"


_STATUSES = {
    Group.FAILED: (Status.FAILED, Status.QUARANTINED),
    Group.DONE: (Status.OK,),
    Group.DEFERRED: (Status.DEFERRED,),
}


class RecordSpool:
    """One Parquet file for each group, in a folder of this machine; see `spooled`.

    `counts` tells how many records each has, `earlier` how many of all are of passes before the
    newest manifest.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.counts: collections.Counter[Group] = collections.Counter()
        self.earlier = 0

    def records(self, group: Group) -> Iterator[dict[str, Any]]:
        """The stored records of a group, in their order."""
        file = pq.ParquetFile(self._path(group), pre_buffer=False)
        with file:
            for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
                yield from batch.to_pylist()

    def fill(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Stores the tables by group, and gives each as it is stored."""
        with ExitStack() as files:
            writers = {
                group: files.enter_context(pq.ParquetWriter(self._path(group), record_schema()))
                for group in Group
            }
            for table in tables:
                for group, writer in writers.items():
                    wanted = pa.array([status.value for status in _STATUSES[group]])
                    part = table.filter(pc.is_in(table["status"], value_set=wanted))
                    self.counts[group] += part.num_rows
                    if part.num_rows:
                        writer.write_table(part)
                yield table

    def _path(self, group: Group) -> Path:
        return self._folder / f"{group}.parquet"


@contextmanager
def spooled(
    ledger: Ledger,
    *,
    choose: Callable[[pa.Table], pa.Table],
    watch: Callable[[pa.Table], object],
) -> Iterator[RecordSpool]:
    """The newest record of each entry that `choose` leaves; `watch` sees each table of them.

    Takes as much of TMPDIR as the ledger's records.
    """
    with TemporaryDirectory(prefix="farm-report-") as folder:
        spool = RecordSpool(Path(folder))
        for table in spool.fill(_chosen(ledger, choose, spool)):
            watch(table)
        yield spool


def _chosen(
    ledger: Ledger, choose: Callable[[pa.Table], pa.Table], spool: RecordSpool
) -> Iterator[pa.Table]:
    for table in final_tables(ledger):
        yield choose(table).cast(record_schema())
    for table in earlier_tables(ledger):
        chosen = choose(table)
        spool.earlier += chosen.num_rows
        yield chosen.cast(record_schema())


def earlier_tables(ledger: Ledger) -> Iterator[pa.Table]:
    """What passes before the newest manifest did and nothing has replaced, if any was carried over.

    Which of them were carried, and which the manifest does not have any more, nobody has noted.
    """
    passes = ledger.passes()
    current = chain(passes)
    # While a pass is being planned nobody knows how many it carries over.
    if len(current) < len(passes) and carried(ledger, current[0]) != 0:
        names = record_schema().names
        for one, table in standing_tables(ledger, names):
            if one.number < current[0].number:
                yield table.select(names)
